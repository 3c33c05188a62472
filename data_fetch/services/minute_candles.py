"""The bar of each minute, as soon as the minute is over.

These bars are provisional: the provider's history has the last word. One that does not come
here is missed in the ledger, and the next coverage check asks for it.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from data_fetch.core.candles.candles import (
    CandleBlock,
    OhlcResponse,
    Provenance,
    SessionCandles,
    placed,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import MINUTE, minute_of
from data_fetch.core.errors import OutsideError, TokenRejected
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.ports import Clock, MinuteCandleSource
from data_fetch.core.quotes.key_results import by_reason, key_results_without_records
from data_fetch.core.runs import Outcome, SyncRun, SyncState, new_run_id
from data_fetch.core.timetable import CANDLES
from data_fetch.storage.candles.repository import CandleRepository

log = logging.getLogger(__name__)


class CandleService:
    """Stores the last completed minute of all *members*.

    Safe to run again at any time: a bar that is stored with the same values writes nothing.
    """

    def __init__(
        self,
        *,
        source: MinuteCandleSource,
        source_name: str,
        repository: CandleRepository,
        members: Sequence[Instrument],
        calendar: MarketCalendar,
        clock: Clock,
    ) -> None:
        self._source = source
        self._source_name = source_name
        self._repository = repository
        self._members = members
        self._calendar = calendar
        self._clock = clock
        self._stored: dict[str, CandleBlock] = {}

    def collect(self) -> None:
        """Store the bars of everybody who traded in the minute that has just ended.

        Raises OutsideError when nothing could be had; the failed run is recorded all the same.
        Without a token it only is recorded: the job of the quotes says what to do.
        """
        started = self._clock.now()
        minute = minute_of(started) - MINUTE
        groups = {group_of(member) for member in self._members}
        trading = {group for group in groups if self._calendar.is_open(minute, group)}
        asked = [member for member in self._members if group_of(member) in trading]
        if not asked:
            return
        try:
            answer = self._source.bars([instrument.instrument_key for instrument in asked])
        except OutsideError as problem:
            self._record_failure(minute, started, asked, problem)
            if isinstance(problem, TokenRejected):
                return
            raise
        self._record(minute, started, asked, answer)

    def _record(
        self, minute: datetime, started: datetime, asked: Sequence[Instrument], answer: OhlcResponse
    ) -> None:
        came = {block.instrument_key: block for block in answer.records}
        # A quiet name repeats its bar.
        new = {key: bar for key, bar in came.items() if bar != self._stored.get(key)}
        bars = [
            (instrument, self._placed(instrument, new[instrument.instrument_key]))
            for instrument in asked
            if instrument.instrument_key in new
        ]
        fitting = [(instrument, bar) for instrument, bar in bars if len(bar.block)]
        found = key_results_without_records(asked, came, answer)
        counts = Counter(account.state for account in found)
        outside = [instrument.symbol for instrument, bar in bars if bar.outside]
        # That nobody traded yet is no failure to collect.
        whole = counts[SyncState.OK] + counts[SyncState.ABSENT] == len(asked)
        run = SyncRun(
            run_id=new_run_id(),
            job=CANDLES,
            due_slot=minute,
            started_at=started,
            finished_at=self._clock.now(),
            outcome=Outcome.COMPLETED if whole else Outcome.INCOMPLETE,
            requested=len(asked),
            stored=len(fitting),
            absent=counts[SyncState.ABSENT],
            quarantined=counts[SyncState.QUARANTINED],
            rejected=counts[SyncState.REJECTED] + len(outside) + len(answer.unrequested),
            requests=answer.requests,
            error=answer.error,
            details={
                **by_reason(found, answer),
                "repeated": len(came) - len(new),
                **({"outside_sessions": outside} if outside else {}),
            },
        )
        provenance = Provenance(
            source=self._source_name,
            is_final=False,
            fetched_at=answer.received_at,
            run_id=run.run_id,
        )
        expectation = Expectation(self._calendar, answer.received_at)
        self._repository.record_todays_candles(fitting, provenance, run, expectation)
        self._stored.update(new)
        _tell(run)

    def _placed(self, instrument: Instrument, bar: CandleBlock) -> SessionCandles:
        group = group_of(instrument)
        return placed(bar, lambda day: self._calendar.session(day, group))

    def _record_failure(
        self,
        minute: datetime,
        started: datetime,
        asked: Sequence[Instrument],
        problem: OutsideError,
    ) -> None:
        missed = isinstance(problem, TokenRejected)
        run = SyncRun(
            run_id=new_run_id(),
            job=CANDLES,
            due_slot=minute,
            started_at=started,
            finished_at=self._clock.now(),
            outcome=Outcome.MISSED if missed else Outcome.FAILED,
            requested=len(asked),
            error=str(problem),
        )
        self._repository.record_run(run)
        _tell(run)


def _tell(run: SyncRun) -> None:
    facts = {"run_id": run.run_id, "outcome": str(run.outcome), "error": run.error}
    counts = {"requested": run.requested, "stored": run.stored, "rejected": run.rejected}
    log.info("candles", extra={"job": run.job, **facts, **counts})
