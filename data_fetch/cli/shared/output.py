"""Output of the commands: results, remarks, one JSON document, exit statuses.

Results go to standard output, remarks to standard error, so that a pipe stays clean.
"""

import codecs
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

import click

from data_fetch.core.chains.polls import Poll
from data_fetch.core.clock import IST
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.runtime.reporting import CollectorStart

WRONG_USE, INCOMPLETE, REFUSED = 2, 3, 4
# The name of the error handler below, and what it prints for characters of our own.
PLAIN = "data-fetch-plain"
IN_PLAIN = {"Δ": "d", "₹": "Rs", "…": "..."}

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


def print_out(text: str) -> None:
    """Print a result for people."""
    click.echo(text)


def remark(text: str) -> None:
    """Print progress, a warning or a next step for people."""
    click.echo(text, err=True)


def emit(document: Mapping[str, Any]) -> None:
    """Print the one JSON document of a command run with `--json`."""
    # Not json.dump, which encodes piece by piece and takes ten times as long.
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")


class RemarksOnly:
    """A progress reporter that prints messages and leaves the slots to the command."""

    def message(self, text: str) -> None:
        remark(text)

    def started(self, start: CollectorStart) -> None:
        return None

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        return None

    def polled(self, poll: Poll) -> None:
        return None


def print_any_character() -> None:
    """Let both streams replace what their encoding lacks, instead of ending in an error.

    Terminals and redirected files on Windows have encodings without "Δ" or "₹".
    """
    for stream in (sys.stdout, sys.stderr):
        _replace_unknown_characters(stream)


def _replace_unknown_characters(stream: TextIO) -> None:
    # A stream that a test or another program put in place may not be reconfigurable.
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=PLAIN)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The characters that an encoding lacks, in those that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(IN_PLAIN.get(character, "?") for character in lacking), error.end


codecs.register_error(PLAIN, _plain)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 request", "2 requests"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def clock_time(at: datetime) -> str:
    """The IST time of day to the second, for a line on a screen."""
    return at.astimezone(IST).strftime("%H:%M:%S")


def slot_name(slot: datetime | None) -> str:
    """The name of a slot: its first minute, IST."""
    return "--:--" if slot is None else slot.astimezone(IST).strftime("%H:%M")
