"""The errors of the last days of collecting, each once, with how often it came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from data_fetch.core.settings import Settings
from data_fetch.reading.records import clock_of, store_of
from data_fetch.storage.runs import sync_runs

LATELY = timedelta(days=8)
MOST_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """An *error* with its fix, of *times* runs of one *job* that ended as *outcome*; the last of
    them ended at *last_ended*."""

    job: str
    outcome: str
    error: str
    times: int
    last_ended: datetime


def last_errors(settings: Settings) -> Sequence[LastError]:
    """The errors of runs that started in the last 8 days, the newest first, at most 10.

    Raises StoreUnreachable.
    """
    runs = sync_runs.c
    last_ended = func.max(runs.finished_at).label("last_ended")
    since = clock_of(settings).now() - LATELY
    query = (
        select(runs.job, runs.outcome, runs.error, func.count().label("times"), last_ended)
        .where(runs.started_at >= since, runs.error.is_not(None))
        .group_by(runs.job, runs.outcome, runs.error)
        .order_by(last_ended.desc())
        .limit(MOST_SHOWN)
    )
    with store_of(settings) as store, store.reading() as connection:
        return [LastError(**row) for row in connection.execute(query).mappings()]
