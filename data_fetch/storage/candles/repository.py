"""Candles and the ledger that speaks of them, always written in one transaction.

With them goes the audit row of the run they belong to, which grows as the run goes on: a run
that was killed has a row that says what it stored and that it is incomplete.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select

from data_fetch.core.candles.candles import (
    CandleInterval,
    InstrumentDays,
    Provenance,
    SessionCandles,
)
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    State,
    after_first_candle,
    before_first_candle,
    needs_request,
    with_candles,
    with_early_response,
    with_no_trade,
    with_response,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.volume_proofs import VolumeSeen, holds_all_volume, still_spans
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import Segment, Session, group_of
from data_fetch.core.market.session import instant_of
from data_fetch.core.runs import SyncAttempt, SyncRun
from data_fetch.storage.candles.candles import (
    Written,
    begin_candle_writing,
    insert_candles,
    merge_candles,
    volumes,
)
from data_fetch.storage.candles.coverage import (
    LedgerKey,
    empty_days,
    load_days,
    load_unsettled_days,
    oldest_bar_day,
    save_days,
    settled_lengths,
)
from data_fetch.storage.database.store import Guard, Store, refuse_invented
from data_fetch.storage.database.tables import CandleRow, LtpData, table
from data_fetch.storage.runs import fold_attempts, record_runs, write_runs

ltp_data = table(LtpData)
candles_table = table(CandleRow)

Change = Callable[[DayCoverage, Session], DayCoverage]
BY_QUOTES, BY_DAY_VOLUME = "volume stood still between quotes", "the day's volume is all stored"


class CandleRepository:
    """Keeps candles with their ledger. With a *guard* every write is checked against it."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def unsettled(
        self, instrument_keys: Sequence[str], interval: CandleInterval, first: date, last: date
    ) -> tuple[dict[LedgerKey, DayCoverage], dict[LedgerKey, int]]:
        """The ledger's rows that lack something; of the others only how many minutes they have."""
        with self._store.reading() as connection:
            days = load_unsettled_days(connection, instrument_keys, interval, first, last)
            return days, settled_lengths(connection, instrument_keys, interval, first, last)

    def record_answer(
        self,
        stay: InstrumentDays,
        bars: SessionCandles,
        provenance: Provenance,
        *,
        by: str,
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Written:
        """What a complete answer about *stay* brought, and what that settles."""
        proof = Proof(by, run.run_id, provenance.fetched_at)

        def settle(known: DayCoverage, session: Session) -> DayCoverage:
            if expectation.finished(session):
                return with_response(known, proof)
            return with_early_response(known, proof.at)

        return self._record(stay, bars, provenance, settle, run, attempt, expectation)

    def record_failure(
        self,
        stay: InstrumentDays,
        bars: SessionCandles,
        provenance: Provenance,
        *,
        fail: Callable[[DayCoverage], DayCoverage],
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Written:
        """What an answer that proves nothing brought all the same; *fail* says so in the ledger."""

        def judge(known: DayCoverage, _: Session) -> DayCoverage:
            return fail(known)

        return self._record(stay, bars, provenance, judge, run, attempt, expectation)

    def record_bars(
        self,
        bars: Sequence[tuple[Instrument, SessionCandles]],
        provenance: Provenance,
        run: SyncRun,
        expectation: Expectation,
    ) -> Written:
        """Today's bars of many instruments; they settle nothing about the minutes between."""
        keys = [instrument.instrument_key for instrument, _ in bars]
        today = expectation.today
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, keys)
            begin_candle_writing(connection)
            written = merge_candles(connection, [placed.block for _, placed in bars], provenance)
            ledger = load_days(connection, keys, CandleInterval.MINUTE, today, today)
            changed: list[DayCoverage] = []
            begun: list[Instrument] = []
            for instrument, placed in bars:
                key = instrument.instrument_key
                session = expectation.calendar.session(today, group_of(instrument))
                known = ledger.get((key, today))
                before = expectation.day(key, CandleInterval.MINUTE, session, known)
                after = with_candles(before, placed.days.get(today, ()), ())
                if after != known:
                    changed.append(after)
                if after.spans(State.PRESENT) and not before.spans(State.PRESENT):
                    begun.append(instrument)
            save_days(connection, changed, run.run_id, run.finished_at)
            for instrument in begun:
                stay = InstrumentDays(
                    instrument=instrument,
                    interval=CandleInterval.MINUTE,
                    first=today,
                    last=today,
                )
                _follow_first_bar(connection, stay, run.run_id, run.finished_at)
            write_runs(connection, [run])
        return written

    def prove_no_trades(
        self, instruments: Sequence[Instrument], run: SyncRun, expectation: Expectation
    ) -> None:
        """See for which of today's missing minutes the stored quotes prove that nobody traded."""
        keys = [instrument.instrument_key for instrument in instruments]
        today = expectation.today
        with self._store.writing(self._guard) as connection:
            begin_candle_writing(connection)
            ledger = load_days(connection, keys, CandleInterval.MINUTE, today, today)
            changed = []
            for instrument in instruments:
                stay = InstrumentDays(
                    instrument=instrument,
                    interval=CandleInterval.MINUTE,
                    first=today,
                    last=today,
                )
                evidence = _Evidence(connection, stay, run.run_id, expectation)
                for day in expectation.days(
                    instrument, CandleInterval.MINUTE, today, today, ledger
                ):
                    if day.minutes(State.MISSED):
                        session = expectation.calendar.session(today, group_of(instrument))
                        changed.append(evidence.applied(day, session))
            save_days(connection, changed, run.run_id, expectation.now)
            write_runs(connection, [run])

    def record_run(self, run: SyncRun) -> None:
        """The audit row alone: at the end of a run, or of one that had nothing to do."""
        record_runs(self._store, [run], self._guard)

    def _record(
        self,
        stay: InstrumentDays,
        bars: SessionCandles,
        provenance: Provenance,
        judge: Change,
        run: SyncRun,
        attempt: SyncAttempt,
        expectation: Expectation,
    ) -> Written:
        key = stay.instrument.instrument_key
        with self._store.writing(self._guard) as connection:
            refuse_invented(connection, [key])
            begin_candle_writing(connection)
            ledger = load_days(connection, [key], stay.interval, stay.first, stay.last)
            held = any(known.spans(State.PRESENT) for known in ledger.values())
            write = merge_candles if held else insert_candles
            written = write(connection, [bars.block], provenance)
            evidence = _Evidence(connection, stay, run.run_id, expectation)
            changed = []
            for session in expectation.sessions(stay.instrument, stay.first, stay.last):
                known = ledger.get((key, session.day))
                before = expectation.day(key, stay.interval, session, known)
                arrived = bars.days.get(session.day, ())
                after = with_candles(before, arrived, arrived if provenance.is_final else ())
                # Bars that came meanwhile may have made it a day before the first one.
                if needs_request(before, expectation.today) or before.minutes(State.NOT_EXPECTED):
                    after = judge(evidence.applied(after, session), session)
                if after != known:
                    changed.append(after)
            save_days(connection, changed, run.run_id, provenance.fetched_at)
            _follow_first_bar(connection, stay, run.run_id, provenance.fetched_at)
            if stay.interval is CandleInterval.DAY:
                _prove_minutes(connection, stay, run.run_id, expectation)
            write_runs(connection, [run])
            fold_attempts(connection, [attempt])
        return written


def _follow_first_bar(
    connection: Connection, stay: InstrumentDays, run_id: str, changed_at: datetime
) -> None:
    """Nothing is expected of empty days before the oldest bar, and something of later ones."""
    key = stay.instrument.instrument_key
    oldest = oldest_bar_day(connection, key, stay.interval)
    if oldest is None:
        return
    changed = []
    for known in empty_days(connection, key, stay.interval):
        if known.spans(State.NO_TRADE):
            continue
        after = before_first_candle(known) if known.day < oldest else after_first_candle(known)
        if after != known:
            changed.append(after)
    save_days(connection, changed, run_id, changed_at)


def _prove_minutes(
    connection: Connection, stay: InstrumentDays, run_id: str, expectation: Expectation
) -> None:
    """See what the day candles of *stay* prove of the minutes that were asked for before."""
    key = stay.instrument.instrument_key
    minutes = replace(stay, interval=CandleInterval.MINUTE)
    evidence = _Evidence(connection, minutes, run_id, expectation)
    ledger = load_unsettled_days(connection, [key], minutes.interval, stay.first, stay.last)
    changed = []
    for session in expectation.sessions(stay.instrument, stay.first, stay.last):
        known = ledger.get((key, session.day))
        if known is None:
            continue
        proved = evidence.applied(known, session)
        if proved != known:
            changed.append(proved)
    save_days(connection, changed, run_id, expectation.now)


class _Evidence:
    """What stored quotes and day candles prove of the days of a stay; read when first needed."""

    def __init__(
        self, connection: Connection, stay: InstrumentDays, run_id: str, expectation: Expectation
    ) -> None:
        self._connection = connection
        self._stay = stay
        self._run_id = run_id
        self._expectation = expectation
        self._seen: Mapping[date, list[VolumeSeen]] | None = None

    def applied(self, known: DayCoverage, session: Session) -> DayCoverage:
        """*known* with the minutes in which, as volume proves, nobody traded.

        An index has no volume, so nothing can be proved of it.
        """
        lacking = known.spans(State.MISSED, State.SOURCE_EMPTY)
        minutes = self._stay.interval is CandleInterval.MINUTE
        if not lacking or not minutes or session.group.segment is Segment.INDEX:
            return known
        opened = instant_of(session.spans[0][0])
        seen = [one for one in self._quotes().get(session.day, ()) if one.at >= opened]
        still = with_no_trade(known, still_spans(seen), self._proof(BY_QUOTES))
        if still.spans(State.MISSED, State.SOURCE_EMPTY) and self._all_stored(session, seen):
            return with_no_trade(still, known.spans(*State), self._proof(BY_DAY_VOLUME))
        return still

    def _proof(self, by: str) -> Proof:
        return Proof(by, self._run_id, self._expectation.now)

    def _all_stored(self, session: Session, seen: Sequence[VolumeSeen]) -> bool:
        """Whether the stored minutes of a finished day hold the whole volume of that day."""
        if not self._expectation.finished(session):
            return False
        over = instant_of(max(end for _, end in (*session.spans, *session.auction_spans)))
        totals = [one.volume for one in seen if one.at >= over]
        totals += _day_candle_volume(self._connection, self._stay, session)
        if not totals:
            return False
        first, last = session.spans[0][0], session.spans[-1][1] + 60
        stored = volumes(
            self._connection, self._stay.instrument.instrument_key, self._stay.interval, first, last
        )
        held = stored.get(session.day, 0)
        return any(holds_all_volume(total, held) for total in totals)

    def _quotes(self) -> Mapping[date, list[VolumeSeen]]:
        if self._seen is None:
            self._seen = _volumes_seen(self._connection, self._stay)
        return self._seen


def _volumes_seen(connection: Connection, stay: InstrumentDays) -> Mapping[date, list[VolumeSeen]]:
    """The cumulative volumes that quotes told, by Indian day, in the order they were received."""
    begin = datetime.combine(stay.first, datetime.min.time(), IST)
    end = datetime.combine(stay.last + timedelta(days=1), datetime.min.time(), IST)
    query = (
        select(ltp_data.c.received_at, ltp_data.c.volume)
        .where(
            ltp_data.c.symbol == stay.instrument.symbol,
            ltp_data.c.timestamp >= begin,
            ltp_data.c.timestamp < end,
            ltp_data.c.instrument_key == stay.instrument.instrument_key,
        )
        .order_by(ltp_data.c.received_at)
    )
    seen: dict[date, list[VolumeSeen]] = defaultdict(list)
    for received_at, volume in connection.execute(query):
        seen[received_at.astimezone(IST).date()].append(VolumeSeen(received_at, volume))
    return seen


def _day_candle_volume(connection: Connection, stay: InstrumentDays, session: Session) -> list[int]:
    """The volume of the stored `day` candle of that session, if there is one."""
    midnight = datetime.combine(session.day, datetime.min.time(), IST)
    query = select(candles_table.c.volume).where(
        candles_table.c.instrument_key == stay.instrument.instrument_key,
        candles_table.c.interval == CandleInterval.DAY.value,
        candles_table.c.timestamp == midnight,
    )
    return list(connection.scalars(query))
