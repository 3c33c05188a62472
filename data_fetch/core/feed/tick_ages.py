"""How old the newest tick of each symbol is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_fetch.core.feed.ticks import CLOCKS_DIFFER
from data_fetch.core.freshness import Freshness


@dataclass(frozen=True, slots=True)
class LastTick:
    """The newest tick of a symbol today: when it was received, and its *age*; None without one.

    *expected*: the market of the symbol is open. While it is closed no tick has an age.
    """

    expected: bool
    received_at: datetime | None = None
    age: timedelta | None = None

    @property
    def age_seconds(self) -> float | None:
        return None if self.age is None else self.age.total_seconds()


NO_TICK = LastTick(expected=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickAges:
    """The ages of the ticks that are expected: their *median*, and the *oldest* with its symbol.

    Both are None when no tick has an age. *without* are the symbols that have no tick today.
    """

    median: timedelta | None = None
    oldest: timedelta | None = None
    oldest_symbol: str = ""
    without: Sequence[str] = ()

    @property
    def expected(self) -> bool:
        """Whether a tick of any symbol is expected."""
        return self.median is not None or bool(self.without)


def last_ticks(
    states: Mapping[str, Freshness], received: Mapping[str, datetime], now: datetime
) -> dict[str, LastTick]:
    """The newest tick of each symbol of *states*, as of *now*; it was *received* then.

    One that was received later than *now*, by more than clocks differ, is of a clock that was
    ahead: it is unknown how old it is, so it does not count.
    """
    return {
        symbol: _last_tick(received.get(symbol), now, expected=state is not Freshness.CLOSED)
        for symbol, state in states.items()
    }


def tick_ages(ticks: Mapping[str, LastTick]) -> TickAges:
    """The ages of those of *ticks* that are expected."""
    expected = {symbol: tick for symbol, tick in ticks.items() if tick.expected}
    without = tuple(symbol for symbol, tick in expected.items() if tick.age is None)
    aged = sorted((tick.age, symbol) for symbol, tick in expected.items() if tick.age is not None)
    if not aged:
        return TickAges(without=without)
    # Of an even number the older one of the two in the middle.
    median, _ = aged[len(aged) // 2]
    oldest, symbol = aged[-1]
    return TickAges(median=median, oldest=oldest, oldest_symbol=symbol, without=without)


def _last_tick(received_at: datetime | None, now: datetime, *, expected: bool) -> LastTick:
    if received_at is None or received_at > now + CLOCKS_DIFFER:
        return LastTick(expected)
    age = max(now - received_at, timedelta(0)) if expected else None
    return LastTick(expected, received_at, age)
