"""The dates of the instrument masters that were stored as a whole."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, select

from data_fetch.storage.database.tables import InstrumentMasterRow, table

masters_table = table(InstrumentMasterRow)


def master_dates(connection: Connection) -> list[date]:
    """All of them, oldest first: some 250 a year."""
    query = select(masters_table.c.as_of).order_by(masters_table.c.as_of)
    return list(connection.scalars(query))


def master_before(dates: Sequence[date], day: date) -> date | None:
    """The newest of *dates*, which are oldest first, that is earlier than *day*."""
    place = bisect_left(dates, day)
    return dates[place - 1] if place else None
