"""HEAD on every call that GET has: status and headers of GET, and no body."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest
from described_api import operations
from raw_requests import Answer, Target

from data_fetch.core.clock import SystemClock

# They differ between any two requests.
OF_THE_REQUEST = {"x-request-id", "date", "ratelimit", "data-frame"}
# Beside those that the description has.
PAGES = ["/docs", "/docs/{asset}", "/openapi.json", "/option-chain/filter"]
VALUES = {"{symbol}": "NIFTY", "{product}": "NIFTY", "{asset}": "swagger-ui.css"}
# The rest of it does not depend on when it is asked for.
NOW = datetime(2025, 6, 11, 12, 0, 30, tzinfo=UTC)
OF_VARYING_LENGTH = {"/metrics"}
QUERIES = {
    "/api/data/candles/{symbol}": "?from=2025-06-01&to=2025-06-30",
    "/api/analytics/max-pain/{product}": "?expiry=2025-06-26",
}


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an age has more digits in one body than in the other."""
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)


def paths() -> Iterator[str]:
    yield from (path for method, path, _ in operations() if method == "GET")
    yield from PAGES


def address_of(path: str) -> str:
    query = QUERIES.get(path, "")
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path + query


def headers_of(answer: Answer, *left_out: str) -> Mapping[str, str]:
    named = {name.lower(): value for name, value in answer.headers.items()}
    return {name: named[name] for name in named if name not in {*OF_THE_REQUEST, *left_out}}


@pytest.mark.parametrize("store", ["sqlite", "empty"])
@pytest.mark.parametrize("path", list(paths()))
def test_head_is_answered_as_get_is_without_a_body(
    targets: Mapping[str, Target], store: str, path: str
) -> None:
    target, address = targets[store], address_of(path)
    got, head = (target.send(method, address) for method in ("GET", "HEAD"))

    assert (head.status, head.body) == (got.status, b"")
    varying = ("content-length",) if path in OF_VARYING_LENGTH else ()
    assert headers_of(head, *varying) == headers_of(got, *varying)


RANGE = "/api/data/candles/NIFTY?from=2025-06-01&to=2025-06-30"


@pytest.mark.parametrize("headers", [[("Accept", "text/csv")], [("Accept-Encoding", "gzip")]])
@pytest.mark.parametrize("address", [RANGE, "/option-chain/NIFTY"])
def test_other_forms_have_the_headers_of_get_as_well(
    targets: Mapping[str, Target], address: str, headers: list[tuple[str, str]]
) -> None:
    target = targets["sqlite"]
    got, head = (target.send(method, address, headers) for method in ("GET", "HEAD"))

    assert (head.status, head.body) == (got.status, b"")
    assert headers_of(head, "content-length") == headers_of(got, "content-length")


def test_a_connection_goes_on_after_head(targets: Mapping[str, Target]) -> None:
    with closing(HTTPConnection(*targets["sqlite"].address)) as connection:
        for method, body in (("HEAD", b""), ("GET", b'{"status":"alive"}')):
            connection.request(method, "/health/live")
            assert connection.getresponse().read() == body


def test_head_of_a_known_content_is_not_modified(targets: Mapping[str, Target]) -> None:
    target = targets["sqlite"]
    tag = target.send("HEAD", "/option-chain/NIFTY").headers["ETag"]
    again = target.send("HEAD", "/option-chain/NIFTY", [("If-None-Match", tag)])

    assert (again.status, again.body) == (304, b"")


def test_a_call_that_only_takes_posts_takes_no_head(targets: Mapping[str, Target]) -> None:
    answer = targets["sqlite"].send("HEAD", "/option-chain/filter")

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_other_methods_are_refused_with_both_names(targets: Mapping[str, Target]) -> None:
    answer = targets["sqlite"].send("DELETE", "/option-chain/NIFTY")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
