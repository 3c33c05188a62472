"""The status of a store: what it holds, its last runs, the symbols that keep failing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_fetch.core.runs import Outcome, SyncRun, SyncState
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import QUOTES, READINESS
from data_fetch.core.work import UnitCount
from data_fetch.core.world import World
from data_fetch.reading.alert_list import AlertList, alerts_of
from data_fetch.reading.calendar_status import CalendarStatus, calendar_status
from data_fetch.reading.chain_status import ChainStatus, chain_status
from data_fetch.reading.feed_status import FeedSummary, feed_in
from data_fetch.reading.instants import day_text, ist_text
from data_fetch.reading.layout_status import StoreLayout, layout_of_store
from data_fetch.reading.quote_holdings import quote_holdings
from data_fetch.reading.records import clock_of, store_of
from data_fetch.reading.token_status import TokenStatus, token_status
from data_fetch.reading.unit_documents import count_document, open_units
from data_fetch.reading.windows_status import WindowsStatus, windows_status
from data_fetch.runtime.stores import degraded_reason
from data_fetch.storage.candles.coverage import CandleHoldings, candle_holdings
from data_fetch.storage.quotes import QuoteHoldings
from data_fetch.storage.runs import SyncStatus, outcomes, recent_runs, statuses

SHOWN_RUNS = 5
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """The status of the store *name*; *degraded* is the reason why `run` could not use the
    configured one, if so; *windows* are the rate windows, and the pauses that providers require.
    *token* is None where none is needed, *readiness* before the first check, *feed* where no
    collector ever had one."""

    name: str
    world: World
    layout: StoreLayout
    degraded: str | None
    quotes: QuoteHoldings
    candles: CandleHoldings
    candles_of_last_day: CandleHoldings
    chains: ChainStatus
    calendar: CalendarStatus
    slots: dict[Outcome, int]
    runs: list[SyncRun]
    failing: list[SyncStatus]
    token: TokenStatus | None
    readiness: SyncRun | None
    windows: WindowsStatus
    alerts: AlertList
    units: list[UnitCount]
    feed: FeedSummary | None

    def document(self) -> dict[str, Any]:
        return {
            "world": str(self.world),
            "store": self.name,
            "layout": self.layout.document(),
            "state": "degraded" if self.degraded else "ok",
            "degraded": self.degraded,
            "quotes": {
                "rows": self.quotes.rows,
                "symbols": self.quotes.symbols,
                "first_slot": ist_text(self.quotes.first_slot),
                "last_slot": ist_text(self.quotes.last_slot),
            },
            "candles": {
                "minutes": self.candles.candles,
                "provisional": self.candles.provisional,
                "first_day": day_text(self.candles.first_day),
                "last_day": day_text(self.candles.last_day),
                "missed_on_last_day": self.candles_of_last_day.missed,
            },
            "slots": {str(outcome): count for outcome, count in self.slots.items()},
            "last_runs": [_run_document(run) for run in self.runs],
            "failing": [_failing_document(one) for one in self.failing],
            "chains": self.chains.document(),
            "calendar": self.calendar.document(),
            "token": None if self.token is None else self.token.document(),
            "readiness": None if self.readiness is None else _readiness(self.readiness),
            **self.windows.document(),
            "alerts": self.alerts.summary(),
            "units": [count_document(each) for each in self.units],
            "feed": None if self.feed is None else self.feed.document(),
        }


def store_status(settings: Settings) -> StoreStatus:
    """The status of the configured store, or of the one that `run` fell back to.

    Raises StoreUnreachable.
    """
    with store_of(settings) as store:
        candles = candle_holdings(store)
        return StoreStatus(
            name=store.name,
            world=store.world,
            layout=layout_of_store(store),
            degraded=degraded_reason(settings),
            quotes=quote_holdings(settings, store),
            candles=candles,
            candles_of_last_day=(
                candle_holdings(store, candles.last_day, candles.last_day)
                if candles.last_day
                else candles
            ),
            chains=chain_status(settings, store),
            calendar=calendar_status(settings),
            slots=outcomes(store, QUOTES, BEGINNING),
            runs=recent_runs(store, SHOWN_RUNS),
            failing=[
                one for one in statuses(store, QUOTES).values() if one.status is not SyncState.OK
            ],
            token=token_status(settings),
            readiness=next(iter(recent_runs(store, 1, READINESS)), None),
            windows=windows_status(settings),
            alerts=alerts_of(store),
            units=open_units(store),
            feed=feed_in(store, clock_of(settings).now()),
        )


def _readiness(run: SyncRun) -> dict[str, Any]:
    return {
        "checked_at": ist_text(run.started_at),
        "verdict": run.details["verdict"],
        "reasons": run.details["reasons"],
    }


def _run_document(run: SyncRun) -> dict[str, Any]:
    return {
        "job": run.job,
        "slot": ist_text(run.due_slot),
        "outcome": str(run.outcome),
        "requested": run.requested,
        "stored": run.stored,
        "error": run.error,
    }


def _failing_document(one: SyncStatus) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "status": str(one.status),
        "consecutive_failures": one.consecutive_failures,
        "last_success": ist_text(one.last_success),
        "error": one.error,
    }
