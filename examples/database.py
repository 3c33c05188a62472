"""The configuration of polled option chains, with the calls of an older collector.

Put this file beside a script that has `from database import TimescaleDBManager`. The store is that
of the working folder's `.env`, SQLite or PostgreSQL.
"""

import logging
from typing import TypedDict

from data_fetch.core.chains.symbol_config import LATEST_SECONDS, SOONEST_SECONDS
from data_fetch.core.errors import SetupError
from data_fetch.runtime.chains import polling_for
from data_fetch.runtime.reporting import SILENT
from data_fetch.runtime.settings import process_settings
from data_fetch.services.polling import Polling

log = logging.getLogger(__name__)


class AvailableSymbol(TypedDict):
    """A symbol that is polled or paused; *refresh_interval* is in seconds."""

    symbol: str
    instrument_key: str
    is_active: bool
    refresh_interval: int


class TimescaleDBManager:
    """Which option chains are polled. A running collector follows a change within a minute."""

    def update_symbol_config(
        self, symbol: str, instrument_key: str, refresh_interval: int = 30
    ) -> bool:
        """Poll the option chains of *symbol* every *refresh_interval* seconds.

        False when that is refused: a symbol or key that is not known, a key of another
        instrument, an underlying without options, an interval out of bounds. The log has the
        reason. Raises StoreUnreachable when the database does not answer.
        """
        with polling_for(process_settings(), SILENT) as (polling, now):
            try:
                _refuse_another(polling, symbol, instrument_key)
                _refuse_unusual(refresh_interval)
                polling.add([symbol], {"refresh_seconds": refresh_interval}, now)
            except SetupError as refusal:
                log.warning("the configuration of %s is unchanged: %s", symbol, refusal)
                return False
        return True

    def get_available_symbols(self) -> list[AvailableSymbol]:
        """Every symbol that is polled or paused, also those without a configuration."""
        with polling_for(process_settings(), SILENT) as (polling, _):
            return [
                AvailableSymbol(
                    symbol=each.symbol,
                    instrument_key=each.instrument_key,
                    is_active=each.active,
                    refresh_interval=each.refresh_seconds,
                )
                for each in polling.configs()
            ]


def _refuse_another(polling: Polling, symbol: str, instrument_key: str) -> None:
    named, keyed = polling.underlying(symbol), polling.underlying(instrument_key)
    if named != keyed:
        raise SetupError(
            f"{instrument_key} is the key of {keyed.symbol}",
            hint=f"The key of {named.symbol} is {named.instrument_key}.",
        )


def _refuse_unusual(seconds: int) -> None:
    if not SOONEST_SECONDS <= seconds <= LATEST_SECONDS:
        raise SetupError(
            f"a refresh interval of {seconds} s is out of bounds",
            hint=f"Choose from {SOONEST_SECONDS} to {LATEST_SECONDS} seconds.",
        )
