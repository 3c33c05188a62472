"""The newest minute of each symbol as ticks have it: the running one while there are trades."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data_fetch.core.settings import Settings
from data_fetch.publishing.redis_streams import TICKS
from data_fetch.reading.feed_ticks import feed_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMinute:
    """The newest minute of *symbol*, from *start* (UTC) on, with the tick that was received at
    *received_at* from *source*, a provider. Prices are rupees, *volume* is shares. Provisional."""

    symbol: str
    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    source: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class _Tick:
    """The *minute* is None where the feed's mode has none."""

    minute: RunningMinute | None
    received_at: datetime


def running_minutes(settings: Settings) -> dict[str, RunningMinute]:
    """The newest minute by symbol, of the symbols whose ticks the collector of this folder has
    received with one; none without a feed."""
    ticks = feed_ticks(settings, TICKS, _of_document)
    return {each.minute.symbol: each.minute for each in ticks if each.minute is not None}


def _of_document(tick: Mapping[str, Any], source: str) -> _Tick:
    bar, received_at = tick["minute"], datetime.fromisoformat(tick["received_at"])
    if bar is None:
        return _Tick(None, received_at)
    minute = RunningMinute(
        symbol=str(tick["product"]),
        start=datetime.fromisoformat(bar["timestamp"]),
        open=float(bar["open"]),
        high=float(bar["high"]),
        low=float(bar["low"]),
        close=float(bar["close"]),
        volume=int(bar["volume"]),
        source=source,
        received_at=received_at,
    )
    return _Tick(minute, received_at)
