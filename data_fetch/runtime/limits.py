"""The rate limits of the configured sources."""

from collections.abc import Mapping
from datetime import timedelta

from data_fetch.core.settings import Settings
from data_fetch.sources.nse.site import NSE_LIMITS
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS


def limits_of(settings: Settings) -> Mapping[timedelta, int]:
    """The rate windows of the first source for chains."""
    return NSE_LIMITS if settings.data_source == "nse" else UPSTOX_LIMITS
