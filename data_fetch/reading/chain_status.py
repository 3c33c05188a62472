"""Option chains in the store: what is held, what is polled, how often it is received."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.polling import PollingPlan
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS
from data_fetch.reading.instants import ist_text
from data_fetch.reading.polling_plan import (
    answering_source,
    nse_plan,
    plan_within,
    requests_per_minute,
)
from data_fetch.reading.records import listed_instruments
from data_fetch.runtime.limits import first_chain_source
from data_fetch.services.polling import Polling
from data_fetch.storage.chains.snapshots import ChainHolding, ChainHoldings, chain_holdings
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import SyncStatus, statuses


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """The chains of a store. *plan* is the one in force: within the limits of the *answering*
    source. *nse* is the plan that NSE's site alone would allow."""

    settings: Settings
    holdings: ChainHoldings
    configs: tuple[SymbolConfig, ...]
    answering: ChainSource
    plan: PollingPlan
    nse: PollingPlan
    statuses: Mapping[str, SyncStatus]

    @property
    def first_source(self) -> ChainSource:
        """The source that is tried first."""
        return first_chain_source(self.settings)

    def holding(self, symbol: str) -> ChainHolding | None:
        """The newest snapshot of *symbol*."""
        of = (each for each in self.holdings.underlyings if each.underlying == symbol)
        return next(of, None)

    def planned_seconds(self, symbol: str) -> float | None:
        """How often *symbol* is polled, as planned; None when it is paused."""
        cadence = self.plan.of(symbol)
        return None if cadence is None else round(cadence.planned_interval, 1)

    def nse_interval(self) -> dict[str, float | None] | None:
        """NSE_FETCH_INTERVAL as set, as the limits of NSE's site allow, and as it really is.

        None when it is not set.
        """
        requested = self.settings.nse_fetch_interval
        if requested is None:
            return None
        polled = {cadence.symbol for cadence in self.nse.cadences}
        actual = [
            each.cadence_seconds
            for each in self.holdings.underlyings
            if each.source == "nse"
            and each.underlying in polled
            and each.cadence_seconds is not None
        ]
        planned = [cadence.planned_interval for cadence in self.nse.cadences]
        return {
            "requested": requested,
            "feasible": round(max(planned, default=requested), 1),
            "actual": max(actual, default=None),
        }

    def document(self) -> dict[str, Any]:
        return {
            "snapshots": self.holdings.snapshots,
            "legs": self.holdings.legs,
            "answering": str(self.answering),
            "requests_per_minute": requests_per_minute(self.plan),
            "feasible": self.plan.feasible,
            "nse_enabled": self.settings.nse_enabled,
            "nse_fetch_interval": self.nse_interval(),
            "symbols": [self._symbol_document(config) for config in self.configs],
        }

    def _symbol_document(self, config: SymbolConfig) -> dict[str, Any]:
        holding, status = self.holding(config.symbol), self.statuses.get(config.symbol)
        return {
            "symbol": config.symbol,
            "active": config.active,
            "requested_seconds": config.refresh_seconds,
            "feasible_seconds": self.planned_seconds(config.symbol),
            "actual_seconds": holding.cadence_seconds if holding else None,
            "source": holding.source.value if holding else None,
            "expiry": holding.expiry.isoformat() if holding else None,
            "last_confirmed": ist_text(holding.last_confirmed) if holding else None,
            "status": str(status.status) if status else None,
            "error": status.error if status else None,
        }


def chain_status(settings: Settings, store: Store) -> ChainStatus:
    """The status of option chains as far as *store* knows; contacts no provider."""
    with store.reading() as connection:
        polling = Polling(settings, store, listed_instruments(connection, settings))
    answering = answering_source(polling)
    return ChainStatus(
        settings,
        chain_holdings(store),
        tuple(polling.configs()),
        answering,
        plan_within(polling, answering),
        nse_plan(polling),
        statuses(store, CHAINS),
    )
