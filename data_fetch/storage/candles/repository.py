"""Writes candles and their coverage ledger, always in one transaction.

The audit row of the run is written in the same transaction and updated as the run goes on: a run
that was killed has a row with what it stored, marked incomplete.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from data_fetch.core.candles.candles import (
    CandleInterval,
    InstrumentDays,
    Provenance,
    SessionCandles,
)
from data_fetch.core.candles.coverage import (
    CLOSED_DAY,
    DayCoverage,
    Proof,
    State,
    is_empty,
    on_closed_day,
    wholly_final,
    with_candles,
)
from data_fetch.core.candles.evidence import (
    Judge,
    VolumeEvidence,
    after_request,
    answered,
    reconsidered,
    with_first_candle,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import Session
from data_fetch.core.market.session import KEY_PREFIXES
from data_fetch.core.runs import SyncAttempt, SyncRun, SyncState
from data_fetch.storage.candles.candles import (
    INSTRUMENT_DAYS_AT_ONCE,
    Written,
    begin_candle_writing,
    insert_candles,
    merge_candles,
)
from data_fetch.storage.candles.coverage import (
    UnsettledDays,
    candle_holdings,
    empty_days,
    load_days,
    load_days_lacking,
    load_unsettled_days,
    oldest_candle_day,
    save_days,
    settled_lengths,
)
from data_fetch.storage.candles.evidence import StandingFeed, StoredEvidence
from data_fetch.storage.candles.histories import Histories, follow_first_candle, histories
from data_fetch.storage.candles.leases import LASTS, DayLeases, last_attempts
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.instruments.auction import save_auction_days, with_auction_history
from data_fetch.storage.instruments.instruments import is_listed
from data_fetch.storage.runs import fold_attempts, record_runs, write_runs


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a response did to the candles; *fault*: why it is not believed about some of its days,
    though it seemed complete."""

    written: Written
    fault: str | None = None


class CandleRepository:
    """Stores candles with their ledger. With a *guard* every write is checked against it."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard
        self._feed = StandingFeed()

    def with_auction_history(self, instruments: Sequence[Instrument]) -> list[Instrument]:
        """*instruments* with what the store has by now of their closing auctions."""
        with self._store.reading() as connection:
            return with_auction_history(connection, instruments)

    def histories(
        self,
        instruments: Sequence[Instrument],
        interval: CandleInterval,
        first: date,
        last: date,
    ) -> Histories:
        """What each of *instruments* was from *first* to *last*, as far as is known by now."""
        with self._store.reading() as connection:
            return histories(connection, instruments, interval, first, last)

    def is_listed(self, instrument_key: str) -> bool:
        """Whether the newest instrument master that was stored lists the instrument."""
        with self._store.reading() as connection:
            return is_listed(connection, instrument_key)

    def unsettled(
        self, instrument_keys: Sequence[str], interval: CandleInterval, first: date, last: date
    ) -> UnsettledDays:
        """The ledger rows that lack something."""
        with self._store.reading() as connection:
            days = load_unsettled_days(connection, instrument_keys, interval, first, last)
            settled = settled_lengths(connection, instrument_keys, interval, first, last)
        return UnsettledDays(days, settled)

    def leases(self, run_id: str, lasts: timedelta = LASTS) -> DayLeases:
        """The days that a run requests, so that no other run requests them as well."""
        return DayLeases(self._store, run_id, lasts, self._guard)

    def last_attempts(self, days: InstrumentDays, since: datetime) -> dict[date, datetime]:
        """The last request for each date among *days*, where it was recorded at *since* or
        later."""
        with self._store.reading() as connection:
            return last_attempts(connection, days, since)

    def record_response(
        self,
        days: InstrumentDays,
        candles: SessionCandles,
        provenance: Provenance,
        *,
        by: str,
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Recorded:
        """Store the candles of a complete response about *days*, and what it settles."""
        judge = answered(Proof(by, run.run_id, provenance.fetched_at), expectation)
        return self._record(days, candles, provenance, judge, run, attempt, expectation)

    def record_failure(
        self,
        days: InstrumentDays,
        candles: SessionCandles,
        provenance: Provenance,
        *,
        fail: Callable[[DayCoverage], DayCoverage],
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Recorded:
        """Store the candles of an incomplete response; *fail* puts the failure into a row."""

        def judge(known: DayCoverage, _session: Session, _contradiction: str | None) -> DayCoverage:
            return fail(known)

        return self._record(days, candles, provenance, judge, run, attempt, expectation)

    def record_todays_candles(
        self,
        candles: Sequence[tuple[Instrument, SessionCandles]],
        provenance: Provenance,
        run: SyncRun,
        expectation: Expectation,
    ) -> Written:
        """Store today's candles of many instruments; the minutes between them are not settled.

        In a transaction for every INSTRUMENT_DAYS_AT_ONCE of them; the last one has the audit row.
        """
        written = Written()
        for first in range(0, len(candles), INSTRUMENT_DAYS_AT_ONCE) or [0]:
            last = first + INSTRUMENT_DAYS_AT_ONCE
            runs = [run] if last >= len(candles) else []
            some = candles[first:last]
            written += self._record_todays_candles(some, provenance, run, runs, expectation)
        return written

    def _record_todays_candles(
        self,
        candles: Sequence[tuple[Instrument, SessionCandles]],
        provenance: Provenance,
        run: SyncRun,
        ended: Sequence[SyncRun],
        expectation: Expectation,
    ) -> Written:
        keys = [instrument.instrument_key for instrument, _ in candles]
        today = expectation.today
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, keys)
            begin_candle_writing(connection)
            blocks = [fitted.block for _, fitted in candles]
            written = merge_candles(connection, blocks, provenance)
            ledger = load_days(connection, keys, CandleInterval.MINUTE, today, today)
            changed: list[DayCoverage] = []
            first_candles: list[str] = []
            for instrument, fitted in candles:
                key = instrument.instrument_key
                session = expectation.session(instrument, today)
                known = ledger.get((key, today))
                before = expectation.day(key, CandleInterval.MINUTE, session, known)
                after = with_candles(before, fitted.days.get(today, ()), ())
                if after == known:
                    continue
                if after.spans(State.PRESENT) and not before.spans(State.PRESENT):
                    first_candles.append(key)
                    changed += _with_empty_days(connection, key, CandleInterval.MINUTE, [after])
                else:
                    changed.append(after)
            save_days(connection, changed, run.run_id, run.finished_at)
            for key in first_candles:
                follow_first_candle(connection, key, run.finished_at)
            write_runs(connection, ended)
        return written

    def prove_no_trades(
        self, instruments: Sequence[Instrument], run: SyncRun, expectation: Expectation
    ) -> None:
        """Mark today's missing minutes in which, as the stored quotes prove, nothing was traded."""
        keys = [instrument.instrument_key for instrument in instruments]
        today = expectation.today
        with self._store.writing(self._guard) as connection:
            begin_candle_writing(connection)
            ledger = load_days(connection, keys, CandleInterval.MINUTE, today, today)
            changed = []
            for instrument in instruments:
                days = _minutes_of(instrument, today, today)
                evidence = self._evidence(connection, days, run.run_id, expectation)
                for day in expectation.days(
                    instrument, CandleInterval.MINUTE, today, today, ledger
                ):
                    if day.minutes(State.MISSED):
                        session = expectation.session(instrument, today)
                        changed.append(evidence.applied(day, session))
            save_days(connection, changed, run.run_id, expectation.now)
            write_runs(connection, [run])

    def close_days(self, sessions: Collection[Session], run: SyncRun) -> int:
        """Expect nothing more of the closed *sessions*; the number of changed rows.

        Rows are changed for days that lack something; *run* is written with them.
        """
        closed = {
            (session.day, KEY_PREFIXES[session.group.segment]): session
            for session in sessions
            if not session.open
        }
        with self._store.writing(self._guard) as connection:
            changed = []
            for known in load_days_lacking(connection, {day for day, _ in closed}):
                prefix = f"{known.instrument_key.partition('|')[0]}|"
                session = closed.get((known.day, prefix))
                if session is not None:
                    by = f"{CLOSED_DAY}: {session.note}"
                    proof = Proof(by, run.run_id, run.finished_at)
                    changed.append(on_closed_day(known, proof))
            if changed:
                save_days(connection, changed, run.run_id, run.finished_at)
                write_runs(connection, [replace(run, stored=len(changed))])
        return len(changed)

    def minutes_stored(self, first: date, last: date) -> int:
        """How many expected minutes from *first* to *last* have a candle, of all instruments."""
        return candle_holdings(self._store, first, last).candles

    def record_run(self, run: SyncRun) -> None:
        """Write the audit row alone: at the end of a run, or of one that had nothing to do."""
        record_runs(self._store, [run], self._guard)

    def _record(
        self,
        days: InstrumentDays,
        candles: SessionCandles,
        provenance: Provenance,
        judge: Judge,
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Recorded:
        key = days.instrument.instrument_key
        days = replace(days, instrument=days.instrument.with_auction_days(candles.auction_days))
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, [key])
            begin_candle_writing(connection)
            ledger = load_days(connection, [key], days.interval, days.first, days.last)
            held = any(known.spans(State.PRESENT) for known in ledger.values())
            write = merge_candles if held else insert_candles
            written = write(connection, [candles.block], provenance)
            evidence = self._evidence(connection, days, run.run_id, expectation)
            changed = []
            for session in expectation.sessions(days.instrument, days.first, days.last):
                known = ledger.get((key, session.day))
                arrived = candles.days.get(session.day, ())
                confirms = provenance.is_final and not attempt.error and known is None
                if confirms and expectation.has_all(session, days.interval, arrived):
                    at = provenance.fetched_at
                    changed.append(wholly_final(key, days.interval, session.day, arrived, at))
                    continue
                before = expectation.day(key, days.interval, session, known)
                final = arrived if provenance.is_final else ()
                after = after_request(before, session, arrived, final, evidence, judge)
                if after != known:
                    changed.append(after)
            changed = _with_empty_days(connection, key, days.interval, changed)
            save_days(connection, changed, run.run_id, provenance.fetched_at)
            save_auction_days(connection, key, candles.auction_days, run.run_id)
            follow_first_candle(connection, key, provenance.fetched_at)
            if days.interval is CandleInterval.DAY:
                self._reconsider_minutes(connection, days, run.run_id, expectation)
            fault = None if attempt.error else _fault_of(changed, provenance.fetched_at)
            if fault is not None:
                attempt = replace(attempt, state=SyncState.FAILED, error=fault)
            write_runs(connection, [run.with_stored(written.inserted + written.revised)])
            fold_attempts(connection, [attempt])
        return Recorded(written, fault)

    def _reconsider_minutes(
        self, connection: Connection, days: InstrumentDays, run_id: str, expectation: Expectation
    ) -> None:
        """Apply what the day candles of *days* prove of minutes that were requested before."""
        key = days.instrument.instrument_key
        minutes = _minutes_of(days.instrument, days.first, days.last)
        evidence = self._evidence(connection, minutes, run_id, expectation)
        ledger = load_unsettled_days(connection, [key], minutes.interval, days.first, days.last)
        changed = []
        # Not the sessions of the range: a decade of day candles may have no minutes beside it.
        for (_, day), known in sorted(ledger.items()):
            session = expectation.session(days.instrument, day)
            proved = reconsidered(known, session, evidence) if session.open else known
            if proved != known:
                changed.append(proved)
        save_days(connection, changed, run_id, expectation.now)

    def _evidence(
        self, connection: Connection, days: InstrumentDays, run_id: str, expectation: Expectation
    ) -> VolumeEvidence:
        stored = StoredEvidence(connection, days, self._feed)
        return VolumeEvidence(stored, days.interval, run_id, expectation)


def _minutes_of(instrument: Instrument, first: date, last: date) -> InstrumentDays:
    return InstrumentDays(
        instrument=instrument, interval=CandleInterval.MINUTE, first=first, last=last
    )


def _with_empty_days(
    connection: Connection, key: str, interval: CandleInterval, changed: Sequence[DayCoverage]
) -> list[DayCoverage]:
    """The *changed* days of an instrument, and its empty days as its first candle now shows them.

    A day is in it once: its row is superseded once in a transaction.
    """
    written = {known.day: known for known in changed}
    candle_days = [known.day for known in changed if known.spans(State.PRESENT)]
    stored = oldest_candle_day(connection, key, interval)
    if stored is not None:
        candle_days.append(stored)
    if candle_days:
        days = {known.day: known for known in empty_days(connection, key, interval)} | written
        empty = [known for known in days.values() if is_empty(known)]
        written |= {known.day: known for known in with_first_candle(empty, min(candle_days))}
    return list(written.values())


def _fault_of(judged: Sequence[DayCoverage], at: datetime) -> str | None:
    """Why a complete response received *at* was not believed, as the newest of such days has it."""
    errors = [one.last_error for one in judged if one.last_attempt == at and one.last_error]
    return errors[-1] if errors else None
