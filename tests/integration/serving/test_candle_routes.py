"""Candles over HTTP: pages, streams, completeness, refusals."""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import csv, ipc
from range_shelf import HALF, RangeServer

WHOLE, TWO_DAYS = 375, 375 + HALF
CANDLES = "/api/data/candles/RELIANCE"
SPAN = "from=2025-06-10&to=2025-06-11"
CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"


def pages(ranges: RangeServer, path: str) -> Iterator[dict[str, Any]]:
    following: str | None = path
    while following:
        document = ranges.json(following)
        yield document
        assert document["truncated"] is (document["next"] is not None)
        following = document["next"]


def test_an_answer_says_how_complete_it_is(ranges: RangeServer) -> None:
    document = ranges.json(f"{CANDLES}?{SPAN}")

    assert document["count"] == len(document["columns"]["timestamp"]) == TWO_DAYS
    assert document["completeness"] == {
        "state": "degraded",
        "of": "minutes",
        "expected": 750,
        "present": TWO_DAYS,
        "missing": 750 - TWO_DAYS,
        "pending": 0,
    }
    assert [day["state"] for day in document["days"]] == ["complete", "degraded"]
    assert document["days"][0]["last_modified"] == "2025-06-11T14:30:00.000Z"
    [reason] = document["reasons"]
    assert (reason["code"], reason["count"]) == ("missed", 750 - TWO_DAYS)
    assert "data-fetch backfill" in reason["detail"]
    assert (document["source"], document["unit"]) == ("upstox", "shares")


def test_instants_have_an_offset_and_integers_are_integers(ranges: RangeServer) -> None:
    columns = ranges.json(f"{CANDLES}?{SPAN}&limit=1")["columns"]

    assert columns["timestamp"] == ["2025-06-10T03:45:00Z"]
    assert (columns["close"], columns["is_final"]) == ([1500.0], [True])
    assert all(type(columns[name][0]) is int for name in ("volume", "oi"))


@settings(max_examples=20)
@given(limit=st.integers(20, 800), interval=st.sampled_from(["1minute", "5minute", "60minute"]))
@example(limit=1, interval="15minute")
def test_following_next_gives_exactly_the_range(
    ranges: RangeServer, limit: int, interval: str
) -> None:
    limit = limit if interval == "1minute" else 1 + limit % 50
    whole = ranges.json(f"{CANDLES}?{SPAN}&interval={interval}")["columns"]

    found = list(pages(ranges, f"{CANDLES}?{SPAN}&interval={interval}&limit={limit}"))

    assert all(page["count"] == limit for page in found[:-1])
    joined = {name: [row for page in found for row in page["columns"][name]] for name in whole}
    assert joined == whole


@pytest.mark.parametrize("named", [True, False], ids=["format=", "Accept"])
@pytest.mark.parametrize("form", ["csv", "arrow"])
def test_every_form_has_the_same_rows(ranges: RangeServer, form: str, named: bool) -> None:
    media_type = {"csv": CSV, "arrow": ARROW}[form]
    whole = ranges.json(f"{CANDLES}?{SPAN}")["columns"]

    answer = (
        ranges.served.ask(f"{CANDLES}?{SPAN}&format={form}")
        if named
        else ranges.served.ask(f"{CANDLES}?{SPAN}", accept=f"{media_type};q=0.9, */*;q=0.1")
    )

    assert answer.headers["content-type"].partition(";")[0] == media_type
    table = read(form, answer.data)
    assert table["close"].to_pylist() == whole["close"]
    assert table["volume"].to_pylist() == whole["volume"]
    starts = table["timestamp"].cast(pa.timestamp("us", "UTC")).to_pylist()
    assert [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in starts] == whole["timestamp"]


def read(form: str, body: bytes) -> pa.Table:
    source = pa.BufferReader(body)
    return csv.read_csv(source) if form == "csv" else ipc.open_stream(source).read_all()


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
def test_who_has_the_content_gets_no_body(ranges: RangeServer, form: str) -> None:
    path = f"{CANDLES}?{SPAN}&limit=5&format={form}"
    tag = ranges.served.ask(path).headers["etag"]

    again = ranges.served.ask(path, if_none_match=tag)

    assert (again.status, again.data, again.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
def test_with_an_instant_an_answer_is_the_same_byte_by_byte(ranges: RangeServer, form: str) -> None:
    path = f"{CANDLES}?{SPAN}&as_of=2025-06-12T09:00:00%2B05:30&format={form}"

    one, other = (ranges.served.ask(path) for _ in range(2))

    assert one.status == 200
    assert one.data == other.data


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("from=31-Feb-2026", 422, "invalid", id="no date"),
        pytest.param("from=2025-06-11&to=2025-06-10", 422, "invalid", id="backwards"),
        pytest.param("from=1925-06-11", 422, "range_too_large", id="a century"),
        pytest.param(f"{SPAN}&as_of=2025-06-12T09:00:00", 422, "invalid", id="no offset"),
        pytest.param(f"{SPAN}&limit=0", 422, "invalid", id="limit 0"),
        pytest.param(f"{SPAN}&limit=-1", 422, "invalid", id="limit -1"),
        pytest.param(f"{SPAN}&limit=abc", 422, "invalid", id="limit abc"),
        pytest.param(f"{SPAN}&limit=1000000000000", 422, "invalid", id="limit 10^12"),
        pytest.param(f"{SPAN}&interval=7minute", 422, "invalid", id="interval"),
        pytest.param(f"{SPAN}&interval=5minute&kind=auction", 422, "invalid", id="kind"),
        pytest.param(f"{SPAN}&cursor=AAAA", 422, "invalid_cursor", id="forged cursor"),
        pytest.param(f"{SPAN}&cursor=%00", 422, "invalid_cursor", id="no cursor"),
        pytest.param(f"{SPAN}&require=complete", 409, "incomplete", id="incomplete"),
    ],
)
def test_refusals(ranges: RangeServer, query: str, status: int, code: str) -> None:
    answered, document = ranges.refused(f"{CANDLES}?{query}")

    assert (answered, document["code"]) == (status, code)
    assert document["detail"]


@pytest.mark.parametrize(
    ("symbol", "status"),
    [
        pytest.param("RELIANC", 404, id="nearly"),
        pytest.param("%00", 422, id="NUL"),
        pytest.param("A" * 10_000, 422, id="10 kB"),
        pytest.param("%D0%A0ELIANCE", 404, id="look-alike letter"),
        pytest.param("..%2F..%2Fetc", 404, id="path"),
    ],
)
def test_symbols_that_are_none(ranges: RangeServer, symbol: str, status: int) -> None:
    answered, document = ranges.refused(f"/api/data/candles/{symbol}?{SPAN}")

    assert answered == status
    assert document["near"] == (["RELIANCE"] if symbol == "RELIANC" else document["near"])


def test_the_cursor_of_another_query_is_refused(ranges: RangeServer) -> None:
    following = ranges.json(f"{CANDLES}?{SPAN}&limit=5")["next"]

    status, document = ranges.refused(following.replace("to=2025-06-11", "to=2025-06-12"))

    assert (status, document["code"]) == (422, "invalid_cursor")


def test_nonsense_is_not_acceptable_and_the_forms_are_named(ranges: RangeServer) -> None:
    status, document = ranges.refused(f"{CANDLES}?{SPAN}", accept="image/png")

    assert (status, document["code"]) == (406, "not_acceptable")
    assert document["media_types"] == ["application/json", CSV, ARROW]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("TCS?from=2025-06-10&to=2025-06-10", "missed", id="not collected"),
        pytest.param("TCS?from=2025-06-08&to=2025-06-08", "closed", id="a Sunday"),
        pytest.param("TCS?from=2100-06-08&to=2100-06-09", "still_to_come", id="the future"),
        pytest.param(
            "TCS?from=2025-06-10&to=2025-06-10&as_of=2025-06-10T09:00:00%2B05:30",
            "pending",
            id="not yet due",
        ),
    ],
)
def test_an_empty_answer_has_its_reason(ranges: RangeServer, path: str, code: str) -> None:
    document = ranges.json(f"/api/data/candles/{path}")

    assert document["count"] == 0
    assert [reason["code"] for reason in document["reasons"]] == [code]


def test_a_symbol_with_an_ampersand_is_followed_by_its_next(ranges: RangeServer) -> None:
    document = ranges.json(f"/api/data/candles/m%26m?{SPAN}")

    assert document["symbol"] == "M&M"


LONG = "from=2024-11-01&to=2025-06-11"


@pytest.mark.parametrize("form", ["csv", "arrow"])
def test_a_long_range_is_sent_as_it_is_read(ranges: RangeServer, form: str) -> None:
    whole = ranges.json(f"{CANDLES}?{LONG}")["columns"]

    answer = ranges.served.ask(f"{CANDLES}?{LONG}&format={form}")

    assert "content-length" not in answer.headers
    assert read(form, answer.data)["close"].to_pylist() == whole["close"]
    frame = orjson.loads(answer.headers["data-frame"])
    assert (frame["completeness"]["present"], frame["truncated"]) == (TWO_DAYS, False)
    assert frame["staleness_seconds"] > 0


@pytest.mark.parametrize("interval", ["5minute", "60minute"])
def test_parts_of_a_long_range_without_candles_have_the_types_of_the_others(
    ranges: RangeServer, interval: str
) -> None:
    path = f"{CANDLES}?{LONG}&interval={interval}"

    answer = ranges.served.ask(f"{path}&format=arrow")

    assert answer.status == 200
    assert read("arrow", answer.data)["close"].to_pylist() == ranges.json(path)["columns"]["close"]


def test_a_long_range_of_an_instant_is_not_sent_twice(ranges: RangeServer) -> None:
    path = f"{CANDLES}?{LONG}&format=csv&as_of=2025-06-12T09:00:00%2B05:30"
    tag = ranges.served.ask(path).headers["etag"]

    assert ranges.served.ask(path, if_none_match=tag).status == 304
    assert ranges.served.ask(path.replace("csv", "arrow"), if_none_match=tag).status == 200
