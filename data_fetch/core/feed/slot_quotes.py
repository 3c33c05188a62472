"""The quotes that a feed has at the close of a slot. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.clock import MINUTE
from data_fetch.core.feed.liveness import Condition, FeedState
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.quotes.quotes import Quote

SOURCE = "feed"


@dataclass(frozen=True, slots=True)
class SlotClose:
    """The *ticks* at the end of *slot*, by live key: the newest ones, then those that they may have
    replaced since."""

    slot: datetime
    ticks: Sequence[Mapping[str, Tick]]

    def of(self, live_key: str) -> Tick | None:
        """The newest tick of a key that is not of the next minute."""
        found = (ticks[live_key] for ticks in self.ticks if live_key in ticks)
        return next((each for each in found if not self._is_later(each)), None)

    def _is_later(self, tick: Tick) -> bool:
        end, traded = self.slot + MINUTE, tick.traded_at
        was_traded = traded is not None and traded >= end
        return was_traded or (tick.server_time is not None and tick.server_time > end)


def was_live(condition: Condition, connected_since: datetime | None, slot: datetime) -> bool:
    """Whether the feed was live on one connection from the beginning of *slot* until now."""
    live = condition.state is FeedState.LIVE and condition.since <= slot
    return live and connected_since is not None and connected_since <= slot


def closing_quote(tick: Tick, instrument_key: str, slot: datetime) -> Quote | None:
    """The quote of *tick*; None unless both the trade and the message are of *slot*.

    It has no volume: that of the feed may be higher than what the provider's other endpoints have
    later, and they would seem to have fallen.
    """
    traded, sent = tick.traded_at, tick.server_time
    if traded is None or sent is None:
        return None
    # A message at the very end may be of a trade before it.
    if not (slot <= traded < slot + MINUTE and slot <= sent <= slot + MINUTE):
        return None
    return Quote(
        instrument_key=instrument_key,
        last_price=tick.last_price,
        ltq=tick.ltq,
        prev_close=tick.prev_close,
    )
