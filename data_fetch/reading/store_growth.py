"""How large the store is, and how many rows its jobs stored on each of the last days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import case, func, select

from data_fetch.core.clock import IST
from data_fetch.core.market.session import instant_of, midnight_number
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import FRESHNESS
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.database.sizes import stored_bytes
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import sync_runs

SHOWN_DAYS = 14


@dataclass(frozen=True, slots=True)
class DayGrowth:
    """The rows that jobs stored in runs that began on one IST *day*, by job; those without any
    are left out."""

    day: date
    stored: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StoreGrowth:
    """The *size_bytes* of the database, and the growth of the last 14 days, oldest first."""

    size_bytes: int
    days: Sequence[DayGrowth]


def store_growth(settings: Settings) -> StoreGrowth:
    """The size and growth of the store that is read. Raises StoreUnreachable."""
    now = clock_of(settings).now()
    with store_of(settings) as store:
        with store.reading() as connection:
            size = stored_bytes(connection)
        return StoreGrowth(size, _days(store, now))


def _days(store: Store, now: datetime) -> list[DayGrowth]:
    today = now.astimezone(IST).date()
    days = [today - timedelta(days=count) for count in range(SHOWN_DAYS)]
    begins = [instant_of(midnight_number(day)) for day in days]
    runs = sync_runs.c
    # The newest day that has begun by then.
    of_day = case(*((runs.started_at >= begin, back) for back, begin in enumerate(begins)))
    # The job of freshness counts symbols that it has judged, and stores no row for them.
    query = (
        select(of_day.label("back"), runs.job, func.sum(runs.stored).label("stored"))
        .where(runs.started_at >= begins[-1], runs.stored > 0, runs.job != FRESHNESS)
        .group_by("back", runs.job)
        .order_by("back", runs.job)
    )
    stored: list[dict[str, int]] = [{} for _ in days]
    with store.reading() as connection:
        for row in connection.execute(query):
            stored[row.back][row.job] = row.stored
    return [DayGrowth(day, found) for day, found in zip(days, stored, strict=True)][::-1]
