"""Whether the trading day could begin, as a collector recorded it at 08:55 IST."""

from datetime import datetime

from data_fetch.core.archive.days import day_of
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import READINESS
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs


def recorded_readiness(settings: Settings) -> SyncRun | None:
    """The run of the last check, if it was today: `completed` for go, `failed` for no-go with the
    reasons as its error. Raises StoreUnreachable."""
    with store_of(settings) as store:
        return readiness_in(store, clock_of(settings).now())


def readiness_in(store: Store, now: datetime) -> SyncRun | None:
    """The same from *store*, on the day of *now*."""
    newest = next(iter(recent_runs(store, 1, READINESS)), None)
    return newest if newest is not None and day_of(newest.started_at) == day_of(now) else None
