"""The history of instruments that have had several keys: which key has which days.

Which key that is depends on the stored candles, and the first day under a new key on what the
provider returned for it: both change as responses arrive.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise

from sqlalchemy import Connection, func, select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import (
    CandleDays,
    KeyPeriod,
    every_key,
    first_day_under,
    key_periods,
)
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.instruments.instruments import (
    has_predecessor,
    instruments_with,
    key_changes,
    move_change,
)


@dataclass(frozen=True, slots=True)
class History:
    """An instrument, and what it was on the days of a range: *periods*, oldest first.

    *by_key* has the instrument under each of its keys, oldest first, all with the present symbol.
    """

    instrument: Instrument
    periods: Sequence[KeyPeriod]
    by_key: Mapping[str, Instrument]

    @property
    def instruments(self) -> list[Instrument]:
        """The instruments that have days in the range, the present one first."""
        keys = dict.fromkeys(one.instrument_key for one in reversed(self.periods))
        return [self.by_key[key] for key in keys]

    @property
    def former_periods(self) -> list[tuple[KeyPeriod, Instrument]]:
        """The days that belong to a former key, each with the instrument under its next key."""
        keys = list(self.by_key)
        successor = dict(pairwise(keys))
        return [
            (one, self.by_key[successor[one.instrument_key]])
            for one in self.periods
            if one.instrument_key in successor
        ]


@dataclass(frozen=True, slots=True)
class Histories:
    """The histories of several instruments."""

    of: Sequence[History]

    @property
    def instruments(self) -> list[Instrument]:
        """Every instrument that has days in the range, one for each key."""
        return [one for history in self.of for one in history.instruments]

    @property
    def keys(self) -> list[str]:
        """Every key that one of them has had."""
        return [key for history in self.of for key in history.by_key]

    @property
    def periods(self) -> dict[str, list[KeyPeriod]]:
        """The days of each key of those that have had several."""
        found: dict[str, list[KeyPeriod]] = {}
        for history in self.of:
            if len(history.by_key) > 1:
                found |= {key: [] for key in history.by_key}
                for one in history.periods:
                    found[one.instrument_key].append(one)
        return found


def histories(
    connection: Connection,
    instruments: Sequence[Instrument],
    interval: CandleInterval,
    first: date,
    last: date,
) -> Histories:
    """What each of *instruments* was from *first* to *last*, both included."""
    recorded = key_changes(connection)
    keys = {one.instrument_key: every_key(one.instrument_key, recorded) for one in instruments}
    several = [key for own in keys.values() if len(own) > 1 for key in own]
    if not several:
        whole = [
            History(one, [KeyPeriod(one.instrument_key, first, last)], {one.instrument_key: one})
            for one in instruments
        ]
        return Histories(whole)
    candle_days = _candle_days(connection, several, interval, first, last)
    known = {one.instrument_key: one for one in instruments_with(connection, several)}
    return Histories(
        [
            History(
                one,
                key_periods(one.instrument_key, recorded, first, last, candle_days),
                under_each_key(one, keys[one.instrument_key], known),
            )
            for one in instruments
        ]
    )


def under_each_key(
    instrument: Instrument, keys: Sequence[str], known: Mapping[str, Instrument]
) -> Mapping[str, Instrument]:
    """*instrument* as each of its *keys* was, with its present symbol."""
    return {key: replace(known.get(key, instrument), symbol=instrument.symbol) for key in keys}


def follow_first_candle(connection: Connection, instrument_key: str, now: datetime) -> None:
    """Move the change to *instrument_key* to the first day of its history, as known *now*."""
    if not has_predecessor(connection, instrument_key):
        return
    recorded = key_changes(connection)
    changes = [one for one in recorded if one.new_key == instrument_key and not one.is_rename]
    row = coverage_table.c
    oldest = connection.scalar(
        select(func.min(row.trading_date)).where(
            row.instrument_key == instrument_key, row.present > 0
        )
    )
    if oldest is None:
        return
    empty = connection.scalar(
        select(func.max(row.trading_date)).where(
            row.instrument_key == instrument_key,
            row.not_expected > 0,
            row.confirmations > 0,
            row.trading_date < oldest,
        )
    )
    change = changes[-1]
    begins = first_day_under(change, recorded, oldest, empty)
    if begins != change.valid_from:
        move_change(connection, change, begins, now)


def _candle_days(
    connection: Connection,
    keys: Sequence[str],
    interval: CandleInterval,
    first: date,
    last: date,
) -> CandleDays:
    row = coverage_table.c
    query = select(row.instrument_key, row.trading_date).where(
        row.instrument_key.in_(keys),
        row.interval == interval.value,
        row.trading_date.between(first, last),
        row.present > 0,
    )
    found: dict[str, set[date]] = defaultdict(set)
    for key, day in connection.execute(query):
        found[key].add(day)
    return found
