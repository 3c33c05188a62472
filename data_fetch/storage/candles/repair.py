"""Mends what an audit found, as far as it follows from the candles and the calendar."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, update

from data_fetch.core.candles.candles import Kind
from data_fetch.core.candles.coverage import DayCoverage, State, refitted, with_candles
from data_fetch.core.candles.findings import Finding, FindingKind, StoredDay
from data_fetch.core.market.session import MINUTES_OF_DAY, instant_of, midnight_number
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.spans import without
from data_fetch.storage.candles.audit import (
    closed_days,
    counted_days,
    in_parts,
    ledger_rows,
    outside_rows,
    places_of,
    stored_days,
)
from data_fetch.storage.candles.candles import (
    INSTRUMENT_DAYS_AT_ONCE,
    begin_candle_writing,
    candles,
    of_instrument,
)
from data_fetch.storage.candles.coverage import coverage_table, save_days
from data_fetch.storage.candles.coverage_counts import CoverageQuery
from data_fetch.storage.candles.stored_rows import Place
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import write_runs

AUDIT = "audit"
# Of starts in one statement.
STARTS_AT_ONCE = 500
# Findings on rows of days that are not the session's.
BEYOND_SESSIONS = (FindingKind.OUTSIDE, FindingKind.CONTRADICTION)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was written: days whose ledger or candles were mended, and rows that were deleted."""

    days: int = 0
    deleted: int = 0


def repair(store: Store, scope: CoverageQuery, findings: Sequence[Finding]) -> Repair:
    """Mend the days of *findings*.

    The ledger follows the candles, and the kind of a candle its session. Minutes whose candles
    are gone become missed, to be requested at once. A day without its auction is no longer
    confirmed, so that it is requested again. Candles in no session are deleted. Every transaction
    compares again, so that days corrected meanwhile are left alone.
    """
    scope = scope.under_all_keys
    now = scope.expectation.now
    run = SyncRun.begin(AUDIT, now)
    wanted = {(one.instrument.instrument_key, one.day) for one in findings}
    places = [place for place in places_of(scope) if place.key in wanted]
    repaired = Repair()
    for some in in_parts(places, INSTRUMENT_DAYS_AT_ONCE):
        with store.writing() as connection:
            begin_candle_writing(connection)
            days = _mend_days(connection, scope, some, run)
            repaired = replace(repaired, days=repaired.days + days)
            write_runs(connection, [_audit_row(run, scope, len(wanted), repaired)])
    if any(one.kind in BEYOND_SESSIONS for one in findings):
        with store.writing() as connection:
            begin_candle_writing(connection)
            repaired = replace(repaired, deleted=_delete_outside(connection, scope))
            write_runs(connection, [_audit_row(run, scope, len(wanted), repaired)])
    return repaired


def _audit_row(run: SyncRun, scope: CoverageQuery, wanted: int, repaired: Repair) -> SyncRun:
    return run.finish(
        scope.expectation.now,
        Outcome.COMPLETED,
        requested=wanted,
        stored=repaired.days,
        details={"deleted": repaired.deleted} if repaired.deleted else {},
    )


def _mend_days(
    connection: Connection, scope: CoverageQuery, places: Sequence[Place], run: SyncRun
) -> int:
    ledger = ledger_rows(connection, scope, [place.key for place in places])
    counted = counted_days(connection, scope.interval, places)
    mended = []
    for day in stored_days(connection, scope, ledger, counted):
        if any(day.findings()):
            _correct_kinds(connection, day)
            if day.lacks_its_auction:
                _withdraw_confirmation(connection, day)
                day = replace(day, final=())
            mended.append(_ledger_of(day, scope))
    save_days(connection, mended, run.run_id, scope.expectation.now)
    return len(mended)


def _correct_kinds(connection: Connection, day: StoredDay) -> None:
    by_kind: defaultdict[Kind, list[datetime]] = defaultdict(list)
    for start, kind in day.wrong_kinds.items():
        by_kind[kind].append(instant_of(start))
    for kind, starts in by_kind.items():
        of_day = _rows_of(day)
        connection.execute(
            update(candles).where(of_day, candles.c.timestamp.in_(starts)).values(kind=kind.value)
        )


def _withdraw_confirmation(connection: Connection, day: StoredDay) -> None:
    connection.execute(update(candles).where(_rows_of(day)).values(is_final=False))


def _rows_of(day: StoredDay) -> ColumnElement[bool]:
    midnight = midnight_number(day.session.day)
    key, interval = day.instrument.instrument_key, day.known.interval
    return of_instrument(candles, key, interval, midnight, midnight + MINUTES_OF_DAY)


def _ledger_of(day: StoredDay, scope: CoverageQuery) -> DayCoverage:
    """The ledger row with exactly the day's stored minutes present, final as the candles are."""
    known, due = day.known, scope.expectation.due(day.session, scope.interval)
    gone = without(known.spans(State.PRESENT), day.stored)
    # Taken out of the day and put back, they count as minutes that were never requested.
    without_them = refitted(known, without(day.trading, gone), due)
    lacking = refitted(without_them, day.trading, due)
    mended = with_candles(lacking, day.stored, day.final)
    provisional = without(day.stored, day.final)
    if provisional == known.provisional:
        return mended
    return replace(mended, provisional=provisional, next_attempt=None)


def _delete_outside(connection: Connection, scope: CoverageQuery) -> int:
    """Delete the candles in no session, and the ledger rows that count them; returns how many."""
    deleted = 0
    for rows in outside_rows(connection, scope, places_of(scope)):
        key, starts = rows.instrument.instrument_key, rows.starts
        for first in range(0, len(starts), STARTS_AT_ONCE):
            some = map(instant_of, starts[first : first + STARTS_AT_ONCE])
            own = of_instrument(candles, key, scope.interval, starts[0], starts[-1] + 1)
            found = connection.execute(
                delete(candles).where(own, candles.c.timestamp.in_(list(some)))
            )
            deleted += found.rowcount
    for key, day in closed_days(scope, ledger_rows(connection, scope)):
        connection.execute(
            delete(coverage_table).where(
                coverage_table.c.instrument_key == key,
                coverage_table.c.interval == scope.interval.value,
                coverage_table.c.trading_date == day,
            )
        )
    return deleted
