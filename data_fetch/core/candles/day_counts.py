"""Counts of a day's minutes by state, and one state for the whole day."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.spans import count


class DayCounts(NamedTuple):
    """The minutes of one instrument and day, or of several when summed.

    *expected* and *not_expected* together are all that the session has. *provisional* are
    present minutes that the provider's history has not confirmed yet.
    """

    expected: int = 0
    present: int = 0
    no_trade: int = 0
    source_empty: int = 0
    unknown_instrument: int = 0
    missed: int = 0
    pending: int = 0
    not_expected: int = 0
    provisional: int = 0

    @property
    def lacking(self) -> int:
        """Minutes that are expected and have no candle."""
        return self.expected - self.present

    @property
    def state(self) -> State:
        """The worst state of the day. Minutes without trades are no gap."""
        if self.missed:
            return State.MISSED
        if self.pending:
            return State.PENDING
        if self.unknown_instrument:
            return State.UNKNOWN_INSTRUMENT
        if self.source_empty:
            return State.SOURCE_EMPTY
        return State.PRESENT if self.expected else State.NOT_EXPECTED


def counts_of(known: DayCoverage) -> DayCounts:
    """The counts of one day."""
    minutes: Counter[State] = Counter()
    for one in known.intervals:
        minutes[one.state] += one.end - one.first
    return DayCounts(
        expected=minutes.total() - minutes[State.NOT_EXPECTED],
        present=minutes[State.PRESENT],
        no_trade=minutes[State.NO_TRADE],
        source_empty=minutes[State.SOURCE_EMPTY],
        unknown_instrument=minutes[State.UNKNOWN_INSTRUMENT],
        missed=minutes[State.MISSED],
        pending=minutes[State.PENDING],
        not_expected=minutes[State.NOT_EXPECTED],
        provisional=count(known.provisional),
    )


def summed(days: Iterable[DayCounts]) -> DayCounts:
    """The counts of all *days* together."""
    columns = zip(*days, strict=True)
    return DayCounts(*map(sum, columns))
