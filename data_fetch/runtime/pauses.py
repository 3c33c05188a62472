"""What providers allow at present: the pauses that they require, and the use of their limits."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import NSE_URL, UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.transport.pacing import Pacer, state_file_for
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

    The paper exchange requires pauses only of the process that it answers.
    """
    found: dict[str, datetime] = {}
    for pacer in _pacers(settings):
        found |= pacer.pauses()
    return found


def used_windows(settings: Settings) -> list[WindowUse]:
    """How far the limits of providers are used up by this machine; live world only.

    The limits of a paper exchange are those of the process that it answers.
    """
    return [
        WindowUse(api, window, used, pacer.limits[window])
        for pacer in _pacers(settings)
        for (api, window), used in pacer.used().items()
    ]


def _pacers(settings: Settings) -> Iterator[Pacer]:
    """Those of the live providers that something was sent to."""
    if settings.world is World.PAPER:
        return
    upstox = urlsplit(settings.base_url or UPSTOX_URL).netloc
    nse = urlsplit(settings.nse_base_url or NSE_URL).netloc
    token = settings.access_token.get_secret_value()
    for ledger, limits in (
        (state_file_for(nse, ""), NSE_LIMITS),
        (state_file_for(upstox, token), UPSTOX_LIMITS),
    ):
        if ledger.exists():
            with closing(Pacer(ledger, SystemClock(), limits)) as pacer:
                yield pacer
