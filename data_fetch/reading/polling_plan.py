"""Which option chains are polled, and how often the rate limits allow it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.polling import PollingPlan, plan_polling
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS
from data_fetch.reading.records import listed_instruments, store_of
from data_fetch.runtime.limits import CHAIN_LIMITS, first_chain_source
from data_fetch.services.polling import Polling
from data_fetch.storage.runs import recent_runs


@dataclass(frozen=True, slots=True)
class PolledChains:
    """The configured symbols, and the plan of their polling."""

    configs: Sequence[SymbolConfig]
    plan: PollingPlan

    def planned_seconds(self, symbol: str) -> float | None:
        """How often *symbol* is polled, as planned; None when it is paused."""
        cadence = self.plan.of(symbol)
        return None if cadence is None else round(cadence.planned_interval, 1)

    def document(self) -> dict[str, Any]:
        return {
            "symbols": [
                {
                    "symbol": each.symbol,
                    "instrument_key": each.instrument_key,
                    "active": each.active,
                    "refresh_seconds": each.refresh_seconds,
                    "feasible_seconds": self.planned_seconds(each.symbol),
                    "expiries": each.expiries,
                    "strikes": each.strikes,
                    "pinned": each.pinned,
                }
                for each in self.configs
            ],
            "requests_per_minute": requests_per_minute(self.plan),
            "feasible": self.plan.feasible,
        }


def polled_chains(polling: Polling) -> PolledChains:
    """The symbols of *polling*, planned within the limits of the first source."""
    return PolledChains(polling.configs(), polling_plan(polling))


def polled_now(settings: Settings) -> PolledChains:
    """The same of the configured store. Raises SymbolsFileBad, StoreUnreachable."""
    with store_of(settings) as store:
        with store.reading() as connection:
            polling = Polling(settings, store, listed_instruments(connection, settings))
        return polled_chains(polling)


def polling_plan(polling: Polling) -> PollingPlan:
    """How often each symbol can be polled within the limits of the first source."""
    return plan_within(polling, first_chain_source(polling.settings))


def plan_within(polling: Polling, source: ChainSource) -> PollingPlan:
    """How often each symbol can be polled within the limits of *source*."""
    return plan_polling(polling.poll_targets().poll_requests, CHAIN_LIMITS[source].windows)


def answering_source(polling: Polling) -> ChainSource:
    """The source whose limits the collector followed when it last polled; before any poll, the
    one that is tried first."""
    for run in recent_runs(polling.store, 1, CHAINS):
        if (answering := run.details.get("answering")) is not None:
            return ChainSource(str(answering))
    return first_chain_source(polling.settings)


def nse_plan(polling: Polling) -> PollingPlan:
    """How often NSE's site alone could be polled, at NSE_FETCH_INTERVAL where that is set."""
    seconds, requests = polling.settings.nse_fetch_interval, polling.poll_targets().poll_requests
    if seconds is not None:
        requests = [replace(each, requested_interval=seconds) for each in requests]
    return plan_polling(requests, CHAIN_LIMITS[ChainSource.NSE].windows)


def requests_per_minute(plan: PollingPlan) -> dict[str, float]:
    """The requests of *plan* and the limit, as JSON has them."""
    return {"requested": round(plan.requested, 2), "budget": round(plan.budget, 2)}
