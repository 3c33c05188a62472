"""What every command shares: where words go, and what the exit status says.

Results go to standard output, remarks to standard error, so that a pipe stays clean.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from data_fetch.core.clock import IST
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun

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


class Remarks:
    """A watcher that passes on what is for people and leaves the slots to the command."""

    def message(self, text: str) -> None:
        note(text)

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        return None


def emit(document: Mapping[str, Any]) -> None:
    """The one JSON document of a command run with `--json`."""
    # Not json.dump, which encodes piece by piece and takes ten times as long.
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


def counted(number: int, noun: str) -> str:
    """How many of what: "1 request", "2 requests"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def clock_time(at: datetime) -> str:
    """The IST time of day to the second, for a line on a screen."""
    return at.astimezone(IST).strftime("%H:%M:%S")


def slot_name(slot: datetime | None) -> str:
    """A slot is named by its first minute, IST."""
    return "--:--" if slot is None else slot.astimezone(IST).strftime("%H:%M")


def ist_text(at: datetime | None) -> str | None:
    """An instant as ISO text in IST, to the second."""
    return None if at is None else at.astimezone(IST).isoformat(timespec="seconds")
