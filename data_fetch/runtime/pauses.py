"""What providers allow at present: the pauses that they require, and the use of their limits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import NSE_URL, UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.runtime.provider_token import token_of
from data_fetch.runtime.rate_windows import provider_windows
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS


@dataclass(frozen=True, slots=True)
class WindowUse:
    """The requests to *api* that count in a sliding *window*, of at most *limit*."""

    api: str
    window: timedelta
    used: int
    limit: int


def required_pauses(settings: Settings) -> Mapping[str, datetime]:
    """Until when a provider wants no request to an API, by the name of the API; live world only.

    The paper exchange requires pauses only of the process that it answers. Raises
    WindowsUnavailable when the rate windows do not answer.
    """
    found: dict[str, datetime] = {}
    with _pacers(settings) as pacers:
        for pacer in pacers:
            found |= pacer.pauses()
    return found


def unknown_until(settings: Settings) -> datetime | None:
    """Until when nothing is sent to Upstox because the rate windows were lost; live world only.

    None when they are known. Raises WindowsUnavailable when they do not answer.
    """
    with _pacers(settings) as pacers:
        return max(filter(None, (pacer.unknown_until() for pacer in pacers)), default=None)


def used_windows(settings: Settings) -> list[WindowUse]:
    """How far the limits of providers are used up; live world only.

    The limits of a paper exchange are those of the process that it answers. Raises
    WindowsUnavailable when the rate windows do not answer.
    """
    with _pacers(settings) as pacers:
        return [
            WindowUse(api, window, used, pacer.limits[window])
            for pacer in pacers
            for (api, window), used in pacer.used().items()
        ]


@contextmanager
def _pacers(settings: Settings) -> Iterator[Sequence[Pacer]]:
    """Those of the live providers."""
    if settings.world is World.PAPER:
        yield ()
        return
    upstox = urlsplit(settings.base_url or UPSTOX_URL).netloc
    nse = urlsplit(settings.nse_base_url or NSE_URL).netloc
    token = token_of(settings).held
    with closing(provider_windows(settings)) as windows:
        yield [
            Pacer(windows, partial(account_of, *account), SystemClock(), limits)
            for account, limits in (((nse, ""), NSE_LIMITS), ((upstox, token), UPSTOX_LIMITS))
        ]
