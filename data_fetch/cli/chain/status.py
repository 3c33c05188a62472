"""What `data-fetch status` says of option chains: what is held, polled, wished and reached."""

from collections.abc import Mapping
from dataclasses import dataclass

from data_fetch.cli.shared.output import ist_text
from data_fetch.core.chains.polling import PollingPlan
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.clock import IST
from data_fetch.core.runs import SyncState
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS
from data_fetch.runtime.chains import polling_in
from data_fetch.services.chain_jobs import plan_line
from data_fetch.storage.chains.snapshots import ChainHolding, ChainHoldings, chain_holdings
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import SyncStatus, statuses


@dataclass(frozen=True, slots=True)
class ChainsSeen:
    """What there is to say of chains. *nse* is what NSE's site alone would allow."""

    settings: Settings
    holdings: ChainHoldings
    configs: tuple[SymbolConfig, ...]
    plan: PollingPlan
    nse: PollingPlan
    statuses: Mapping[str, SyncStatus]

    @property
    def held(self) -> dict[str, ChainHolding]:
        return {each.underlying: each for each in self.holdings.underlyings}


def look_at_chains(settings: Settings, store: Store) -> ChainsSeen:
    """Asks no provider."""
    polling = polling_in(settings, store)
    return ChainsSeen(
        settings,
        chain_holdings(store),
        tuple(polling.configs()),
        polling.plan(),
        polling.nse_plan(),
        statuses(store, CHAINS),
    )


def chains_document(seen: ChainsSeen) -> dict[str, object]:
    return {
        "snapshots": seen.holdings.snapshots,
        "legs": seen.holdings.legs,
        "requests_per_minute": {
            "wished": round(seen.plan.wished, 2),
            "budget": round(seen.plan.budget, 2),
        },
        "feasible": seen.plan.feasible,
        "nse_enabled": seen.settings.nse_enabled,
        "nse_fetch_interval": _nse_document(seen),
        "symbols": [_symbol_document(seen, config) for config in seen.configs],
    }


def chain_lines(seen: ChainsSeen) -> list[str]:
    held = seen.holdings
    lines = [
        f"Chains  {held.snapshots:,} snapshots, {held.legs:,} legs",
        f"  {plan_line(seen.plan)}",
    ]
    lines += [_symbol_line(seen, config) for config in seen.configs if config.active]
    if (nse := _nse_line(seen)) is not None:
        lines.append(nse)
    return lines


def _symbol_document(seen: ChainsSeen, config: SymbolConfig) -> dict[str, object]:
    held, status = seen.held.get(config.symbol), seen.statuses.get(config.symbol)
    return {
        "symbol": config.symbol,
        "active": config.active,
        "wished_seconds": config.refresh_seconds,
        "feasible_seconds": _planned(seen.plan, config.symbol),
        "reached_seconds": held.cadence_seconds if held else None,
        "source": held.source.value if held else None,
        "expiry": held.expiry.isoformat() if held else None,
        "last_confirmed": ist_text(held.last_confirmed) if held else None,
        "status": str(status.status) if status else None,
        "error": status.error if status else None,
    }


def _symbol_line(seen: ChainsSeen, config: SymbolConfig) -> str:
    held, status = seen.held.get(config.symbol), seen.statuses.get(config.symbol)
    planned = _planned(seen.plan, config.symbol)
    told = f"  {config.symbol:<12} every {planned:.0f} s" if planned else f"  {config.symbol:<12}"
    if held is None:
        told += ", nothing yet"
    else:
        if held.cadence_seconds is not None:
            told += f" (reached {held.cadence_seconds:.0f} s)"
        when = f"{held.last_confirmed.astimezone(IST):%d %b %H:%M:%S}"
        told += f", {held.expiry} last from {held.source} at {when}"
    if status is not None and status.status is not SyncState.OK:
        told += f"; {status.status} {status.consecutive_failures} times in a row: {status.error}"
    return told


def _nse_document(seen: ChainsSeen) -> dict[str, object] | None:
    wished = seen.settings.nse_fetch_interval
    if wished is None:
        return None
    polled = {cadence.symbol for cadence in seen.nse.cadences}
    reached = [
        each.cadence_seconds
        for each in seen.holdings.underlyings
        if each.source == "nse" and each.underlying in polled and each.cadence_seconds is not None
    ]
    return {
        "wished": wished,
        "feasible": round(max((c.planned for c in seen.nse.cadences), default=wished), 1),
        "reached": max(reached, default=None),
    }


def _nse_line(seen: ChainsSeen) -> str | None:
    told = _nse_document(seen)
    if told is None or seen.nse.feasible:
        return None
    reached = "nothing reached yet" if told["reached"] is None else f"reached {told['reached']} s"
    return (
        f"  NSE_FETCH_INTERVAL={told['wished']:g} is shorter than politeness allows for "
        f"{len(seen.nse.cadences)} symbols: {told['feasible']} s; {reached}"
    )


def _planned(plan: PollingPlan, symbol: str) -> float | None:
    cadence = plan.of(symbol)
    return None if cadence is None else round(cadence.planned, 1)
