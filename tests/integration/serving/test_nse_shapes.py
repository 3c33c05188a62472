"""The calls of the older chain backend: status, exact members, types, and what they say."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from chain_shelf import EXPIRY, NEXT_EXPIRY, OPENS, chain, keep, received
from served import Served, served

from data_fetch.core.chains.chains import ChainLeg, OptionType, QuantityUnit
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store

LOT = 75
TEXT, WHOLE, NUMBER, LIST, FLAG = str, int, float, list, bool
ENTRY = {
    "symbol": TEXT, "type": TEXT, "strike_price": NUMBER, "expiry_date": TEXT,
    "identifier": TEXT, "fetched_at": TEXT, "open_interest": NUMBER, "change_in_oi": NUMBER,
    "pchange_in_oi": NUMBER, "last_price": NUMBER, "change": NUMBER, "pchange": NUMBER,
    "total_traded_volume": NUMBER, "implied_volatility": NUMBER, "bid_qty": WHOLE,
    "bid_price": NUMBER, "ask_price": NUMBER, "ask_qty": WHOLE, "underlying_value": NUMBER,
}  # fmt: skip
ENVELOPE = {"success": FLAG, "message": TEXT, "data": dict, "timestamp": TEXT}
PROBLEM = {
    "type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "instance": TEXT,
    "error": TEXT, "code": TEXT, "then": TEXT,
}  # fmt: skip


def leg(strike: str, option_type: OptionType, **values: Any) -> ChainLeg:
    given = {
        "ltp": 101.5, "prev_close": 100.0, "bid": 101.0, "bid_qty": 75, "ask": 102.0,
        "ask_qty": 150, "volume": 7500.0, "oi": 15_000.0, "prev_oi": 12_000.0,
        "provider_iv": 0.152,
    }  # fmt: skip
    return ChainLeg(strike=Decimal(strike), option_type=option_type, **{**given, **values})


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """NIFTY of two expiries in shares, M&M in contracts, TCS in shares of an unknown lot."""
    legs = [
        leg(strike, kind)
        for strike in ("24000", "24050", "24100.5")
        for kind in (OptionType.CALL, OptionType.PUT)
    ]
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": database_url}, tmp_path)
    store = open_store(database_url, World.LIVE)
    keep(
        store,
        received(chain(24_010.0, *legs), OPENS, lot_size=LOT),
        received(chain(24_010.0, *legs[:2], expiry=NEXT_EXPIRY), OPENS, lot_size=LOT),
        received(chain(3_000.0, *legs[:1], underlying="M&M", unit=QuantityUnit.CONTRACTS), OPENS),
        received(chain(3_000.0, *legs[:1], underlying="TCS"), OPENS),
    )
    store.close()
    with served(settings) as server:
        yield server


def has(document: dict[str, Any], shape: dict[str, type]) -> bool:
    """Whether every member is there, of its type or null."""
    assert shape.keys() <= document.keys(), shape.keys() - document.keys()
    return all(document[name] is None or type(document[name]) is of for name, of in shape.items())


@pytest.mark.parametrize(
    ("path", "status", "shape", "data"),
    [
        pytest.param("/", 200, ENVELOPE, {"version": TEXT, "endpoints": LIST}, id="root"),
        pytest.param(
            "/health",
            200,
            {"status": TEXT, "service": TEXT, "timestamp": TEXT, "database_connected": FLAG,
             "last_data_fetch": TEXT, "total_records": WHOLE},
            None,
            id="health",
        ),
        pytest.param("/health/live", 200, {"status": TEXT}, None, id="live"),
        pytest.param("/health/ready", 200, {"status": TEXT}, None, id="ready"),
        pytest.param(
            "/option-chain/NIFTY",
            200,
            {"symbol": TEXT, "underlying_value": NUMBER, "timestamp": TEXT, "total_calls": WHOLE,
             "total_puts": WHOLE, "calls": LIST, "puts": LIST},
            None,
            id="chain",
        ),
        pytest.param(
            "/option-chain/NIFTY/strikes",
            200,
            ENVELOPE,
            {"symbol": TEXT, "option_type": TEXT, "strike_prices": LIST, "total_strikes": WHOLE},
            id="strikes",
        ),
        pytest.param(
            "/option-chain/NIFTY/expiry-dates",
            200,
            ENVELOPE,
            {"symbol": TEXT, "expiry_dates": LIST, "total_expiry_dates": WHOLE},
            id="expiries",
        ),
        pytest.param("/option-chain/NOSUCH", 404, PROBLEM, None, id="no such chain"),
        pytest.param("/option-chain/NOSUCH/strikes", 404, PROBLEM, None, id="nor its strikes"),
        pytest.param("/option-chain/NOSUCH/expiry-dates", 404, PROBLEM, None, id="nor expiries"),
        pytest.param("/option-chain/..%2Fetc", 404, PROBLEM, None, id="a path"),
        pytest.param("/option-chain/NIFTY?limit=0", 422, PROBLEM, None, id="limit of 0"),
        pytest.param("/option-chain/NIFTY?limit=501", 422, PROBLEM, None, id="limit of 501"),
        pytest.param("/option-chain/NIFTY?limit=abc", 422, PROBLEM, None, id="limit of text"),
        pytest.param(
            "/option-chain/NIFTY/strikes?option_type=XX", 422, PROBLEM, None, id="another type"
        ),
        pytest.param("/option-chain/NIFTY?expiry=x", 422, PROBLEM, None, id="no date"),
        pytest.param("/nowhere", 404, PROBLEM, None, id="no such path"),
    ],
)  # fmt: skip
def test_every_call_has_its_members(
    server: Served,
    path: str,
    status: int,
    shape: dict[str, type],
    data: dict[str, type] | None,
) -> None:
    found, media_type, document = server.get(path)

    assert found == status
    assert media_type == ("application/json" if status == 200 else "application/problem+json")
    assert has(document, shape)
    assert data is None or has(document["data"], data)


def test_legs_are_in_contracts_and_percent(server: Served) -> None:
    _, _, document = server.get("/option-chain/nifty?limit=2")

    assert (document["symbol"], document["unit"]) == ("NIFTY", "contracts")
    assert (document["total_calls"], len(document["calls"]), document["truncated"]) == (3, 2, True)
    first = document["calls"][0]
    assert has(first, ENTRY)
    assert (first["open_interest"], first["change_in_oi"], first["pchange_in_oi"]) == (200, 40, 25)
    assert (first["last_price"], first["change"], first["pchange"]) == (101.5, 1.5, 1.5)
    assert (first["total_traded_volume"], first["bid_qty"]) == (100, 75)
    assert (first["implied_volatility"], first["provider_implied_volatility"]) == (None, 15.2)
    assert first["identifier"] == "NIFTY_CE_24000_22-Sep-2026"
    assert first["fetched_at"] == "2026-09-16T03:45:00.000Z"


def test_a_strike_that_is_not_whole_keeps_its_decimals(server: Served) -> None:
    _, _, document = server.get("/option-chain/NIFTY")

    assert document["puts"][-1]["identifier"] == "NIFTY_PE_24100.5_22-Sep-2026"


def test_a_source_that_counts_contracts_needs_no_lot(server: Served) -> None:
    _, _, document = server.get("/option-chain/M%26M")

    assert document["calls"][0]["open_interest"] == 15_000


def test_without_a_lot_quantities_are_unknown_with_the_reason(server: Served) -> None:
    _, _, document = server.get("/option-chain/TCS")

    leg = document["calls"][0]
    assert (leg["open_interest"], leg["total_traded_volume"]) == (None, None)
    assert leg["oi_reason"] == "lot_unknown"


def test_expiries_are_in_the_order_of_the_calendar(server: Served) -> None:
    _, _, document = server.get("/option-chain/NIFTY/expiry-dates")

    assert document["data"]["expiry_dates"] == ["22-Sep-2026", "29-Sep-2026"]


def test_another_expiry_is_named(server: Served) -> None:
    _, _, document = server.get(f"/option-chain/NIFTY?expiry={NEXT_EXPIRY}")

    assert (document["expiry_date"], document["total_calls"]) == ("29-Sep-2026", 1)
    assert EXPIRY != NEXT_EXPIRY


def test_strikes_of_one_type(server: Served) -> None:
    _, _, document = server.get("/option-chain/NIFTY/strikes?option_type=CE")

    assert document["data"]["option_type"] == "CE"
    assert document["data"]["strike_prices"] == [24_000, 24_050, 24_100.5]


AWAY = "postgresql://postgres@127.0.0.1:1/away"


@pytest.mark.parametrize("url", [AWAY, "sqlite:///{folder}/damaged.db"], ids=["away", "damaged"])
def test_without_a_store_it_lives_and_is_not_ready(tmp_path: Path, url: str) -> None:
    (tmp_path / "damaged.db").write_text("no store")
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": url.format(folder=tmp_path)}, tmp_path
    )
    with served(settings) as server:
        live, _, _ = server.get("/health/live")
        answered, _, health = server.get("/health")
        ready, _, why = server.get("/health/ready")

    assert (live, answered, ready) == (200, 200, 503)
    assert (health["status"], health["database_connected"]) == ("unhealthy", False)
    assert health["problem"] == why["problem"] != ""


def test_a_store_that_does_not_answer_is_no_missing_chain(tmp_path: Path) -> None:
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": AWAY}, tmp_path)
    with served(settings) as server:
        status, _, refused = server.get("/option-chain/NIFTY")

    assert (status, refused["code"]) == (503, "service_unavailable")
    assert refused["then"]
