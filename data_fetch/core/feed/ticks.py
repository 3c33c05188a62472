"""Ticks: the state of an instrument as the feed last delivered it. Pure.

A packet need not be whole. What it lacks is carried on from the packets before it, but only
within one date of India; a price of 0 stands for a missing one and is never used.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from data_fetch.core.clock import IST
from data_fetch.core.feed.modes import Mode

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
# Calling the class of a named tuple takes twice as long.
_new_tuple = tuple.__new__
# Far above any price in rupees.
LARGEST_PRICE = 1e9
# A trade is not later than the message that reports it; clocks may differ by this.
CLOCKS_DIFFER = timedelta(minutes=1)


class Greeks(NamedTuple):
    """As the provider computed them."""

    delta: float
    theta: float
    gamma: float
    vega: float
    rho: float


class BestPrices(NamedTuple):
    """The best level of the book, in rupees and shares; None where a side is empty."""

    bid: float | None
    bid_quantity: int | None
    ask: float | None
    ask_quantity: int | None


class MinuteBar(NamedTuple):
    """One minute as the feed has it so far: provisional, never final. It began at *start_ms*,
    in milliseconds since 1970 UTC."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int

    @property
    def start(self) -> datetime:
        return instant_of_ms(self.start_ms)


class Detail(NamedTuple):
    """What richer modes than ``ltpc`` add; None where the feed never sent it.

    *volume* of the day and *open_interest* are in shares, *iv* is a fraction. *bars* are the last
    whole minute and the running one.
    """

    volume: int | None
    open_interest: int | None
    iv: float | None
    greeks: Greeks | None
    best: BestPrices | None
    bars: tuple[MinuteBar, ...] | None

    def merged(self, newer: "Detail") -> "Detail":
        """This detail with what *newer* has."""
        return Detail._make(
            old if new is None else new for old, new in zip(self, newer, strict=True)
        )


NO_BEST = BestPrices(None, None, None, None)
NO_DETAIL = Detail(None, None, None, None, None, None)


# Tuples: an instance of a frozen data class takes several times as long, and these are made
# thousands of times a second.
class Tick(NamedTuple):
    """The last trade of *key*, a live key, and what is known beside it.

    *last_price* and *prev_close* are in rupees, *ltq* in shares. *traded_ms* is when the trade
    was, in milliseconds since 1970 UTC, 0 where the feed does not say; *server_time* is of the
    message (UTC).
    """

    key: str
    mode: Mode
    last_price: float
    traded_ms: int
    ltq: int | None
    prev_close: float | None
    received_at: datetime
    server_time: datetime | None
    detail: Detail | None

    @property
    def traded_at(self) -> datetime | None:
        """When the trade was (UTC)."""
        return instant_of_ms(self.traded_ms) if self.traded_ms else None


def instant_of_ms(milliseconds: int) -> datetime:
    """The instant of *milliseconds* since 1970 UTC."""
    return EPOCH + milliseconds * MILLISECOND


def ms_of_instant(at: datetime) -> int:
    """Whole milliseconds since 1970 UTC."""
    return (at - EPOCH) // MILLISECOND


@dataclass(slots=True)
class TickCounts:
    """Packets since the start: *ticks* were taken, all others were dropped.

    *priceless*: without a price, and none is known; *zero_prices* have 0 for one (they count even
    where an earlier price is carried on); *impossible*: a price or time that cannot be.
    """

    ticks: int = 0
    duplicates: int = 0
    backwards: int = 0
    zero_prices: int = 0
    priceless: int = 0
    impossible: int = 0
    unrequested: int = 0


class TickBook:
    """The newest tick of each requested key. Not thread-safe."""

    def __init__(self) -> None:
        self.counts = TickCounts()
        self._requested: Container[str] = ()
        self._latest: dict[str, Tick] = {}
        self._fresh: dict[str, Tick] = {}
        self._received_at = EPOCH
        self._server_time: datetime | None = None
        self._latest_trade_ms = 0
        self._repeats = False
        self._day: date | None = None

    def request(self, keys: Container[str]) -> None:
        """Take ticks of *keys* from now on, and of no others."""
        self._requested = keys
        for key in [known for known in self._latest if known not in keys]:
            del self._latest[key]

    def begin(self, received_at: datetime, server_time: datetime | None, repeats: bool) -> None:
        """A message begins. One that *repeats* the state, a snapshot, has no duplicates: what it
        has confirms the known tick at a later time."""
        day = received_at.astimezone(IST).date()
        if day != self._day:
            self._latest.clear()
            self._day = day
        self._fresh = {}
        self._received_at, self._server_time = received_at, server_time
        self._latest_trade_ms = ms_of_instant((server_time or received_at) + CLOCKS_DIFFER)
        self._repeats = repeats

    def take(
        self,
        key: str,
        mode: Mode,
        price: float | None,
        traded_ms: int,
        ltq: int,
        prev_close: float,
        detail: Detail | None,
    ) -> None:
        """Take one packet of the message; *price* is None where it has no trade, and numbers that
        it lacks are 0."""
        before = self._latest.get(key)
        if before is None and key not in self._requested:
            self.counts.unrequested += 1
            return
        if price is None or not 0.0 < price <= LARGEST_PRICE:
            if not self._has_carried(price, before):
                return
            assert before is not None
            price, traded_ms, ltq = before.last_price, before.traded_ms, before.ltq or 0
        if not 0 <= traded_ms <= self._latest_trade_ms:
            self.counts.impossible += 1
            return
        close = prev_close if 0.0 < prev_close <= LARGEST_PRICE else None
        tick = _new_tuple(
            Tick,
            (
                key,
                mode,
                price,
                traded_ms,
                ltq if ltq > 0 else None,
                close,
                self._received_at,
                self._server_time,
                detail,
            ),
        )
        # A whole packet of the cheapest mode, with a later trade, is what comes most.
        if before is not None and (
            traded_ms <= before.traded_ms or detail is not None or close is None
        ):
            self._take_after(before, tick)
        else:
            self._fresh[key] = tick

    def end(self) -> dict[str, Tick]:
        """The ticks of the message that began last, by key."""
        self._latest.update(self._fresh)
        self.counts.ticks += len(self._fresh)
        return self._fresh

    def _has_carried(self, price: float | None, before: Tick | None) -> bool:
        """Whether *before* stands in for *price*, which is missing or cannot be; it is counted."""
        if price == 0:
            self.counts.zero_prices += 1
        elif price is not None:
            self.counts.impossible += 1
            return False
        if before is None:
            self.counts.priceless += 1
        return before is not None

    def _take_after(self, before: Tick, tick: Tick) -> None:
        """Take *tick* with what it lacks, unless it says nothing new."""
        detail = tick.detail
        if detail is not None and before.detail is not None:
            detail = before.detail.merged(detail)
        tick = tick._replace(
            traded_ms=tick.traded_ms or before.traded_ms,
            prev_close=tick.prev_close or before.prev_close,
            detail=detail,
        )
        known = before._replace(received_at=tick.received_at, server_time=tick.server_time)
        if tick.traded_ms < before.traded_ms:
            self.counts.backwards += 1
        elif tick == known and not self._repeats:
            self.counts.duplicates += 1
        else:
            self._fresh[tick.key] = tick
