"""The metrics of a server and of the collector that fills its store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from candle_shelf import RELIANCE, TUESDAY, shelf_at
from effort import PATIENCE_SECONDS
from prometheus_client.parser import text_string_to_metric_families
from served import Served, served, serving
from viewing import seen_by

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.settings import Settings
from data_fetch.serving.metrics import StreamFigures
from data_fetch.serving.server import Server
from data_fetch.serving.streams.app import stream_application
from data_fetch.serving.viewers import Viewer

Labels = frozenset[tuple[str, str]]


def scraped(server: Served) -> dict[tuple[str, Labels], float]:
    """Every sample of a scrape, by name and labels."""
    answer = fetched(server, "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.data.decode())
        for sample in family.samples
    }


def fetched(
    server: Served, path: str, method: str = "GET", **headers: str
) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        method,
        f"{server.url}{path}",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        timeout=PATIENCE_SECONDS,
        redirect=False,
    )


def labels(**given: str) -> Labels:
    return frozenset(given.items())


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Of a store that knows RELIANCE."""
    shelf = shelf_at(database_url, tmp_path)
    shelf.lists(TUESDAY, RELIANCE)
    shelf.store.close()
    return shelf.settings


@pytest.fixture
def server(settings: Settings) -> Iterator[Served]:
    with served(settings) as server:
        yield server


def test_requests_are_counted_by_template_method_and_status(server: Served) -> None:
    for path in ("/health/live", "/health/live", "/option-chain/TCS", "/option-chain/NOSUCH"):
        fetched(server, path)
    fetched(server, "/health/live", "DELETE")

    found = scraped(server)

    count = "data_fetch_http_requests_total"
    live, chain = "/health/live", "/option-chain/{symbol}"
    assert found[count, labels(route=live, method="GET", status="200")] == 2
    assert found[count, labels(route=chain, method="GET", status="404")] == 2
    assert found[count, labels(route=live, method="DELETE", status="405")] == 1
    seconds = "data_fetch_http_request_duration_seconds_count"
    assert found[seconds, labels(route=live, method="GET")] == 2
    assert found["data_fetch_http_response_bytes_total", labels(route=live)] > 2
    # The scrape itself.
    assert found["data_fetch_http_requests_in_flight", labels()] == 1


def test_refusals_are_counted_by_their_code(server: Served) -> None:
    for path in ("/option-chain/NOSUCH", "/option-chain/TCS?limit=0", "/nowhere", "/nothing"):
        fetched(server, path)

    found = scraped(server)

    count = "data_fetch_http_refusals_total"
    assert found[count, labels(code="invalid")] == 1
    assert found[count, labels(code="not_found")] == 2


HOSTILE = (
    "/nowhere",
    "/../../etc/passwd",
    "/%00",
    "/option-chain/%2e%2e%2f",
    f"/option-chain/{'A' * 8000}",
    "/option-chain/{symbol}",
    "/option-chain/%EF%BC%AE",
    "//metrics",
    "/metrics/",
    "/socket.io/../x",
    "/docs/x/y",
    *(f"/{number}/{number}" for number in range(50)),
)


def test_labels_stay_few_whatever_is_requested(server: Served) -> None:
    before = {key for key in scraped(server) if key[0] == "data_fetch_http_requests_total"}
    for path in HOSTILE:
        fetched(server, path)
    for method in ("BREW", "PROPFIND", "X" * 100):
        fetched(server, "/health/live", method)

    after = {key for key in scraped(server) if key[0] == "data_fetch_http_requests_total"}

    routes = {dict(key[1])["route"] for key in after}
    methods = {dict(key[1])["method"] for key in after}
    named = {"/option-chain/{symbol}", "/docs/{asset}", "/health/live", "/metrics", "/health"}
    assert routes <= {"other", *named}
    assert methods == {"GET", "other"}
    assert len(after - before) < 12


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param("*/*", "text/plain", id="anything"),
        pytest.param("text/plain", "text/plain", id="text"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4,*/*;q=0.3",
            "text/plain",
            id="as Prometheus",
        ),
        pytest.param("application/json", "application/json", id="JSON"),
        pytest.param("application/json, text/plain, */*", "application/json", id="JSON first"),
        pytest.param("image/png", "application/problem+json", id="neither"),
    ],
)
def test_prometheus_text_unless_json_is_preferred(
    server: Served, accept: str, media_type: str
) -> None:
    answer = fetched(server, "/metrics", accept=accept)

    assert answer.headers["Content-Type"].partition(";")[0] == media_type
    assert answer.status == (406 if media_type == "application/problem+json" else 200)


def test_as_json_it_has_the_clients_of_streams(server: Served) -> None:
    assert fetched(server, "/metrics", accept="application/json").json() == {
        "total_clients": 0,
        "rooms": {},
    }


def test_streams_that_are_watched_are_in_both_forms(settings: Settings) -> None:
    figures = StreamFigures(
        clients={"socketio": 2, "websocket": 1},
        rooms={"general": 3, "product:RELIANCE": 1},
        queued=4,
        queued_bytes=400,
        longest_queue=3,
        sent=50,
        replaced=6,
        closed={"slow": 1},
    )
    server = Server(settings)
    server.metrics.watch_streams(lambda: figures)

    found = server.metrics.text(server.metrics.streams()).decode()

    for line in (
        'data_fetch_stream_clients{door="socketio"} 2.0',
        "data_fetch_stream_rooms 2.0",
        "data_fetch_stream_queued_messages 4.0",
        "data_fetch_stream_messages_sent_total 50.0",
        'data_fetch_stream_clients_closed_total{reason="slow"} 1.0',
    ):
        assert line in found.splitlines()
    with serving(seen_by(server, Viewer(role=Role.USER))) as served_here:
        document = fetched(served_here, "/metrics", accept="application/json").json()
    assert document == {"total_clients": 3, "rooms": {"general": 3, "product:RELIANCE": 1}}


def test_the_streams_alone_have_no_figures_of_the_collector(settings: Settings) -> None:
    with serving(stream_application(settings)) as server:
        names = {name for name, _ in scraped(server)}
        document = fetched(server, "/metrics", accept="application/json").json()

    assert "data_fetch_stream_clients" in names
    assert "data_fetch_store_up" not in names
    assert document == {"total_clients": 0, "rooms": {}}


def test_clients_and_closed_ones_begin_at_zero(server: Served) -> None:
    found = scraped(server)

    for door in ("socketio", "websocket"):
        assert found["data_fetch_stream_clients", labels(door=door)] == 0
    for reason in ("too_slow", "too_much_waits"):
        assert found["data_fetch_stream_clients_closed_total", labels(reason=reason)] == 0


@pytest.mark.parametrize("accept", ["text/plain", "application/json"])
def test_the_role_public_sees_none(settings: Settings, accept: str) -> None:
    with serving(seen_by(Server(settings), Viewer(role=Role.PUBLIC))) as server:
        answer = fetched(server, "/metrics", accept=accept)

    assert (answer.status, answer.json()["code"]) == (403, "forbidden")


def test_the_collector_is_seen_through_its_store(server: Served) -> None:
    found = scraped(server)

    assert found["data_fetch_store_up", labels()] == 1
    assert found["data_fetch_symbols", labels(dataset="quotes", state="fresh")] == 0
    assert found["data_fetch_build_info", labels(version="0.1.0", world="live")] == 1
    assert ("data_fetch_slots_due", labels()) in found
    # What is not known is absent: no quote was ever stored, and nothing is lagging.
    assert ("data_fetch_lag_seconds", labels(dataset="quotes")) not in found


def test_a_store_that_is_away_is_a_zero_and_the_scrape_goes_on(tmp_path: Path) -> None:
    away = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, tmp_path
    )
    with served(away) as server:
        found = scraped(server)

    assert found["data_fetch_store_up", labels()] == 0
    assert found["data_fetch_facts_unknown", labels(facts="store")] == 1
    assert ("data_fetch_slots_due", labels()) not in found
    assert ("data_fetch_http_requests_in_flight", labels()) in found


def test_each_server_counts_for_itself(settings: Settings) -> None:
    with served(settings) as one, served(settings) as other:
        fetched(one, "/health/live")
        found = scraped(other)

    assert not [key for key in found if dict(key[1]).get("route") == "/health/live"]
