"""`data-fetch status`: what the store holds and how the last runs went."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import click

from data_fetch.cli.chain.status import ChainsSeen, chain_lines, chains_document, look_at_chains
from data_fetch.cli.run import run_line
from data_fetch.cli.shared.output import emit, ist_text, json_option, say
from data_fetch.core.runs import Outcome, SyncRun, SyncState
from data_fetch.core.timetable import QUOTES
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.stores import degraded_reason, store_to_look_at
from data_fetch.storage.candles.coverage import CandleHoldings, candle_holdings
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteHoldings, QuoteStore
from data_fetch.storage.runs import SyncStatus, outcomes, recent_runs, statuses

SHOWN_RUNS = 5
EVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Overview:
    """What there is to say of a store."""

    store: Store
    degraded: str | None
    holdings: QuoteHoldings
    candles: CandleHoldings
    candles_of_last_day: CandleHoldings
    chains: ChainsSeen
    slots: dict[Outcome, int]
    runs: list[SyncRun]
    failing: list[SyncStatus]


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show the store, its last runs, and the symbols that keep failing."""
    settings = process_settings()
    store = store_to_look_at(settings)
    candles = candle_holdings(store)
    seen = Overview(
        store,
        degraded_reason(settings),
        QuoteStore(store).holdings(),
        candles,
        candle_holdings(store, candles.last_day),
        look_at_chains(settings, store),
        outcomes(store, QUOTES, EVER),
        recent_runs(store, SHOWN_RUNS),
        [s for s in statuses(store, QUOTES).values() if s.status is not SyncState.OK],
    )
    if as_json:
        emit(document(seen))
    else:
        for line in lines(seen):
            say(line)


def document(seen: Overview) -> dict[str, object]:
    return {
        "world": str(seen.store.world),
        "store": seen.store.name,
        "state": "degraded" if seen.degraded else "ok",
        "degraded": seen.degraded,
        "quotes": {
            "rows": seen.holdings.rows,
            "symbols": seen.holdings.symbols,
            "first_slot": ist_text(seen.holdings.first_slot),
            "last_slot": ist_text(seen.holdings.last_slot),
        },
        "candles": {
            "minutes": seen.candles.candles,
            "provisional": seen.candles.provisional,
            "first_day": iso_day(seen.candles.first_day),
            "last_day": iso_day(seen.candles.last_day),
            "missed_on_last_day": seen.candles_of_last_day.missed,
        },
        "slots": {str(outcome): count for outcome, count in seen.slots.items()},
        "last_runs": [
            {
                "job": run.job,
                "slot": ist_text(run.due_slot),
                "outcome": str(run.outcome),
                "requested": run.requested,
                "stored": run.stored,
                "error": run.error,
            }
            for run in seen.runs
        ],
        "failing": [
            {
                "symbol": one.symbol,
                "status": str(one.status),
                "consecutive_failures": one.consecutive_failures,
                "last_success": ist_text(one.last_success),
                "error": one.error,
            }
            for one in seen.failing
        ],
        "chains": chains_document(seen.chains),
    }


def lines(seen: Overview) -> list[str]:
    held = seen.holdings
    slots = ", ".join(f"{count} {outcome}" for outcome, count in seen.slots.items() if count)
    return [
        f"Store   {seen.store.name}, {seen.store.world} world",
        f"State   {'degraded: ' + seen.degraded if seen.degraded else 'ok'}",
        f"Quotes  {held.rows} rows of {held.symbols} symbols"
        + (f", {ist_text(held.first_slot)} to {ist_text(held.last_slot)}" if held.rows else ""),
        candle_line(seen),
        *chain_lines(seen.chains),
        f"Slots   {slots or 'none yet: start collecting with data-fetch run'}",
        *(f"  {run_line(run)}" for run in seen.runs),
        *(
            f"  {one.symbol:<12} {one.status}, {one.consecutive_failures} times in a row: "
            f"{one.error}"
            for one in seen.failing
        ),
    ]


def candle_line(seen: Overview) -> str:
    """The minutes that are held, and what of the last day is ours to fetch still."""
    held = seen.candles
    if held.last_day is None:
        return "Candles none yet: fetch some with data-fetch backfill, or start data-fetch run"
    return (
        f"Candles {held.candles:,} minutes of {held.first_day} to {held.last_day}, "
        f"{held.provisional:,} provisional; {seen.candles_of_last_day.missed:,} missed on "
        f"{held.last_day}"
    )


def iso_day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
