"""A collector with the feed is never worse than one without it, whatever the feed does.

The real scheduler with every job, on a virtual clock through the first minutes of a session.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import urllib3
from sqlalchemy import Table, select
from watcher import Watcher

from data_fetch.core.clock import IST
from data_fetch.core.settings import Settings
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import CandleRow, LtpData, OptionChainData, table
from data_fetch.storage.feed import StoredDisconnect, disconnects_since

DAY = date(2026, 9, 16)
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE", "TCS")
# Ids and instants of receipt differ from run to run.
OF_THE_RUN = {"run_id", "received_at", "fetched_at"}
FACTS = (LtpData, CandleRow, OptionChainData)

Rows = Sequence[Mapping[str, Any]]


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"{DAY} {time}").replace(tzinfo=IST)


def fault(kind: str, begin: str, end: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "from": f"{DAY}T{begin}", "until": f"{DAY}T{end}", **more}


@dataclass(frozen=True)
class Result:
    """What a collector left: its facts by table, disconnects and failures."""

    facts: Mapping[str, Rows]
    disconnects: Sequence[StoredDisconnect]
    failures: Sequence[str]

    @property
    def quotes(self) -> Rows:
        return self.facts[table(LtpData).name]


def facts_of(store: Store, kept: Table) -> Rows:
    columns = [column for column in kept.columns if column.name not in OF_THE_RUN]
    with store.reading() as connection:
        rows = connection.execute(select(*columns).order_by(*kept.primary_key)).mappings()
        return [dict(row) for row in rows]


@contextmanager
def environment(folder: Path, feed: str) -> Iterator[Settings]:
    folder.mkdir()
    listed = folder / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    yield Settings.load({"FNO_SYMBOLS_FILE": str(listed), "FEED_ENABLED": feed}, folder)


def collected(folder: Path, faults: Sequence[dict[str, Any]], *, feed: bool, until: str) -> Result:
    """The result of a collector from 08:00 IST to *until*."""
    with (
        environment(folder, str(feed).lower()) as settings,
        rehearsal_for(settings, DAY, DAY, Watcher()) as (collector, _),
    ):
        answer = urllib3.request(
            "POST",
            f"{collector.provider.base_url}/paper/faults",
            body=orjson.dumps({"fault": list(faults)}),
        )
        assert answer.status < 300, answer.data
        scheduler = DataScheduler()
        scheduler.run_days(collector, at(until), Watcher())
        return Result(
            {table(model).name: facts_of(collector.store, table(model)) for model in FACTS},
            disconnects_since(collector.store, at("00:00")),
            scheduler.failures,
        )


FAULTS_OF_THE_FEED = [
    fault("feed-mute", "09:18:00", "09:19:00"),
    fault("feed-cut", "09:20:00", "09:20:30", times=1),
    fault("feed-close", "09:21:00", "09:21:30", times=1, code=1000),
    fault("server-error", "09:22:00", "09:23:00", api="feed-authorize"),
    fault("feed-cut", "09:22:10", "09:22:30", times=1),
    fault("rate-limited", "09:24:00", "09:25:00", api="feed-connect", times=1, retry_after=5),
    fault("token-expired", "09:25:00", "09:26:00", api="feed-authorize", times=1),
    fault("feed-cut", "09:24:05", "09:24:30", times=1),
    fault("feed-cut", "09:25:05", "09:25:30", times=1),
    fault("feed-zero-first", "09:25:00", "09:26:00"),
    fault("feed-junk", "09:27:00", "09:27:30"),
    fault("feed-cut-frame", "09:27:30", "09:28:00"),
    fault("feed-late-packets", "09:28:00", "09:29:00"),
    fault("feed-duplicates", "09:29:00", "09:30:00"),
    fault("feed-partial", "09:30:00", "09:31:00"),
    fault("feed-stall", "09:31:00", "09:31:10", times=1, seconds=20),
]


def test_with_the_feed_every_table_equals_that_of_requests_alone(tmp_path: Path) -> None:
    alone = collected(tmp_path / "alone", FAULTS_OF_THE_FEED, feed=False, until="09:33")
    beside = collected(tmp_path / "beside", FAULTS_OF_THE_FEED, feed=True, until="09:33")

    assert beside.facts == alone.facts
    assert len(alone.quotes) == 18 * len(SYMBOLS)
    assert beside.failures == alone.failures == []
    # The faults came to the feed, and each interval is over.
    assert len(beside.disconnects) >= 3
    assert all(each.ended is not None for each in beside.disconnects)
    assert alone.disconnects == []


def test_the_feed_fills_the_quotes_that_no_request_brought(tmp_path: Path) -> None:
    refused = [fault("server-error", "09:20:30", "09:21:50", api="ltp")]

    alone = collected(tmp_path / "alone", refused, feed=False, until="09:24")
    beside = collected(tmp_path / "beside", refused, feed=True, until="09:24")

    filled = [row for row in beside.quotes if row["source"] == "feed"]
    assert [row for row in beside.quotes if row["source"] != "feed"] == alone.quotes
    assert {row["timestamp"] for row in filled} == {at("09:20")}
    assert {row["symbol"] for row in filled} >= {"NIFTY", "BANKNIFTY"}
    assert [row for row in filled if row["volume"] is not None or row["off_session"]] == []
