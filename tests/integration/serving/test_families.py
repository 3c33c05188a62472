"""Every documented call of the two older backends: status, members, types; and their values."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from candle_shelf import environment_for, shelf_at
from effort import PATIENCE_SECONDS
from served import Served, served
from shapes import FLAG, NUMBER, TEXT, WHOLE, faults, maybe

from data_fetch.core.settings import Settings

FRAME = {
    "as_of": TEXT,
    "source": maybe(TEXT),
    "unit": TEXT,
    "staleness_seconds": maybe(NUMBER),
    "completeness": {"state": TEXT, "of": TEXT},
    "reasons": list,
    "truncated": FLAG,
    "next": maybe(TEXT),
}
ENTRY = {
    "symbol": TEXT, "type": TEXT, "strike_price": NUMBER, "expiry_date": TEXT, "identifier": TEXT,
    "fetched_at": TEXT, "bid_qty": maybe(WHOLE), "ask_qty": maybe(WHOLE),
    **dict.fromkeys(
        ("open_interest", "change_in_oi", "pchange_in_oi", "last_price", "change", "pchange",
         "total_traded_volume", "implied_volatility", "bid_price", "ask_price",
         "underlying_value"),
        maybe(NUMBER),
    ),
}  # fmt: skip
LEG = {
    "symbol": TEXT, "product": TEXT, "strike": NUMBER, "expiry": TEXT, "option_type": TEXT,
    "timestamp": TEXT, "volume": maybe(WHOLE), "open_interest": maybe(WHOLE),
    **dict.fromkeys(
        ("bid", "ask", "last", "delta", "gamma", "vega", "theta", "iv"), maybe(NUMBER)
    ),
}  # fmt: skip
CHAIN = {
    "product": TEXT, "expiry": TEXT, "spot_price": NUMBER, "strikes": [NUMBER], "pcr_oi": NUMBER,
    "pcr_volume": NUMBER, "atm_strike": NUMBER, "atm_strike_spot": NUMBER,
    "atm_straddle_price": NUMBER, "max_pain_strike": NUMBER, "total_call_oi": WHOLE,
    "total_put_oi": WHOLE, "call_buildup_otm": WHOLE, "put_buildup_otm": WHOLE, "calls": [LEG],
    "puts": [LEG], "timestamp": TEXT, "processed_at": TEXT,
}  # fmt: skip
PCR = {
    "product": TEXT, "expiry": TEXT, "pcr_oi": NUMBER, "pcr_volume": NUMBER, "timestamp": TEXT,
}  # fmt: skip
TICK = {
    "product": TEXT, "price": NUMBER, "timestamp": TEXT, "tick_id": WHOLE, "processed_at": TEXT,
}  # fmt: skip
SMILE = {
    "expiry": TEXT, "strikes": [NUMBER], "ivs": [maybe(NUMBER)], "call_ivs": [maybe(NUMBER)],
    "put_ivs": [maybe(NUMBER)], "avg_iv": NUMBER, "num_quotes": WHOLE,
}  # fmt: skip
MONEYNESS = {"itm": WHOLE, "atm": WHOLE, "otm": WHOLE}
PIPELINE = {
    "running": FLAG, "total_cycles": WHOLE, "successful_cycles": WHOLE, "failed_cycles": WHOLE,
    "success_rate": NUMBER, "last_successful_fetch": TEXT, "symbols": [TEXT],
    "fetch_interval": WHOLE,
    "statistics": dict.fromkeys(
        ("total_calls_inserted", "total_puts_inserted", "total_calls_skipped",
         "total_puts_skipped"),
        WHOLE,
    ),
}  # fmt: skip
PROBLEM = {
    "type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "instance": TEXT, "error": TEXT,
    "code": TEXT, "then": TEXT, "near": list,
}  # fmt: skip
OF_PRODUCT = {**PROBLEM, "product": TEXT}


def enveloped(data: Any) -> dict[str, Any]:
    return {"success": FLAG, "message": TEXT, "data": data, "timestamp": TEXT}


def family_a(path: str, shape: Any, name: str) -> Any:
    return pytest.param("GET", path, None, 200, shape, id=f"a: {name}")


def family_b(path: str, shape: Any, name: str) -> Any:
    return pytest.param("GET", path, None, 200, {**FRAME, **shape}, id=f"b: {name}")


def refused(path: str, status: int, shape: Any, name: str) -> Any:
    return pytest.param("GET", path, None, status, shape, id=f"refused: {name}")


FILTERED = enveloped(
    {
        "total_records": WHOLE,
        "filter_params": {
            "symbol": TEXT, "option_type": TEXT, "strike_price_min": NUMBER,
            "strike_price_max": NUMBER, "expiry_date": TEXT, "limit": WHOLE, "offset": WHOLE,
        },
        "records": [ENTRY],
    }
)  # fmt: skip
EVERY_CONDITION = {
    "symbol": "nifty", "option_type": "CE", "strike_price_min": 23_500, "strike_price_max": 24_500,
    "expiry_date": "22-Sep-2026", "limit": 10, "offset": 0,
}  # fmt: skip
CALLS = [
    family_a("/", enveloped({"version": TEXT, "endpoints": [TEXT]}), "root"),
    family_a(
        "/health",
        {"status": TEXT, "service": TEXT, "timestamp": TEXT, "database_connected": FLAG,
         "last_data_fetch": TEXT, "total_records": WHOLE},
        "health, of both",
    ),
    family_a(
        "/stats",
        {**FRAME, "total_records": WHOLE, "records_by_symbol": {"NIFTY": WHOLE, "M&M": WHOLE},
         "records_by_type": {"CE": WHOLE, "PE": WHOLE}, "latest_fetch_time": TEXT,
         "data_freshness_seconds": NUMBER},
        "stats",
    ),
    family_a("/pipeline/status", {**FRAME, **enveloped(PIPELINE)}, "pipeline"),
    family_a(
        "/option-chain/NIFTY",
        {**FRAME, "symbol": TEXT, "underlying_value": NUMBER, "timestamp": TEXT,
         "total_calls": WHOLE, "total_puts": WHOLE, "calls": [ENTRY], "puts": [ENTRY]},
        "chain",
    ),
    family_a(
        "/option-chain/NIFTY/strikes?option_type=CE",
        {**FRAME, **enveloped({"symbol": TEXT, "option_type": TEXT, "strike_prices": [NUMBER],
                               "total_strikes": WHOLE})},
        "strikes",
    ),
    family_a(
        "/option-chain/NIFTY/expiry-dates",
        {**FRAME, **enveloped({"symbol": TEXT, "expiry_dates": [TEXT],
                               "total_expiry_dates": WHOLE})},
        "expiries",
    ),
    pytest.param(
        "POST", "/option-chain/filter", EVERY_CONDITION, 200, {**FRAME, **FILTERED},
        id="a: filter",
    ),
    family_b("/api/data/products", {"products": [TEXT]}, "products"),
    family_b(
        "/api/data/underlying/RELIANCE?limit=5",
        {"product": TEXT, "count": WHOLE, "ticks": [TICK]},
        "underlying",
    ),
    family_b(
        "/api/data/chain/NIFTY?limit=1",
        {"product": TEXT, "count": WHOLE, "chains": [CHAIN]},
        "chain",
    ),
    family_b("/api/data/expiries/NIFTY", {"product": TEXT, "expiries": [TEXT]}, "expiries"),
    family_b("/api/analytics/pcr/NIFTY", {"product": TEXT, "latest": [PCR]}, "pcr"),
    family_b(
        "/api/analytics/pcr/NIFTY?expiry=2026-09-22", {"product": TEXT, "latest": PCR},
        "pcr of one expiry",
    ),
    family_b(
        "/api/analytics/pcr/NIFTY?history=true",
        {"product": TEXT, "latest": [PCR], "history": [PCR]},
        "pcr with its history",
    ),
    family_b(
        "/api/analytics/volatility-surface/NIFTY",
        {"product": TEXT, "timestamp": TEXT, "expiries": [SMILE]},
        "surface",
    ),
    family_b(
        "/api/analytics/max-pain/NIFTY?expiry=2026-09-22",
        {"product": TEXT, "expiry": TEXT, "max_pain_strike": NUMBER, "spot_price": NUMBER,
         "distance_from_spot": NUMBER, "distance_pct": NUMBER, "total_call_oi": WHOLE,
         "total_put_oi": WHOLE, "timestamp": TEXT},
        "max pain",
    ),
    family_b(
        "/api/analytics/oi-buildup/NIFTY?expiry=2026-09-22",
        {"product": TEXT, "expiry": TEXT, "spot_price": NUMBER, "call_buildup": MONEYNESS,
         "put_buildup": MONEYNESS, "interpretation": TEXT, "timestamp": TEXT},
        "build-up",
    ),
    family_b(
        "/api/analytics/ohlc/RELIANCE?window=5",
        {"product": TEXT, "window_minutes": WHOLE, "start_time": TEXT, "end_time": TEXT,
         "num_ticks": WHOLE, **dict.fromkeys(("open", "high", "low", "close"), NUMBER)},
        "bar",
    ),
    pytest.param(
        "GET", "/api/docs", None, 200, {"openapi": TEXT, "paths": dict}, id="b: description"
    ),
    refused("/option-chain/filter", 405, PROBLEM, "the filter is no symbol"),
    refused("/option-chain/NOSUCH", 404, PROBLEM, "a: unknown symbol"),
    refused("/option-chain/NOSUCH/strikes", 404, PROBLEM, "a: strikes of an unknown symbol"),
    refused("/option-chain/NOSUCH/expiry-dates", 404, PROBLEM, "a: expiries of an unknown symbol"),
    refused("/option-chain/TCS", 404, PROBLEM, "a: no chain"),
    refused("/option-chain/TCS/strikes", 404, PROBLEM, "a: no strikes"),
    refused("/option-chain/TCS/expiry-dates", 404, PROBLEM, "a: no expiries"),
    refused("/option-chain/NIFTY?expiry=2026-09-23", 404, PROBLEM, "a: no such expiry"),
    refused("/option-chain/NIFTY?require=complete", 409, PROBLEM, "a: an incomplete chain"),
    refused("/api/data/underlying/NOSUCH", 404, OF_PRODUCT, "b: unknown product"),
    refused("/api/data/chain/NOSUCH", 404, OF_PRODUCT, "b: chain of an unknown product"),
    refused("/api/data/expiries/NOSUCH", 404, OF_PRODUCT, "b: expiries of an unknown product"),
    refused("/api/analytics/pcr/NOSUCH", 404, OF_PRODUCT, "b: pcr of an unknown product"),
    refused("/api/analytics/volatility-surface/TCS", 404, OF_PRODUCT, "b: no surface"),
    refused("/api/analytics/max-pain/NIFTY", 400, OF_PRODUCT, "b: max pain without expiry"),
    refused(
        "/api/analytics/max-pain/NIFTY?expiry=2026-09-23", 404, {**OF_PRODUCT, "expiry": TEXT},
        "b: max pain of no such expiry",
    ),
    refused("/api/analytics/oi-buildup/NIFTY", 400, OF_PRODUCT, "b: build-up without expiry"),
    refused(
        "/api/analytics/oi-buildup/TCS?expiry=2026-09-22", 404, {**OF_PRODUCT, "expiry": TEXT},
        "b: no build-up",
    ),
    refused("/api/analytics/ohlc/TCS", 404, OF_PRODUCT, "b: no bar"),
    refused("/api/data/chain/NIFTY?require=complete", 409, PROBLEM, "b: incomplete chains"),
    refused("/api/ai/ask", 404, PROBLEM, "b: no longer there"),
]  # fmt: skip


def ask(server: Served, method: str, path: str, body: Any = None) -> tuple[int, str, Any]:
    """Status, media type and document of the answer."""
    sent = {} if body is None else {"json": body}
    answer = urllib3.request(method, f"{server.url}{path}", timeout=PATIENCE_SECONDS, **sent)
    media_type = answer.headers["Content-Type"].partition(";")[0]
    return answer.status, media_type, orjson.loads(answer.data)


@pytest.mark.parametrize(("method", "path", "body", "status", "shape"), CALLS)
def test_every_call_keeps_its_members(
    families: Served, method: str, path: str, body: Any, status: int, shape: Any
) -> None:
    found, media_type, document = ask(families, method, path, body)

    assert (found, faults(document, shape)) == (status, [])
    assert media_type == ("application/json" if status == 200 else "application/problem+json")


def filtered(server: Served, **conditions: Any) -> tuple[int, Any]:
    status, _, document = ask(server, "POST", "/option-chain/filter", conditions)
    return status, document


@pytest.mark.parametrize(
    ("path", "member", "named"),
    [
        pytest.param("/option-chain/nifty", "symbol", "NIFTY", id="a: in small letters"),
        pytest.param("/api/data/chain/nifty?limit=1", "product", "NIFTY", id="b: as well"),
        pytest.param("/option-chain/Nifty%2050", "symbol", "NIFTY", id="a: name of an index"),
        pytest.param("/option-chain/M%26M", "symbol", "M&M", id="a: an encoded ampersand"),
        pytest.param("/option-chain/M&M", "symbol", "M&M", id="a: a bare ampersand"),
        pytest.param("/api/data/expiries/M&M", "product", "M&M", id="b: a bare ampersand"),
        pytest.param("/option-chain/RELIND", "symbol", "RELIANCE", id="a: a former symbol"),
        pytest.param("/api/data/expiries/relind", "product", "RELIANCE", id="b: a former symbol"),
        pytest.param("/api/data/underlying/RELIND", "product", "RELIANCE", id="b: its quotes"),
        pytest.param("/api/analytics/ohlc/RELIND", "product", "RELIANCE", id="b: its bar"),
    ],
)
def test_symbols_are_found_as_people_write_them(
    families: Served, path: str, member: str, named: str
) -> None:
    status, _, document = ask(families, "GET", path)

    assert (status, document[member]) == (200, named)


@pytest.mark.parametrize(
    ("symbol", "near"),
    [
        pytest.param("NIFTTY", ["NIFTY"], id="a slip"),
        pytest.param("N%C4%B1FTY", ["NIFTY"], id="a dotless i, whose capital is an I"),
        pytest.param("%CE%9DIFTY", ["NIFTY"], id="a Greek N"),
        pytest.param("ZOMATO", [], id="nothing near"),
    ],
)
@pytest.mark.parametrize("path", ["/option-chain/", "/api/data/chain/"])
def test_an_unknown_symbol_has_near_ones(
    families: Served, path: str, symbol: str, near: list[str]
) -> None:
    status, _, document = ask(families, "GET", f"{path}{symbol}")

    assert (status, document["code"], document["near"]) == (404, "unknown_symbol", near)


def test_the_words_of_a_known_symbol_without_a_chain(families: Served) -> None:
    _, _, document = ask(families, "GET", "/option-chain/tcs")

    assert document["detail"] == document["error"] == "No data found for symbol TCS"
    assert "data-fetch chain collect" in document["then"]


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        pytest.param("/api/data/chain/TCS", {"chains": [], "count": 0}, id="chains"),
        pytest.param("/api/data/expiries/TCS", {"expiries": []}, id="expiries"),
        pytest.param("/api/data/underlying/TCS", {"ticks": [], "count": 0}, id="quotes"),
        pytest.param("/api/analytics/pcr/TCS", {"latest": []}, id="pcr"),
        pytest.param(
            "/api/analytics/pcr/TCS?expiry=2026-09-22&history=true",
            {"latest": None, "history": []},
            id="pcr of an expiry",
        ),
        pytest.param(
            "/api/data/chain/NIFTY?expiry=23-Sep-2026", {"chains": []}, id="no such expiry"
        ),
    ],
)
def test_a_known_product_without_data_is_empty_with_the_reason(
    families: Served, path: str, empty: dict[str, Any]
) -> None:
    status, _, document = ask(families, "GET", path)

    assert status == 200
    assert document.items() >= empty.items()
    assert [reason["code"] for reason in document["reasons"]] == ["nothing_stored"]


@pytest.mark.parametrize("expiry", ["2026-09-29", "29-Sep-2026", "29-SEP-2026"])
@pytest.mark.parametrize(
    ("path", "place", "shown"),
    [
        pytest.param("/option-chain/NIFTY", ("expiry_date",), "29-Sep-2026", id="a: chain"),
        pytest.param(
            "/option-chain/NIFTY/strikes", ("message",), "Strikes of NIFTY 29-Sep-2026",
            id="a: strikes",
        ),
        pytest.param(
            "/api/data/chain/NIFTY", ("chains", 0, "expiry"), "2026-09-29", id="b: chain"
        ),
        pytest.param(
            "/api/analytics/pcr/NIFTY", ("latest", "expiry"), "2026-09-29", id="b: pcr"
        ),
        pytest.param(
            "/api/analytics/max-pain/NIFTY", ("expiry",), "2026-09-29", id="b: max pain"
        ),
        pytest.param(
            "/api/analytics/oi-buildup/NIFTY", ("expiry",), "2026-09-29", id="b: build-up"
        ),
    ],
)  # fmt: skip
def test_an_expiry_is_written_either_way(
    families: Served, path: str, place: tuple[str | int, ...], shown: str, expiry: str
) -> None:
    _, _, found = ask(families, "GET", f"{path}?expiry={expiry}")

    for step in place:
        found = found[step]
    assert found == shown


def test_legs_are_in_contracts_and_percent(families: Served) -> None:
    """1,500 shares with a lot of 75 are 20 contracts."""
    _, _, document = ask(families, "GET", "/option-chain/NIFTY")

    call = document["calls"][2]
    assert (document["unit"], document["source"]) == ("contracts", "upstox")
    assert (call["open_interest"], call["change_in_oi"], call["pchange_in_oi"]) == (20.0, 4.0, 25.0)
    assert (call["total_traded_volume"], call["bid_qty"], call["ask_qty"]) == (10.0, 75, 150)
    assert call["change"] == pytest.approx(call["last_price"] - 100, abs=1e-3)
    assert call["pchange"] == pytest.approx(call["last_price"] - 100, abs=1e-3)
    assert 5 < call["implied_volatility"] < 50
    assert (call["implied_volatility_source"], call["provider_implied_volatility"]) == ("own", 15.0)
    assert call["identifier"] == "NIFTY_CE_24000_22-Sep-2026"
    assert call["fetched_at"] == "2026-09-16T04:01:00.000Z"


def test_the_same_legs_are_in_shares_and_fractions_for_the_other_family(families: Served) -> None:
    _, _, contracts = ask(families, "GET", "/option-chain/NIFTY")
    _, _, document = ask(families, "GET", "/api/data/chain/NIFTY?expiry=2026-09-22&limit=1")

    [chain] = document["chains"]
    call, same = chain["calls"][2], contracts["calls"][2]
    assert (document["unit"], call["open_interest"], call["volume"]) == ("shares", 1_500, 750)
    assert call["iv"] * 100 == pytest.approx(same["implied_volatility"], rel=1e-6)
    assert (call["symbol"], call["option_type"]) == ("NIFTY20260922C24000", "CALL")
    assert (chain["pcr_oi"], chain["pcr_volume"]) == (2.0, 1.0)
    assert (chain["total_call_oi"], chain["total_put_oi"]) == (7_500, 15_000)
    assert (chain["call_buildup_otm"], chain["put_buildup_otm"]) == (3_000, 9_000)


@pytest.mark.parametrize(
    ("path", "reason", "unknown"),
    [
        pytest.param(
            "/option-chain/NIFTY", "implied_volatility_reason", ("implied_volatility",), id="a"
        ),
        pytest.param(
            "/api/data/chain/NIFTY?limit=1", "reason", ("iv", "delta", "theta"), id="b"
        ),
    ],
)  # fmt: skip
def test_what_is_unknown_is_null_with_its_reason(
    families: Served, path: str, reason: str, unknown: tuple[str, ...]
) -> None:
    _, _, document = ask(families, "GET", path)

    last = document.get("calls", document.get("chains", [{}])[0].get("calls"))[-1]
    assert [last[name] for name in unknown] == [None] * len(unknown)
    assert last[reason] == "no_price"
    assert document["completeness"]["state"] == "degraded"
    assert [(each["code"], each["count"]) for each in document["reasons"]] == [("no_price", 1)]


def test_a_lot_that_is_unknown_leaves_shares_null(families: Served) -> None:
    _, _, contracts = ask(families, "GET", "/option-chain/M&M")
    _, _, document = ask(families, "GET", "/api/data/chain/M&M")

    [chain] = document["chains"]
    assert contracts["calls"][0]["open_interest"] == 1_000.0
    assert (chain["calls"][0]["open_interest"], chain["total_call_oi"]) == (None, None)
    assert chain["calls"][0]["oi_reason"] == chain["unknown"]["total_call_oi"] == "lot_unknown"


def test_a_lot_that_is_unknown_leaves_contracts_null_for_a_source_of_shares(
    families: Served,
) -> None:
    _, _, document = ask(families, "GET", "/option-chain/RELIANCE")

    leg = document["calls"][0]
    assert (leg["open_interest"], leg["total_traded_volume"]) == (None, None)
    assert leg["oi_reason"] == "lot_unknown"


def test_a_strike_that_is_not_whole_keeps_its_decimals(families: Served) -> None:
    _, _, contracts = ask(families, "GET", "/option-chain/RELIANCE")
    _, _, document = ask(families, "GET", "/api/data/chain/RELIANCE")

    assert contracts["calls"][0]["identifier"] == "RELIANCE_CE_23750.5_29-Sep-2026"
    assert document["chains"][0]["puts"][0]["symbol"] == "RELIANCE20260929P23750.5"


def test_expiries_are_in_the_order_of_the_calendar(families: Served) -> None:
    _, _, a = ask(families, "GET", "/option-chain/NIFTY/expiry-dates")
    _, _, b = ask(families, "GET", "/api/data/expiries/NIFTY")

    assert a["data"]["expiry_dates"] == ["22-Sep-2026", "29-Sep-2026"]
    assert b["expiries"] == ["2026-09-22", "2026-09-29"]


def test_the_pages_of_a_chain_are_the_whole_chain(families: Served) -> None:
    _, _, whole = ask(families, "GET", "/option-chain/NIFTY")
    path, legs = "/option-chain/NIFTY?limit=2", []
    while path is not None:
        _, _, page = ask(families, "GET", path)
        assert max(len(page["calls"]), len(page["puts"])) <= 2
        assert page["truncated"] == (page["next"] is not None)
        legs += page["calls"] + page["puts"]
        path = page["next"]

    assert sorted(legs, key=orjson.dumps) == sorted(
        whole["calls"] + whole["puts"], key=orjson.dumps
    )


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        pytest.param("/api/data/chain/NIFTY?limit={}", "chains", id="chains"),
        pytest.param("/api/data/chain/NIFTY?expiry=2026-09-22&limit={}", "chains", id="of one"),
        pytest.param("/api/data/underlying/RELIANCE?limit={}", "ticks", id="quotes"),
    ],
)
def test_the_pages_of_a_range_are_the_whole_range(families: Served, path: str, rows: str) -> None:
    _, _, whole = ask(families, "GET", path.format(50))
    following, found = path.format(1), []
    while following is not None:
        _, _, page = ask(families, "GET", following)
        assert page["count"] == len(page[rows]) == 1
        found += page[rows]
        following = page["next"]

    assert found == whole[rows]
    assert [row["timestamp"] for row in found] == sorted(
        (row["timestamp"] for row in found), reverse=True
    )


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        pytest.param("", ["04", "03", "02", "01", "00"], id="all"),
        pytest.param("?start=2026-09-16T09:33:00%2B05:30", ["04", "03"], id="from an instant"),
        pytest.param("?start=2026-09-16T09:33:00+05:30", ["04", "03"], id="a plus sign as it is"),
        pytest.param("?end=2026-09-16T04:02:00Z", ["01", "00"], id="up to an instant"),
        pytest.param("?start=2026-09-16&end=2026-09-16", ["04", "03", "02", "01", "00"], id="day"),
        pytest.param("?end=2026-09-15", [], id="a day without any"),
    ],
)
def test_quotes_of_a_range(families: Served, query: str, minutes: list[str]) -> None:
    """A date is included as an end, an instant is not."""
    _, _, document = ask(families, "GET", f"/api/data/underlying/RELIANCE{query}")

    assert [tick["timestamp"][14:16] for tick in document["ticks"]] == minutes


def test_the_state_of_an_instant(families: Served) -> None:
    _, _, then = ask(families, "GET", "/option-chain/NIFTY?at=2026-09-16T09:30:30%2B05:30")

    assert (then["underlying_value"], then["timestamp"]) == (24_000.0, "2026-09-16T04:00:00.000Z")


def test_a_bar_is_of_the_last_candles(families: Served) -> None:
    """Closes rise by a rupee a minute; each candle opens 5 paise below its close."""
    _, _, bar = ask(families, "GET", "/api/analytics/ohlc/RELIANCE?window=5")

    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (
        1_514.95, 1_520.1, 1_514.05, 1_519.0,
    )  # fmt: skip
    assert (bar["start_time"], bar["end_time"], bar["num_ticks"]) == (
        "2026-09-16T04:00:00.000Z", "2026-09-16T04:05:00.000Z", 5,
    )  # fmt: skip


def test_build_up_by_distance_from_the_spot(families: Served) -> None:
    """24,000 and 24,250 are within one percent of 24,020."""
    _, _, document = ask(families, "GET", "/api/analytics/oi-buildup/NIFTY?expiry=2026-09-22")

    assert document["call_buildup"] == {"itm": 3_000, "atm": 3_000, "otm": 1_500}
    assert document["put_buildup"] == {"itm": 3_000, "atm": 6_000, "otm": 6_000}


def test_max_pain_and_its_distance(families: Served) -> None:
    """By hand: a close at 24,250 costs the writers 3.0 million rupees, one at 24,000 3.4 million,
    one at 24,500 3.8 million."""
    _, _, document = ask(families, "GET", "/api/analytics/max-pain/NIFTY?expiry=2026-09-22")

    found = document["max_pain_strike"], document["distance_from_spot"], document["distance_pct"]
    assert found == (24_250.0, 230.0, 0.96)


def test_the_lists_of_a_smile_are_aligned(families: Served) -> None:
    _, _, document = ask(families, "GET", "/api/analytics/volatility-surface/NIFTY")

    nearest = document["expiries"][0]
    lists = [nearest[name] for name in ("strikes", "ivs", "call_ivs", "put_ivs")]
    assert {len(each) for each in lists} == {5}
    assert nearest["call_ivs"][-1] is None
    assert nearest["ivs"][-1] == nearest["put_ivs"][-1] is not None
    assert nearest["num_quotes"] == 9


def test_history_of_ratios_is_newest_first(families: Served) -> None:
    _, _, document = ask(families, "GET", "/api/analytics/pcr/NIFTY?history=true")

    history = [(each["expiry"], each["timestamp"][14:16]) for each in document["history"]]
    assert history == [("2026-09-22", "01"), ("2026-09-22", "00"), ("2026-09-29", "00")]
    assert [each["expiry"] for each in document["latest"]] == ["2026-09-22", "2026-09-29"]


def test_counts_of_legs_and_runs(families: Served) -> None:
    """NIFTY has ten legs in three snapshots, the others four; ten were received again."""
    _, _, stats = ask(families, "GET", "/stats")
    _, _, pipeline = ask(families, "GET", "/pipeline/status")

    assert stats["records_by_symbol"] == {"M&M": 4, "NIFTY": 30, "RELIANCE": 4}
    assert (stats["total_records"], stats["records_by_type"]) == (38, {"CE": 19, "PE": 19})
    assert stats["latest_fetch_time"] == "2026-09-16T04:02:00.000Z"
    state = pipeline["data"]
    assert (state["running"], state["success_rate"]) == (False, 100.0)
    assert (state["total_cycles"], state["successful_cycles"], state["failed_cycles"]) == (4, 4, 0)
    assert state["statistics"] == {
        "total_calls_inserted": 19, "total_puts_inserted": 19,
        "total_calls_skipped": 5, "total_puts_skipped": 5,
    }  # fmt: skip


def test_products_are_those_whose_chains_are_stored_or_polled(families: Served) -> None:
    _, _, document = ask(families, "GET", "/api/data/products")

    assert document["products"] == ["M&M", "NIFTY", "RELIANCE"]


def test_no_product_is_a_result_with_its_reason(database_url: str, tmp_path: Path) -> None:
    shelf_at(database_url, tmp_path).store.close()
    with served(Settings.load(environment_for(database_url), tmp_path)) as empty:
        _, _, document = ask(empty, "GET", "/api/data/products")

    [reason] = document["reasons"]
    assert (document["products"], reason["code"]) == ([], "nothing_stored")
    assert "data-fetch run" in reason["detail"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param("*/*", "application/json", id="anything"),
        pytest.param("text/html,application/xhtml+xml,*/*;q=0.8", "text/html", id="a browser"),
        pytest.param("application/json", "application/json", id="JSON"),
    ],
)
def test_the_description_is_json_except_for_browsers(
    families: Served, accept: str, media_type: str
) -> None:
    assert families.ask("/api/docs", accept=accept).headers["Content-Type"].startswith(media_type)


@pytest.mark.parametrize("path", ["/docs", "/api/docs"])
def test_the_page_of_the_calls_needs_no_other_server(families: Served, path: str) -> None:
    page = families.ask(path, accept="text/html").data.decode()

    found = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert found == ["/docs/swagger-ui.css", "data:,", "/docs/swagger-ui-bundle.js"]
    for asset, media_type in ((found[0], "text/css"), (found[2], "text/javascript")):
        answer = families.ask(asset)
        assert answer.headers["Content-Type"].partition(";")[0] == media_type
        assert (answer.status, len(answer.data) > 100_000) == (200, True)
    assert families.ask("/docs/other.js").status == 404


@pytest.mark.parametrize("path", ["/docs", "/api/docs"])
def test_what_the_page_of_the_calls_sees_stays_here(families: Served, path: str) -> None:
    answer = families.ask(path, accept="text/html")

    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert {"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert families.ask("/redoc").status == 404


NUMBERS = [
    pytest.param({}, 28, id="everything: the newest of every expiry of every symbol"),
    pytest.param({"symbol": "NIFTY"}, 20, id="a symbol"),
    pytest.param({"symbol": "relind"}, 4, id="a former symbol"),
    pytest.param({"option_type": "PE", "symbol": "NIFTY"}, 10, id="a type"),
    pytest.param({"strike_price_min": 24_250, "symbol": "NIFTY"}, 8, id="from a strike"),
    pytest.param({"strike_price_max": 23_750, "symbol": "NIFTY"}, 8, id="up to a strike"),
    pytest.param(
        {"strike_price_min": 24_000, "strike_price_max": 24_000, "symbol": "NIFTY"}, 4, id="one"
    ),
    pytest.param({"expiry_date": "22-Sep-2026"}, 10, id="an expiry"),
    pytest.param({"expiry_date": "2026-09-22", "option_type": "CE"}, 5, id="the other form"),
    pytest.param({"symbol": "NIFTY", "limit": 7}, 7, id="a limit"),
    pytest.param({"symbol": "NIFTY", "offset": 15}, 5, id="an offset"),
    pytest.param({"symbol": "NIFTY", "offset": 1_000_000}, 0, id="beyond the end"),
    pytest.param({"symbol": "TCS"}, 0, id="a known symbol without data"),
]


@pytest.mark.parametrize(("conditions", "count"), NUMBERS)
def test_the_filter_counts_what_it_returns(
    families: Served, conditions: dict[str, Any], count: int
) -> None:
    status, document = filtered(families, **conditions)

    data = document["data"]
    assert (status, data["total_records"], len(data["records"])) == (200, count, count)
    assert data["filter_params"].items() >= conditions.items()
    assert len(data["filter_params"]) == 7
    fetched = [record["fetched_at"] for record in data["records"]]
    assert fetched == sorted(fetched, reverse=True)
    assert count or document["reasons"]


def test_the_filters_of_a_cut_answer_go_on(families: Served) -> None:
    _, whole = filtered(families, symbol="NIFTY")
    following, found = {"symbol": "NIFTY", "limit": 7}, []
    while following is not None:
        _, page = filtered(families, **following)
        assert (page["next"] is None) == (page["next_filter"] is None) != page["truncated"]
        found += page["data"]["records"]
        following = page["next_filter"]

    assert found == whole["data"]["records"]


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        pytest.param({"strike_price_min": 2, "strike_price_max": 1}, 422, id="minimum above it"),
        pytest.param({"limit": 0}, 422, id="no limit"),
        pytest.param({"limit": 1_001}, 422, id="a large limit"),
        pytest.param({"offset": -1}, 422, id="a negative offset"),
        pytest.param({"option_type": "CALL"}, 422, id="the type of the other family"),
        pytest.param({"expiry_date": "31-Feb-2026"}, 422, id="no date"),
        pytest.param({"strike_price_min": "x"}, 422, id="no number"),
        pytest.param({"strik_price_min": 24_000}, 422, id="a slip in a name"),
        pytest.param({"symbol": "NOSUCH"}, 404, id="an unknown symbol"),
        pytest.param({"symbol": "\u0000"}, 404, id="no text for a database"),
        pytest.param({"symbol": "N" * 10_000}, 404, id="a long symbol"),
    ],
)
def test_a_filter_that_makes_no_sense(
    families: Served, conditions: dict[str, Any], status: int
) -> None:
    answered, document = filtered(families, **conditions)

    assert (answered, faults(document, PROBLEM)) == (status, [])


PATHS = [
    pytest.param("/option-chain/NIFTY", 500, id="a: chain"),
    pytest.param("/api/data/chain/NIFTY", 50, id="b: chain"),
    pytest.param("/api/data/underlying/RELIANCE", 10_000, id="b: quotes"),
]


@pytest.mark.parametrize(("path", "most"), PATHS)
@pytest.mark.parametrize("limit", ["0", "-1", "abc", "1000000000000", "1.5", ""])
def test_a_limit_that_makes_no_sense(families: Served, path: str, most: int, limit: str) -> None:
    status, _, document = ask(families, "GET", f"{path}?limit={limit}")

    assert (status, document["code"]) == (422, "invalid")
    assert document["errors"][0]["loc"] == ["query", "limit"]
    assert ask(families, "GET", f"{path}?limit={most}")[0] == 200


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("/option-chain/NIFTY?expiry=31-Feb-2026", "2026-09-01", id="no such day"),
        pytest.param("/option-chain/NIFTY?expiry=", "2026-09-01", id="an empty expiry"),
        pytest.param("/api/data/chain/NIFTY?expiry=9999-12-31", "2026-09-01", id="out of reach"),
        pytest.param(
            "/option-chain/NIFTY?at=2026-09-16T09:30:00", "+05:30", id="a: without an offset"
        ),
        pytest.param(
            "/api/data/underlying/NIFTY?start=2026-09-16T09:30:00", "+05:30",
            id="b: without an offset",
        ),
        pytest.param(
            "/api/data/underlying/NIFTY?start=2026-09-17&end=2026-09-16", "earlier one first",
            id="the wrong way round",
        ),
        pytest.param("/api/data/chain/NIFTY?cursor=abc", "without a cursor", id="no cursor"),
    ],
)  # fmt: skip
def test_a_parameter_that_makes_no_sense(families: Served, path: str, says: str) -> None:
    status, _, document = ask(families, "GET", path)

    assert (status, faults(document, PROBLEM)) == (422, [])
    assert says in document["then"]


@pytest.mark.parametrize("symbol", ["%00", "N" * 10_000, "%0A", "%20"])
@pytest.mark.parametrize(
    "path",
    [
        "/option-chain/{}", "/option-chain/{}/strikes", "/option-chain/{}/expiry-dates",
        "/api/data/underlying/{}", "/api/data/chain/{}", "/api/data/expiries/{}",
        "/api/analytics/pcr/{}", "/api/analytics/volatility-surface/{}",
        "/api/analytics/max-pain/{}?expiry=2026-09-22", "/api/analytics/ohlc/{}",
    ],
)  # fmt: skip
def test_a_symbol_that_makes_no_sense(families: Served, path: str, symbol: str) -> None:
    status, _, document = ask(families, "GET", path.format(symbol))

    assert status in {404, 422}
    assert faults(document, PROBLEM) == []


def test_an_answer_has_the_tag_of_its_content(families: Served) -> None:
    for path in ("/option-chain/NIFTY/strikes", "/api/data/products", "/stats"):
        tag = families.ask(path).headers["ETag"]
        assert families.ask(path, if_none_match=tag).status == 304
