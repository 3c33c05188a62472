"""A scrape in which every metric has a sample: of a store and a server that have seen it all."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3
from candle_shelf import RELIANCE, TUESDAY, shelf_at, whole_day
from effort import PATIENCE_SECONDS
from logins import YEAR, token_for
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from served import serving

from data_fetch.core.clock import SystemClock
from data_fetch.core.feed.report import FeedReport
from data_fetch.core.ports import Lane
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.reading.collector_facts import collector_facts
from data_fetch.serving.app import routes_of
from data_fetch.serving.gate import Gate
from data_fetch.serving.metrics import StreamFigures
from data_fetch.serving.server import Server
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer, account_of
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.work_units import WorkUnits

STREAMS = StreamFigures(
    clients={"websocket": 1},
    rooms={"general": 1},
    queued=1,
    queued_bytes=10,
    longest_queue=1,
    sent=1,
    replaced=1,
    closed={"too_slow": 1},
)


@dataclass(frozen=True)
class FullScrape:
    text: str

    @property
    def metrics(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.text))

    @property
    def labels(self) -> dict[str, set[str]]:
        """The labels of every sample's name."""
        found: dict[str, set[str]] = {}
        for metric in self.metrics:
            for sample in metric.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found


def full_scrape(database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FullScrape:
    """The text of `/metrics`; the ledgers of rate limits are in *folder*."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    shelf = shelf_at(database_url, folder)
    shelf.lists(TUESDAY, RELIANCE)
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    now = datetime.now(UTC)
    begun = SyncRun.begin("quotes", now - timedelta(minutes=1), now - timedelta(minutes=2))
    run = begun.finish(now, Outcome.COMPLETED, requested=1, stored=1, requests=1)
    quote = StoredQuote(
        symbol="RELIANCE",
        slot=now - timedelta(minutes=2),
        quote=Quote(instrument_key=RELIANCE.instrument_key, last_price=1500.0),
        off_session=False,
        received_at=now,
        source="upstox",
        run_id=run.run_id,
    )
    QuoteStore(shelf.store).record_slot(run, [quote], [])
    unit = UnitOffer(kind=UnitKind.BACKFILL, content=("RELIANCE",), subject={})
    WorkUnits(shelf.store).offer([unit], SyncRun.begin("units", now), now)
    report = FeedReport(
        at=now,
        state="live",
        cause="prices come",
        since=now,
        expected=True,
        keys={"full": 1},
        left_out={},
        awaited=0,
        unhonoured=0,
        last_tick=now,
        unread={"junk": 1},
    )
    FeedStore(shelf.store).record(report, [])
    shelf.store.close()
    token = token_for(now, YEAR)
    pacer = Pacer(
        FileWindows(None, SystemClock()),
        lambda: account_of("api.upstox.com", token),
        SystemClock(),
        UPSTOX_LIMITS,
    )
    with pacer.request("quotes", Lane.LIVE):
        pass
    pacer.pause("quotes", timedelta(minutes=5))
    pacer.close()
    settings = shelf.settings.model_copy(update={"access_token": SecretStr(token)})
    server = Server(settings)
    server.metrics.watch_streams(lambda: STREAMS)
    server.metrics.watch_collector(lambda: collector_facts(settings))
    return FullScrape("".join(_texts(server)))


def _texts(server: Server) -> Iterator[str]:
    with serving(Gate(routes_of(server), server)) as served:
        # A refusal, and a first scrape, so that every counter has counted.
        for path in ("/nowhere", "/metrics"):
            urllib3.request("GET", f"{served.url}{path}", timeout=PATIENCE_SECONDS)
        answer = urllib3.request("GET", f"{served.url}/metrics", timeout=PATIENCE_SECONDS)
        yield answer.data.decode()
