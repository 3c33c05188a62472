"""Programs that end with the one that has started them."""

import os
import signal
from threading import Thread

import click

STANDARD_INPUT = 0


def follow_parent() -> None:
    """From now on, end as by SIGTERM when standard input ends: the parent has its other end, which
    is closed however the parent ends."""

    def read() -> None:
        # Not by `sys.stdin`, whose lock the end of the interpreter would wait for.
        while os.read(STANDARD_INPUT, 4096):
            pass
        signal.raise_signal(signal.SIGTERM)

    Thread(target=read, daemon=True).start()


def _follow_if(_context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        follow_parent()


with_parent_option = click.option(
    "--with-parent", is_flag=True, hidden=True, expose_value=False, callback=_follow_if
)
