"""The SQLite store that stands in for the configured one while that cannot be used.

It has a row about that from the moment a collector begins to use it until everything in it has
been merged, so that a merge that was killed is done again. Then it keeps the instruments only: a
later outage merges its own rows, and begins without reading an instrument master.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from data_fetch.storage.database.store import Store, meta
from data_fetch.storage.database.tables import (
    REFERENCE,
    Base,
    CandleRow,
    ChainReceiptRow,
    LtpData,
    SyncRunRow,
    table,
)
from data_fetch.storage.database.upsert import upsert

STANDS_IN = "stands_in_because"
COUNTED = (table(LtpData), table(CandleRow), table(SyncRunRow), table(ChainReceiptRow))


@dataclass(frozen=True, slots=True)
class StandIn:
    """Why the store stands in, and how many of its rows wait to be brought over."""

    why: str
    rows: int


def begin_standing_in(store: Store, why: str) -> None:
    with store.writing() as connection:
        upsert(connection, meta, ("name", "value"), [(STANDS_IN, why)])


def standing_in(store: Store) -> StandIn | None:
    """None when the store stands in for no other."""
    with store.reading() as connection:
        why = connection.scalar(select(meta.c.value).where(meta.c.name == STANDS_IN))
        if why is None:
            return None
        counts = [connection.scalar(select(func.count()).select_from(of)) for of in COUNTED]
    return StandIn(why, sum(count or 0 for count in counts))


def first_slot(store: Store, job: str) -> datetime | None:
    """The first slot that it has a row of *job* for, collected or missed."""
    runs = table(SyncRunRow).c
    with store.reading() as connection:
        found: datetime | None = connection.scalar(
            select(func.min(runs.due_slot)).where(runs.job == job)
        )
    return found


def end_standing_in(store: Store) -> None:
    """Everything in it has been merged: what was collected is deleted."""
    kept = {meta, *map(table, REFERENCE)}
    with store.writing() as connection:
        for each in Base.metadata.sorted_tables:
            if each not in kept:
                connection.execute(delete(each))
        connection.execute(delete(meta).where(meta.c.name == STANDS_IN))
