"""Leases: which run requests which days of candles at present.

Two backfills of the same days, in two processes, must not send the same request twice. A lease
expires soon unless it is renewed, so that a run that was killed does not hold its days for long;
those of a run that was killed on this machine are free at once.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, or_, select, update

from data_fetch.core.candles.candles import InstrumentDays
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.database.dialects import wait_for_turn
from data_fetch.storage.database.lives import Life, forget, has_ended
from data_fetch.storage.database.store import Guard, Store
from data_fetch.storage.database.tables import CandleLeaseRow, table

LASTS = timedelta(seconds=120)
RENEWALS = 8
# The clocks of two computers differ by less.
CLOCKS_DIFFER = timedelta(minutes=5)
# An arbitrary number, unique among the advisory locks of a database.
LEASE_LOCK = 4_630_914_005

leases = table(CandleLeaseRow)


class DayLeases:
    """The leases of one run, each of which lasts *lasts* unless it is renewed.

    With a *guard* every write is checked against it.
    """

    def __init__(
        self, store: Store, run_id: str, lasts: timedelta, guard: Guard | None = None
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._lasts = lasts
        self._guard = guard
        self._life = Life(run_id)
        self._renewed: datetime | None = None

    def taken(self, wanted: Sequence[InstrumentDays], now: datetime) -> list[bool]:
        """Take a lease of each of *wanted*; false for an instrument of which another run has one.

        Of the whole instrument, because one refusal may be the answer to all its windows.
        """
        self._life.begin()
        with self._store.writing(self._guard) as connection:
            wait_for_turn(connection, LEASE_LOCK)
            ended = self._ended(connection)
            of_none = or_(self._expired(now), leases.c.run_id.in_(ended))
            connection.execute(delete(leases).where(of_none))
            self._renewed = self._renewed or now
            taken = [self._take(connection, days, now) for days in wanted]
        for run_id in ended:
            forget(run_id)
        return taken

    def renew(self, now: datetime) -> None:
        """Keep all leases of this run, if it is time."""
        if self._renewed is None:
            return
        if self._renewed <= now < self._renewed + self._lasts / RENEWALS:
            return
        self._renewed = now
        with self._store.writing(self._guard) as connection:
            own = leases.c.run_id == self._run_id
            connection.execute(update(leases).where(own).values(expires_at=now + self._lasts))

    def release_all(self) -> None:
        """Give up every lease of this run."""
        try:
            with self._store.writing(self._guard) as connection:
                connection.execute(delete(leases).where(leases.c.run_id == self._run_id))
        finally:
            self._life.end()

    def release(self, days: InstrumentDays) -> None:
        """Give up the lease of *days*."""
        with self._store.writing(self._guard) as connection:
            connection.execute(
                delete(leases).where(
                    leases.c.run_id == self._run_id,
                    leases.c.instrument_key == days.instrument.instrument_key,
                    leases.c.interval == days.interval.value,
                    leases.c.first_day == days.first,
                )
            )

    def _ended(self, connection: Connection) -> list[str]:
        """The other runs whose process ran on this machine and has ended."""
        runs = select(leases.c.run_id).where(leases.c.run_id != self._run_id).distinct()
        return [run_id for run_id in connection.scalars(runs) if has_ended(run_id)]

    def _take(self, connection: Connection, days: InstrumentDays, now: datetime) -> bool:
        another = and_(
            leases.c.run_id != self._run_id,
            leases.c.instrument_key == days.instrument.instrument_key,
            leases.c.interval == days.interval.value,
        )
        if connection.scalar(select(exists().where(another))):
            return False
        connection.execute(
            insert(leases).values(
                run_id=self._run_id,
                instrument_key=days.instrument.instrument_key,
                interval=days.interval.value,
                first_day=days.first,
                last_day=days.last,
                expires_at=now + self._lasts,
            )
        )
        return True

    def _expired(self, now: datetime) -> ColumnElement[bool]:
        """Too old, or from before the clock was set back."""
        latest = now + self._lasts + CLOCKS_DIFFER
        return or_(leases.c.expires_at <= now, leases.c.expires_at > latest)


def last_attempts(
    connection: Connection, days: InstrumentDays, since: datetime
) -> dict[date, datetime]:
    """The last request for each date among *days*, where it was recorded at *since* or later."""
    query = select(coverage_table.c.trading_date, coverage_table.c.last_attempt).where(
        coverage_table.c.instrument_key == days.instrument.instrument_key,
        coverage_table.c.interval == days.interval.value,
        coverage_table.c.trading_date.between(days.first, days.last),
        coverage_table.c.last_attempt >= since,
    )
    return {row.trading_date: row.last_attempt for row in connection.execute(query)}
