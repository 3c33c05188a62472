"""What every command shares: where words go, and what the exit status says.

Results go to standard output, remarks to standard error, so that a pipe stays clean.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from data_fetch.core.clock import IST

DONE, WRONG_USE, INCOMPLETE, REFUSED = 0, 2, 3, 4

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


def say(text: str) -> None:
    """A result, for people."""
    click.echo(text)


def note(text: str) -> None:
    """A remark: progress, a warning, what to do next."""
    click.echo(text, err=True)


def emit(document: Mapping[str, Any]) -> None:
    """The one JSON document of a command run with `--json`."""
    json.dump(document, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")


def clock_time(at: datetime | None, *, seconds: bool = False) -> str:
    """The IST time of day, for a line on a screen."""
    return "--:--" if at is None else at.astimezone(IST).strftime("%H:%M:%S" if seconds else "%H:%M")


def ist_text(at: datetime | None) -> str | None:
    """An instant as ISO text in IST, to the second."""
    return None if at is None else at.astimezone(IST).isoformat(timespec="seconds")
