"""A collector with the feed is never worse than one without it, whatever the feed does.

The real scheduler with every job, on a virtual clock through the first minutes of a session.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from feed_stub import until as waits_until
from sqlalchemy import Table, select
from watcher import Watcher

from data_fetch.core.clock import IST
from data_fetch.core.feed.report import FeedReport
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.sources.upstox.feed import UpstoxFeed
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import CandleRow, LtpData, OptionChainData, table
from data_fetch.storage.feed import StoredDisconnect, disconnects_since, feed_report
from data_fetch.storage.live_prices import last_candle_receipts

DAY = date(2026, 9, 16)
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE", "TCS")
# Ids and instants of receipt differ from run to run.
OF_THE_RUN = {"run_id", "received_at", "fetched_at"}
FACTS = (LtpData, CandleRow, OptionChainData)

Rows = Sequence[Mapping[str, Any]]


def at(time: str) -> datetime:
    """An instant of the day, or of a named one."""
    day, _, time = time.rpartition(" ")
    return datetime.fromisoformat(f"{day or DAY} {time}").replace(tzinfo=IST)


def fault(kind: str, begin: str, end: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "from": f"{DAY}T{begin}", "until": f"{DAY}T{end}", **more}


@dataclass(frozen=True)
class Result:
    """What a collector left: its facts by table, disconnects, failures, the reports of its feed by
    their minute, and when the last tick of each symbol was received."""

    facts: Mapping[str, Rows]
    disconnects: Sequence[StoredDisconnect]
    failures: Sequence[str]
    reports: Mapping[str, FeedReport]
    ticks: Mapping[str, datetime]

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


def collected(
    folder: Path,
    faults: Sequence[dict[str, Any]],
    *,
    feed: bool,
    until: str,
    first: date = DAY,
    at_slot: Callable[[str, datetime], None] = lambda url, slot: None,
) -> Result:
    """The result of a collector from 08:00 IST of *first* to *until*; *at_slot* gets the exchange's
    address and each slot, while the clock stands."""
    last, watcher = at(until).date(), Watcher()
    with (
        environment(folder, str(feed).lower()) as settings,
        rehearsal_for(settings, first, last, watcher) as (collector, _),
    ):
        reports: dict[str, FeedReport] = {}

        def look(run: SyncRun) -> None:
            report = feed_report(collector.store)
            if report is not None:
                reports[f"{report.at.astimezone(IST):%H:%M}"] = report
            assert run.due_slot is not None
            at_slot(collector.provider.base_url, run.due_slot)

        watcher.on_slot = look
        keys = {each.symbol: each.live_key for each in collector.universe.members}
        answer = urllib3.request(
            "POST",
            f"{collector.provider.base_url}/paper/faults",
            body=orjson.dumps({"fault": [with_keys(each, keys) for each in faults]}),
        )
        assert answer.status < 300, answer.data
        scheduler = DataScheduler()
        scheduler.run_days(collector, at(until), watcher)
        return Result(
            {table(model).name: facts_of(collector.store, table(model)) for model in FACTS},
            disconnects_since(collector.store, at("00:00")),
            scheduler.failures,
            reports,
            last_ticks(collector.store, keys),
        )


def with_keys(fault: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """*fault* with the key of each symbol in it."""
    symbols = fault.get("instruments", [])
    return {**fault, "instruments": [keys[symbol] for symbol in symbols]}


def last_ticks(store: Store, keys: Mapping[str, str]) -> dict[str, datetime]:
    symbols = {key: symbol for symbol, key in keys.items()}
    with store.reading() as connection:
        found = last_candle_receipts(connection, symbols, at("00:00"))
    return {symbols[key]: received_at for key, received_at in found.items()}


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


# The others that a day may bring; each connection that is lost meets the next refusal.
MORE_FAULTS_OF_THE_FEED = [
    fault("feed-close", "09:17:00", "09:17:30", times=1, code=1001),
    fault("feed-used-code", "09:17:00", "09:17:40", times=1),
    fault("feed-close", "09:18:30", "09:19:00", times=1, code=1012),
    fault("feed-nowhere", "09:18:30", "09:19:10", times=1),
    fault("feed-cut", "09:20:05", "09:20:30", times=1),
    fault("cloudflare-403", "09:20:00", "09:21:00", api="feed-connect", times=1),
    fault("token-expired", "09:20:00", "09:21:30", api="feed-connect", times=2),
    fault("rate-limited", "09:21:00", "09:22:30", api="feed-authorize", times=1),
    fault("feed-text-error", "09:23:00", "09:23:30"),
    fault("feed-unknown-values", "09:23:30", "09:24:00"),
    fault("feed-large-frame", "09:24:00", "09:24:10", times=2),
    fault("feed-unsub-ignored", "09:15:00", "09:33:00"),
    fault("feed-cut", "09:25:05", "09:25:30", times=1),
    fault("feed-snapshot-missing", "09:25:00", "09:27:00", instruments=["TCS"]),
    fault("feed-half-mute", "09:27:00", "09:30:00", instruments=["TCS", "RELIANCE"]),
]


@pytest.mark.parametrize(
    "faults",
    [FAULTS_OF_THE_FEED, MORE_FAULTS_OF_THE_FEED],
    ids=["mute to stall", "codes to half mute"],
)
def test_with_the_feed_every_table_equals_that_of_requests_alone(
    faults: Sequence[dict[str, Any]], tmp_path: Path
) -> None:
    alone = collected(tmp_path / "alone", faults, feed=False, until="09:33")
    beside = collected(tmp_path / "beside", faults, feed=True, until="09:33")

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


def test_a_mute_socket_is_given_up_after_ten_seconds_of_the_clock(tmp_path: Path) -> None:
    mute = [fault("feed-mute", "09:18:00", "09:19:30")]

    alone = collected(tmp_path / "alone", mute, feed=False, until="09:22")
    beside = collected(tmp_path / "beside", mute, feed=True, until="09:22")

    assert beside.facts == alone.facts
    [disconnect] = beside.disconnects
    assert disconnect.cause == (
        "no price of Nifty 50, Nifty Bank, NIFTY FUT 29 SEP 26 since 09:17:55 IST, though the "
        "market is open"
    )
    assert disconnect.began == at("09:17:55")
    assert disconnect.ended is not None
    assert at("09:19:30") <= disconnect.ended <= at("09:20:45")
    assert disconnect.keys > len(SYMBOLS)
    assert beside.reports["09:17"].state == "live"
    # By 09:18:12 the next connection is mute as well.
    assert beside.reports["09:18"].state == "mute"
    assert beside.reports["09:18"].cause.startswith("no price of")
    assert beside.reports["09:18"].expected


def test_a_half_mute_socket_is_no_disconnect_and_no_loss(tmp_path: Path) -> None:
    """Silence of a key says nothing; the requests have its prices."""
    dead = [fault("feed-half-mute", "09:17:00", "09:30:00", instruments=["TCS", "RELIANCE"])]

    alone = collected(tmp_path / "alone", dead, feed=False, until="09:21")
    beside = collected(tmp_path / "beside", dead, feed=True, until="09:21")

    assert beside.facts == alone.facts
    assert beside.disconnects == []
    assert {beside.reports[minute].state for minute in ("09:17", "09:18", "09:19")} == {"live"}
    assert max(beside.ticks["TCS"], beside.ticks["RELIANCE"]) <= at("09:17")
    assert min(beside.ticks["NIFTY"], beside.ticks["BANKNIFTY"]) > at("09:18")


def test_a_socket_without_pongs_is_given_up_while_the_clock_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings are in real time: here a slot lasts until the feed has given up."""
    silent = [fault("feed-no-pong", "09:17:00", "09:18:30")]
    monkeypatch.setitem(UpstoxFeed.__init__.__kwdefaults__, "heartbeat", timedelta(seconds=3))

    def stand(url: str, slot: datetime) -> None:
        if slot == at("09:17"):
            waits_until(lambda: not connections(url))

    alone = collected(tmp_path / "alone", silent, feed=False, until="09:21")
    beside = collected(tmp_path / "beside", silent, feed=True, until="09:21", at_slot=stand)

    assert beside.facts == alone.facts
    assert "the connection has not answered since" in beside.disconnects[0].cause
    assert all(each.ended is not None for each in beside.disconnects)
    assert beside.reports["09:19"].state == "live"


def connections(url: str) -> Sequence[object]:
    found: Sequence[object] = urllib3.request("GET", f"{url}/paper/feed").json()["connections"]
    return found


def test_the_end_of_the_token_in_the_night_shows_before_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket stays open and mute after 03:30, on a Monday; nothing else shows it."""
    sunday, monday = date(2026, 9, 20), "2026-09-21"
    daily = Tokens().issue(at(f"{sunday} 08:00"))
    monkeypatch.setattr("data_fetch.runtime.provider_token.PAPER_TOKEN", daily)
    mute: list[dict[str, Any]] = [{"kind": "feed-open-after-token"}]

    alone = collected(tmp_path / "alone", mute, feed=False, until=f"{monday} 09:18", first=sunday)
    beside = collected(tmp_path / "beside", mute, feed=True, until=f"{monday} 09:18", first=sunday)

    assert beside.quotes == alone.quotes
    assert len(beside.disconnects) == 1, beside.disconnects
    disconnect = beside.disconnects[0]
    assert disconnect.cause.startswith("Upstox rejects the access token")
    assert at(f"{monday} 08:30") <= disconnect.began < at(f"{monday} 08:46")
    # With the end of the collector.
    assert disconnect.ended is not None
    assert disconnect.ended >= at(f"{monday} 09:17")
    assert beside.reports["09:16"].state == "refused"
