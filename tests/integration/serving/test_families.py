"""Every documented call of the two older backends: status, members, types; and their values."""

from typing import Any

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from served import Served
from shapes import FLAG, NUMBER, TEXT, WHOLE, faults, maybe

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
