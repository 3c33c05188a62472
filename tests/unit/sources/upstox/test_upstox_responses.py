"""The data or the error of each response of Upstox."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import (
    AccessDenied,
    BatchRefused,
    DataFetchError,
    RateLimited,
    RequestRefused,
    TokenRejected,
    Unavailable,
    UnknownInstrument,
)
from data_fetch.core.failures import FailureKind
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.upstox.responses import UnusableResponse, read_response

NOW = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
CLOUDFLARE = b"<!DOCTYPE html><html><head><title>Access denied | Cloudflare</title></head></html>"
LIMIT_PAGE = b"<html><title>Error 1015</title>You are being rate limited</html>"


def failure(code: str, message: str = "Something") -> bytes:
    return json.dumps(
        {"status": "error", "errors": [{"errorCode": code, "message": message}]}
    ).encode()


def read(status: int, body: bytes, shape: type = dict, **headers: str) -> Response:
    return read_response(RawResponse(NOW, status, body, headers), shape)


def refusal(status: int, body: bytes, **headers: str) -> DataFetchError:
    with pytest.raises(DataFetchError) as caught:
        read(status, body, **headers)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(401, failure("UDAPI100050"), TokenRejected, id="invalid token"),
        pytest.param(401, failure("UDAPI100064"), TokenRejected, id="401 with a code of Upstox"),
        pytest.param(401, b"", UnusableResponse, id="401 without a body"),
        pytest.param(401, b"<html>log in</html>", UnusableResponse, id="401 page of a proxy"),
        pytest.param(401, b'{"error":"x"}', UnusableResponse, id="401 of another program"),
        pytest.param(401, failure("401"), UnusableResponse, id="401 without a code of Upstox"),
        pytest.param(401, failure("UDAPI100073"), AccessDenied, id="401 of an inactive app"),
        pytest.param(200, failure("UDAPI100050"), TokenRejected, id="invalid token in a 200"),
        pytest.param(401, failure("UDAPI100016"), TokenRejected, id="invalid credentials"),
        pytest.param(403, CLOUDFLARE, AccessDenied, id="403 page of the guard"),
        pytest.param(403, failure("UDAPI100067"), AccessDenied, id="extended token"),
        pytest.param(403, failure("UDAPI1149"), AccessDenied, id="Plus plan needed"),
        pytest.param(400, failure("UDAPI1149"), AccessDenied, id="Plus plan needed, as 400"),
        pytest.param(403, failure("UDAPI1221"), AccessDenied, id="static IP needed"),
        pytest.param(403, failure("UDAPI9999"), AccessDenied, id="403 of unknown reason"),
        pytest.param(429, failure("UDAPI10005"), RateLimited, id="too many requests"),
        pytest.param(429, LIMIT_PAGE, RateLimited, id="429 page"),
        pytest.param(403, LIMIT_PAGE, RateLimited, id="rate-limit page as 403"),
        pytest.param(200, failure("UDAPI10005"), RateLimited, id="too many requests in a 200"),
        pytest.param(500, failure("UDAPI10005"), RateLimited, id="too many requests in a 500"),
        *(
            pytest.param(400, failure(code), UnknownInstrument, id=f"bad key {code}")
            for code in ("UDAPI1087", "UDAPI100011", "UDAPI100095", "UDAPI1009", "UDAPI1011")
        ),
        pytest.param(200, failure("UDAPI1087"), UnknownInstrument, id="bad key in a 200"),
        pytest.param(400, failure("UDAPI100043"), BatchRefused, id="501 keys"),
        pytest.param(404, failure("UDAPI100060"), BatchRefused, id="no such route"),
        pytest.param(414, b"<html>URI too long</html>", BatchRefused, id="414 page"),
        *(
            pytest.param(status, b"", BatchRefused, id=str(status))
            for status in (404, 410, 413, 431)
        ),
        pytest.param(423, failure("UDAPI1"), RequestRefused, id="locked"),
        pytest.param(408, b"", UnusableResponse, id="the server gave up waiting"),
        pytest.param(302, b"", UnusableResponse, id="a redirect"),
        pytest.param(500, failure("UDAPI100500"), Unavailable, id="internal error"),
        pytest.param(503, b"<html>maintenance</html>", Unavailable, id="maintenance page"),
        pytest.param(
            200, b"<html>sign in to the Wi-Fi</html>", UnusableResponse, id="page in a 200"
        ),
        pytest.param(200, b"", UnusableResponse, id="empty 200"),
        pytest.param(204, b"", UnusableResponse, id="204"),
        pytest.param(
            200, b'{"status":"success","data":{"NSE', UnusableResponse, id="truncated JSON"
        ),
        pytest.param(200, b"[]", UnusableResponse, id="a list for an envelope"),
        pytest.param(200, b"null", UnusableResponse, id="null"),
        pytest.param(200, b"{}", UnusableResponse, id="an empty envelope"),
        pytest.param(200, b'{"status":"success"}', UnusableResponse, id="no data"),
        pytest.param(200, b'{"status":"success","data":null}', UnusableResponse, id="null data"),
        pytest.param(200, b'{"status":"success","data":[]}', UnusableResponse, id="list for a map"),
        pytest.param(200, b'{"data":{}}', UnusableResponse, id="no status"),
        pytest.param(200, failure("UDAPI5555"), UnusableResponse, id="unknown error in a 200"),
        pytest.param(
            200, b'{"status":"error","errors":null}', UnusableResponse, id="no errors given"
        ),
        pytest.param(
            200, b'{"status":"error","errors":["x"]}', UnusableResponse, id="errors of text"
        ),
        pytest.param(200, b"\xff\xfe\x00", UnusableResponse, id="bytes that are no text"),
        pytest.param(200, b"NaN" + b"[" * 100_000, UnusableResponse, id="absurdly deep"),
    ],
)
def test_each_response_has_its_class(
    status: int, body: bytes, expected: type[DataFetchError]
) -> None:
    assert type(refusal(status, body)) is expected


def test_good_response_gives_its_data() -> None:
    assert read(200, b'{"status":"success","data":{"a":1}}') == Response({"a": 1})
    assert read(200, b'{"status":"success","data":[]}', list) == Response([])


def test_partial_response_is_marked_as_one() -> None:
    assert read(200, b'{"status":"partial_success","data":{"a":1}}').partial


def test_nan_costs_its_row_and_not_the_response() -> None:
    response = read(200, b'{"status":"success","data":{"a":NaN,"b":2}}')
    assert response.data["b"] == 2


def test_both_spellings_of_the_code_are_read() -> None:
    body = b'{"status":"error","errors":[{"error_code":"UDAPI1087","message":"x"}]}'
    assert isinstance(refusal(400, body), UnknownInstrument)


def test_refused_request_carries_the_code() -> None:
    refused = refusal(400, failure("UDAPI1028"))
    assert isinstance(refused, RequestRefused)
    assert refused.code == "UDAPI1028"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(404, b"", FailureKind.NOT_FOUND, id="404 without a code"),
        pytest.param(404, failure("UDAPI100060"), FailureKind.NOT_FOUND, id="no such route"),
        pytest.param(421, b"", FailureKind.MISDIRECTED, id="421"),
        pytest.param(410, b"", FailureKind.REFUSED, id="another status"),
        pytest.param(400, failure("UDAPI1028"), FailureKind.REFUSED, id="another code"),
    ],
)
def test_refused_request_has_a_kind(status: int, body: bytes, kind: FailureKind) -> None:
    assert refusal(status, body).kind is kind


@pytest.mark.parametrize(
    ("named", "wait"),
    [
        pytest.param("7", timedelta(seconds=7), id="seconds"),
        pytest.param("1.5", timedelta(seconds=1.5), id="parts of a second"),
        pytest.param("0", timedelta(0), id="at once"),
        pytest.param("Wed, 16 Sep 2026 04:00:20 GMT", timedelta(seconds=20), id="a date"),
        pytest.param("Wed, 16 Sep 2026 04:00:20 -0000", timedelta(seconds=20), id="zone unknown"),
        pytest.param("Wed, 16 Sep 2026 03:00:00 GMT", timedelta(0), id="a date gone by"),
        pytest.param(
            "Thu, 17 Sep 2026 04:00:00 GMT", timedelta(minutes=30), id="a date a day ahead"
        ),
        pytest.param("86400", timedelta(minutes=30), id="a day is not about the limits"),
        pytest.param("9" * 400, timedelta(minutes=30), id="beyond any number"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="words"),
        pytest.param("²", None, id="a raised digit"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_retry_after(named: str, wait: timedelta | None) -> None:
    limited = refusal(429, b"", **{"retry-after": named})
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == wait


def test_maintenance_that_names_its_end_is_waited_for() -> None:
    limited = refusal(503, b"<html>maintenance</html>", **{"Retry-After": "12"})
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == timedelta(seconds=12)


def test_errors_hold_neither_tokens_nor_whole_bodies() -> None:
    token = "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiJBQjEyMzQifQ.c2lnbmF0dXJl"
    found = str(refusal(400, failure("UDAPI1", f"token {token} and Bearer abcdef\n" + "x" * 5000)))
    assert "eyJ" not in found
    assert "abcdef" not in found
    assert "\n" not in found
    assert len(found) < 300


def test_a_page_is_reported_by_its_title() -> None:
    assert "Access denied | Cloudflare" in str(refusal(403, CLOUDFLARE))


@settings(max_examples=60)
@given(st.integers(200, 599), st.binary(max_size=300) | st.from_regex(rb'\{"status":.{0,60}\}'))
def test_no_response_escapes_the_classes(status: int, body: bytes) -> None:
    with suppress(DataFetchError):
        assert isinstance(read(status, body).data, dict)
