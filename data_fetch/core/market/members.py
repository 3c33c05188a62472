"""The instruments of the universe, grouped by trading hours."""

from collections.abc import Collection
from dataclasses import dataclass

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import TradingGroup, group_of


@dataclass(frozen=True, slots=True)
class Members:
    """The instruments of the universe, grouped by trading hours."""

    instruments: tuple[Instrument, ...]

    @property
    def groups(self) -> frozenset[TradingGroup]:
        return frozenset(map(group_of, self.instruments))

    def at(self, groups: Collection[TradingGroup]) -> list[Instrument]:
        return [instrument for instrument in self.instruments if group_of(instrument) in groups]

    def named(self, symbols: Collection[str]) -> list[Instrument]:
        return [instrument for instrument in self.instruments if instrument.symbol in symbols]
