"""What is stored of the streaming feed: its disconnects, and its state for other processes."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, update

from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.report import FeedReport, report_of
from data_fetch.storage.database.store import Guard, Store, meta
from data_fetch.storage.database.tables import FeedDisconnectRow, table
from data_fetch.storage.database.upsert import Rule, last_known, upsert

feed_disconnects = table(FeedDisconnectRow)
COLUMNS = tuple(column.name for column in feed_disconnects.columns)
STATE = "feed"
# The end of a disconnect stays, whatever was read before it came.
ENDS_ONCE = Rule(combined={"ended": last_known})
SAMPLE = 20


@dataclass(frozen=True, slots=True)
class StoredDisconnect:
    """One row of `feed_disconnects`."""

    began: datetime
    ended: datetime | None
    cause: str
    keys: int
    sample: Sequence[str]


class FeedStore:
    """Stores what a collector knows of its feed. With a *guard* every write is checked against
    it."""

    def __init__(self, store: Store, guard: Guard | None = None) -> None:
        self._store = store
        self._guard = guard

    def record(self, report: FeedReport, disconnects: Iterable[Disconnect]) -> None:
        """Store *disconnects*, and *report* in the place of the last one."""
        rows = [_row(each) for each in disconnects]
        with self._store.writing(self._guard) as connection:
            upsert(connection, feed_disconnects, COLUMNS, rows, ENDS_ONCE)
            upsert(connection, meta, ("name", "value"), [(STATE, json.dumps(report.document()))])

    def end_open(self, at: datetime) -> None:
        """End at *at* what an ended collector left open: until then no feed was there at all."""
        began, ended = feed_disconnects.c.began, feed_disconnects.c.ended
        with self._store.writing(self._guard) as connection:
            connection.execute(
                update(feed_disconnects).where(ended.is_(None), began <= at).values(ended=at)
            )


def feed_report(store: Store) -> FeedReport | None:
    """The last report of a collector with a feed; None when there was none."""
    with store.reading() as connection:
        found = connection.scalar(select(meta.c.value).where(meta.c.name == STATE))
    return None if found is None else report_of(json.loads(found))


def disconnects_since(store: Store, since: datetime) -> list[StoredDisconnect]:
    """The disconnects that lasted after *since*, oldest first."""
    ended = feed_disconnects.c.ended
    query = (
        select(feed_disconnects)
        .where(or_(ended.is_(None), ended > since))
        .order_by(feed_disconnects.c.began)
    )
    with store.reading() as connection:
        return [StoredDisconnect(**row) for row in connection.execute(query).mappings()]


def _row(disconnect: Disconnect) -> tuple[object, ...]:
    sample = sorted(disconnect.keys)[:SAMPLE]
    return disconnect.began, disconnect.ended, disconnect.cause, len(disconnect.keys), sample
