"""Which minutes of a day have to be written to files: what the store has against what files have.

A *state* is a text that differs whenever the rows of a table in a minute differ: a minute whose
file was written from another state is written again, whatever the reason (late rows, a crash,
rows that were merged or corrected).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from data_fetch.core.archive.days import DAY, day_of
from data_fetch.core.clock import MINUTE

# The tables that are written every minute. A snapshot comes after its legs and its summary: who
# finds it finds those as well.
MINUTE_TABLES = ("ltp_data", "candles", "option_chain_data", "chain_summary", "chain_snapshots")
# The jobs of a minute have so much time until it is written; what comes later is written then.
TIME_TO_STORE = timedelta(seconds=10)


# Longer than the longest weekend.
DAYS_WATCHED = 6


class TableMinute(NamedTuple):
    """A table, and the minute that begins at this instant."""

    minute: datetime
    table: str


States = Mapping[TableMinute, str]


@dataclass(frozen=True, slots=True)
class MinutePlan:
    """The files to write and those to remove, in that order."""

    write: tuple[TableMinute, ...]
    remove: tuple[TableMinute, ...]


def watched_days(now: datetime) -> list[date]:
    """The days whose minutes are compared with the store, oldest first: a provider has the final
    candles of a day on the next trading day.

    Rows of older days get into files when their day is sealed.
    """
    today = day_of(now)
    return [today - ago * DAY for ago in reversed(range(DAYS_WATCHED))]


def minute_plan(stored: States, written: States, now: datetime) -> MinutePlan:
    """What makes the files those of the store.

    A minute is written when it is over and its jobs had time, and again when its state is another
    one. A file whose minute has no rows any longer (a clock was set back, and what was ahead of it
    is withdrawn) is removed.
    """
    write = [
        each
        for each, state in stored.items()
        if written.get(each) != state and each.minute + MINUTE + TIME_TO_STORE <= now
    ]
    remove = written.keys() - stored.keys()
    return MinutePlan(tuple(sorted(write, key=_place)), tuple(sorted(remove, key=_place)))


def _place(of: TableMinute) -> tuple[datetime, int]:
    return of.minute, MINUTE_TABLES.index(of.table)
