"""The candle of each minute, as soon as the minute is over.

These candles are provisional: the provider's history replaces them. A minute without one is
missed in the coverage ledger, and the next coverage check requests it.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

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
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock, MinuteCandleSource
from data_fetch.core.quotes.key_results import by_reason, key_results_without_records
from data_fetch.core.runs import Outcome, SyncRun, SyncState, counted_names
from data_fetch.core.timetable import CANDLES, Job, Timetable
from data_fetch.services.kept_writes import keep_writing
from data_fetch.services.recurring import RecurringService
from data_fetch.storage.candles.repository import CandleRepository

log = logging.getLogger(__name__)


class CandleService(RecurringService):
    """Stores the last completed minute of all *members*.

    Safe to run again at any time: a candle that is stored with the same values writes nothing.
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

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [timetable.job(CANDLES, self.collect)]

    def tallies(self, first: date, last: date) -> Mapping[str, int]:
        return {"candles": self._repository.minutes_stored(first, last)}

    def collect(self) -> None:
        """Store the candles of the minute that has just ended.

        Raises OutsideError when none was received; the failed run is recorded first. Without a
        token it is only recorded: the quotes job reports what to do.
        """
        started = self._clock.now()
        minute = minute_of(started) - MINUTE
        members = Members.as_of(self._members, minute)
        trading = {group for group in members.groups if self._calendar.is_open(minute, group)}
        requested = members.at(trading)
        if not requested:
            return
        run = SyncRun.begin(CANDLES, started, minute)
        try:
            response = self._source.minute_candles(
                [instrument.instrument_key for instrument in requested]
            )
        except OutsideError as problem:
            failed = run.failed(self._clock.now(), problem, len(requested))
            keep_writing(partial(self._repository.record_run, failed), self._clock)
            _log(failed)
            if isinstance(problem, TokenRejected):
                return
            raise
        self._record(run, requested, response)

    def _record(
        self, run: SyncRun, requested: Sequence[Instrument], response: OhlcResponse
    ) -> None:
        received = {block.instrument_key: block for block in response.records}
        # A symbol without trades repeats its last candle.
        new = {key: block for key, block in received.items() if block != self._stored.get(key)}
        placed_candles = [
            (instrument, self._placed(instrument, new[instrument.instrument_key]))
            for instrument in requested
            if instrument.instrument_key in new
        ]
        fitting = [(one, candles) for one, candles in placed_candles if len(candles.block)]
        outside = [one.symbol for one, candles in placed_candles if candles.outside]
        run = self._finished(run, requested, response, received, len(fitting), outside)
        run = replace(run, details={**run.details, "repeated": len(received) - len(new)})
        provenance = Provenance(
            source=self._source_name,
            is_final=False,
            fetched_at=response.received_at,
            run_id=run.run_id,
        )
        expectation = Expectation(self._calendar, response.received_at)
        store = self._repository.record_todays_candles
        keep_writing(partial(store, fitting, provenance, run, expectation), self._clock)
        self._stored.update(new)
        _log(run)

    def _finished(
        self,
        run: SyncRun,
        requested: Sequence[Instrument],
        response: OhlcResponse,
        received: Mapping[str, CandleBlock],
        stored: int,
        outside: Sequence[str],
    ) -> SyncRun:
        results = key_results_without_records(requested, received, response)
        counts = Counter(result.state for result in results)
        # A symbol that has not traded yet has no candle; that is no failure to collect.
        complete = counts[SyncState.OK] + counts[SyncState.ABSENT] == len(requested)
        return run.finish(
            self._clock.now(),
            Outcome.COMPLETED if complete else Outcome.INCOMPLETE,
            requested=len(requested),
            stored=stored,
            absent=counts[SyncState.ABSENT],
            quarantined=counts[SyncState.QUARANTINED],
            rejected=counts[SyncState.REJECTED] + len(outside) + len(response.unrequested),
            requests=response.requests,
            error=response.error,
            details={
                **by_reason(results, response),
                **({"outside_sessions": counted_names(outside)} if outside else {}),
            },
        )

    def _placed(self, instrument: Instrument, block: CandleBlock) -> SessionCandles:
        return placed(block, lambda day: self._calendar.session(day, group_of(instrument, day)))


def _log(run: SyncRun) -> None:
    facts = {"run_id": run.run_id, "outcome": str(run.outcome), "error": run.error}
    counts = {"requested": run.requested, "stored": run.stored, "rejected": run.rejected}
    log.info("candles", extra={"job": run.job, **facts, **counts})
