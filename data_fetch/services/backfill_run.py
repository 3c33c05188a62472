"""A backfill in progress: its plan, its requests under way, and its report so far."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from threading import Event
from typing import Self

from data_fetch.core.candles.candles import CandleReply
from data_fetch.core.candles.request_planner import Estimate, Window
from data_fetch.core.failures import FailureGroup
from data_fetch.core.ports import CandleSource, Clock
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.services.backfill_report import BackfillReport, Outage, Progress
from data_fetch.services.clocked_pool import ResultPool
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.services.outage import OutageWatch, Patience

log = logging.getLogger("data_fetch.backfill_service")

WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """The requests that an order needs now, and their cost.

    It is as of *made_at*. *held_back* days are incomplete too, but are not requested before
    *next_attempt*. The hours of *provisional_sessions* are not reviewed.
    """

    made_at: datetime
    order: BackfillOrder
    windows: Sequence[Window]
    estimate: Estimate
    held_back: int
    next_attempt: datetime | None
    provisional_sessions: Sequence[date]


class RequestsInFlight:
    """Requests under way, each on a thread of its own; on leaving, all have been answered."""

    def __init__(self, source: CandleSource, clock: Clock) -> None:
        self._source = source
        self._cancelled = Event()
        self._pool = ResultPool[tuple[Window, CandleReply]](clock, WORKERS, "candles")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._pool.close()

    def __len__(self) -> int:
        return len(self._pool)

    def send(self, window: Window) -> None:
        self._pool.submit(self._request, window)

    def replies(self) -> list[tuple[Window, CandleReply]]:
        """The next replies; none after a short wait, so that the caller can look around."""
        return self._pool.results()

    def cancel(self) -> None:
        """Drop the requests that still wait for the rate limits."""
        self._cancelled.set()

    def _request(self, window: Window) -> tuple[Window, CandleReply]:
        return window, self._source.candles(window, self._cancelled)


class BackfillRun:
    """A run in progress: its report so far, its audit row, and what is still to be sent."""

    def __init__(self, plan: BackfillPlan, begun: SyncRun, patience: Patience) -> None:
        self.plan = plan
        self.begun = begun
        self.run_id = begun.run_id
        self.report = BackfillReport(run_id=begun.run_id, windows=len(plan.windows))
        self.queue = deque(plan.windows)
        self.watch = OutageWatch[Window, CandleReply](patience)
        self.unknown: dict[str, CandleReply] = {}

    @property
    def unfinished(self) -> bool:
        return bool(self.queue or self.watch.aside)

    def count(self, window: Window, reply: CandleReply, outside: Mapping[date, int]) -> None:
        """Add one reply to the report."""
        self.report.count(reply, outside)
        if reply.rejected_rows or outside:
            log.warning(
                "rows_rejected",
                extra={
                    "symbol": window.instrument.symbol,
                    "reasons": dict(reply.rejected_rows),
                    "outside_sessions": {str(day): rows for day, rows in outside.items()},
                },
            )

    def progress(self, outage: Outage | None = None) -> Progress:
        report = self.report
        return Progress(
            windows=report.windows, done=report.done, candles=report.candles, outage=outage
        )

    def row(self, now: datetime, outcome: Outcome, error: str | None) -> SyncRun:
        """The audit row as of *now*."""
        report = self.report
        return self.begun.finish(
            now,
            outcome,
            requested=report.windows,
            stored=report.candles,
            absent=report.failures[FailureGroup.EMPTY],
            quarantined=report.failures[FailureGroup.UNKNOWN_INSTRUMENT],
            rejected=report.rejected,
            requests=report.requests,
            error=error,
            details=report.facts(),
        )
