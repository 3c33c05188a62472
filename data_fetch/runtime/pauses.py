"""The pauses that providers require at present."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from data_fetch.core.clock import SystemClock
from data_fetch.core.settings import NSE_URL, UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.transport.pacing import Pacer, state_file_for
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS


def required_pauses(settings: Settings) -> Mapping[str, datetime]:
    """Until when a provider wants no request to an API, by the name of the API; live world only.

    The paper exchange requires pauses only of the process that it answers.
    """
    if settings.world is World.PAPER:
        return {}
    upstox = urlsplit(settings.base_url or UPSTOX_URL).netloc
    nse = urlsplit(settings.nse_base_url or NSE_URL).netloc
    return {
        **_pauses(state_file_for(nse, ""), NSE_LIMITS),
        **_pauses(state_file_for(upstox, settings.access_token.get_secret_value()), UPSTOX_LIMITS),
    }


def _pauses(ledger: Path, limits: Mapping[timedelta, int]) -> Mapping[str, datetime]:
    if not ledger.exists():
        return {}
    with closing(Pacer(ledger, SystemClock(), limits)) as pacer:
        return pacer.pauses()
