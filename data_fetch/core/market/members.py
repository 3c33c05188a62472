"""The instruments of the universe on one day, grouped by trading hours."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import TradingGroup, group_of


@dataclass(frozen=True, slots=True)
class Members:
    """The instruments of the universe, grouped by their trading hours of *day*."""

    instruments: tuple[Instrument, ...]
    day: date

    @classmethod
    def as_of(cls, instruments: Sequence[Instrument], now: datetime) -> "Members":
        """*instruments* on the Indian day of the instant *now*."""
        return cls(tuple(instruments), now.astimezone(IST).date())

    @property
    def groups(self) -> frozenset[TradingGroup]:
        return frozenset(group_of(instrument, self.day) for instrument in self.instruments)

    def at(self, groups: Collection[TradingGroup]) -> list[Instrument]:
        return [
            instrument
            for instrument in self.instruments
            if group_of(instrument, self.day) in groups
        ]

    def named(self, symbols: Collection[str]) -> list[Instrument]:
        wanted = set(symbols)
        return [instrument for instrument in self.instruments if instrument.symbol in wanted]
