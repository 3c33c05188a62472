"""The limits that Upstox publishes: of requests to each of its APIs, and of keys in its feed."""

from collections.abc import Mapping
from datetime import timedelta

from data_fetch.core.feed.modes import FeedLimits, Mode

# Width of a sliding window -> how many requests of one user and API it may contain.
UPSTOX_LIMITS: Mapping[timedelta, int] = {
    timedelta(seconds=1): 50,
    timedelta(minutes=1): 500,
    timedelta(minutes=30): 2000,
}

# Keys of one connection of the feed: documentation of the market data feed V3, "Limits".
FEED_LIMITS = FeedLimits(
    alone={Mode.LTPC: 5000, Mode.OPTION_GREEKS: 3000, Mode.FULL: 2000},
    mixed={Mode.LTPC: 2000, Mode.OPTION_GREEKS: 2000, Mode.FULL: 1500},
)
PLUS_FEED_LIMITS = FeedLimits(
    alone={**FEED_LIMITS.alone, Mode.FULL_D30: 50},
    mixed={**FEED_LIMITS.mixed, Mode.FULL_D30: 1500},
)
