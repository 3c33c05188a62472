"""Lines on option chains for `data-fetch status`."""

from data_fetch.cli.shared.output import counted
from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.clock import IST
from data_fetch.core.runs import SyncState
from data_fetch.reading.chain_status import ChainStatus
from data_fetch.services.chain_jobs import plan_in_force_line


def chain_lines(found: ChainStatus) -> list[str]:
    held = found.holdings
    lines = [
        f"Chains  {counted(held.snapshots, 'snapshot')}, {counted(held.legs, 'leg')}",
        f"  {plan_in_force_line(found.plan, found.answering, found.first_source)}",
    ]
    lines += [_symbol_line(found, config) for config in found.configs if config.active]
    if (nse := _nse_line(found)) is not None:
        lines.append(nse)
    return lines


def _symbol_line(found: ChainStatus, config: SymbolConfig) -> str:
    held, status = found.holding(config.symbol), found.statuses.get(config.symbol)
    planned = found.planned_seconds(config.symbol)
    line = f"  {config.symbol:<12} every {planned:.0f} s" if planned else f"  {config.symbol:<12}"
    if held is None:
        line += ", nothing yet"
    else:
        if held.cadence_seconds is not None:
            line += f" (actual {held.cadence_seconds:.0f} s)"
        when = f"{held.last_confirmed.astimezone(IST):%d %b %H:%M:%S}"
        line += f", {held.expiry} last from {held.source} at {when}"
    if status is not None and status.status is not SyncState.OK:
        line += f"; {status.status} {status.consecutive_failures} times in a row: {status.error}"
    return line


def _nse_line(found: ChainStatus) -> str | None:
    interval = found.nse_interval()
    if interval is None or found.nse.feasible:
        return None
    measured = interval["actual"]
    actual = "none yet" if measured is None else f"{measured:.0f} s"
    return (
        f"  NSE_FETCH_INTERVAL={interval['requested']:g} is too short for "
        f"{counted(len(found.nse.cadences), 'symbol')}: the minimum is {interval['feasible']:g} s "
        f"(actual: {actual})."
    )
