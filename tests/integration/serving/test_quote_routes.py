"""Quotes over HTTP."""

import pytest
from range_shelf import RangeServer


def test_each_symbol_has_its_fate(ranges: RangeServer) -> None:
    document = ranges.json("/api/data/ltp?symbols=reliance,TCS,RELIANC")

    assert document["count"] == 1
    quoted, lacking, unknown = document["quotes"]
    assert (quoted["symbol"], quoted["status"], quoted["ltp"]) == ("RELIANCE", "ok", 104.0)
    assert quoted["received_at"] == "2025-06-11T04:04:01.000Z"
    assert quoted["staleness_seconds"] == pytest.approx(document["staleness_seconds"])
    assert (lacking["symbol"], lacking["status"]) == ("TCS", "never_collected")
    assert (unknown["status"], unknown["near"]) == ("unknown_symbol", ["RELIANCE"])
    assert document["completeness"]["state"] == "degraded"
    assert {reason["code"] for reason in document["reasons"]} == {
        "unknown_symbol",
        "never_collected",
    }


def test_the_age_alone_changes_no_tag(ranges: RangeServer) -> None:
    tag = ranges.served.ask("/api/data/ltp?symbols=RELIANCE").headers["etag"]

    assert ranges.served.ask("/api/data/ltp?symbols=RELIANCE", if_none_match=tag).status == 304


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("symbols=NONE,NOR", 404, "unknown_symbol", id="all unknown"),
        pytest.param("symbols=RELIANCE,TCS&require=complete", 409, "incomplete", id="incomplete"),
        pytest.param("symbols=,", 422, "invalid", id="no symbol"),
        pytest.param("symbols=" + ",".join(["A"] * 501), 422, "invalid", id="too many"),
        pytest.param("symbols=%00", 422, "invalid", id="NUL"),
    ],
)
def test_refusals(ranges: RangeServer, query: str, status: int, code: str) -> None:
    answered, document = ranges.refused(f"/api/data/ltp?{query}")

    assert (answered, document["code"]) == (status, code)
