"""What other processes read of the feed while REST has nothing newer: minutes and legs. Pure.

Both are provisional. A bar of the feed differs from the provider's history in volume, and greeks
are the provider's own; what a request brings has the last word.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import Session

MS_PER_MINUTE = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCandle:
    """One minute of an instrument, from *start* (UTC) on, as the feed had it at *received_at*.

    Prices are rupees, *volume* is shares. *is_whole*: a later minute of the instrument was seen.
    The last minute of a quiet instrument never becomes whole this way.
    """

    instrument_key: str
    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    is_whole: bool
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLeg:
    """The newest *tick* of an option *contract*."""

    contract: Instrument
    tick: Tick


def candles_in(tick: Tick, instrument_key: str, session: Session) -> Iterator[FeedCandle]:
    """The minutes of *session* in the bars of *tick*, oldest first."""
    bars = (tick.detail and tick.detail.bars) or ()
    newest = max((bar.start_ms for bar in bars), default=0)
    for bar in sorted(bars):
        minute, rest = divmod(bar.start_ms, MS_PER_MINUTE)
        if rest == 0 and any(first <= minute < end for first, end in session.spans):
            yield FeedCandle(
                instrument_key=instrument_key,
                start=bar.start,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
                is_whole=bar.start_ms < newest,
                received_at=tick.received_at,
            )


def legs_in(ticks: Mapping[str, Tick], contracts: Mapping[str, Instrument]) -> list[FeedLeg]:
    """The legs among *ticks*, by live key as *contracts* are."""
    return [
        FeedLeg(contract=contracts[key], tick=tick)
        for key, tick in ticks.items()
        if key in contracts
    ]
