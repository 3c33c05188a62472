"""Faults of option chains, in Upstox's wire format and in that of NSE's website."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import urllib3
from paper_exchange_desk import SYMBOLS, Browser, StandingClock, Visitor

from data_fetch.paper_exchange.exchange import PaperExchange

INFO = "/api/option-chain-contract-info?symbol=NIFTY"
SIDES = ("CE", "PE")
LOT = 65


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield Visitor(exchange, clock)


@pytest.fixture
def browser(visitor: Visitor) -> Browser:
    browser = Browser(visitor.exchange)
    browser.open()
    return browser


def upstox(visitor: Visitor) -> list[dict[str, Any]]:
    return visitor.chain("NIFTY", "2026-09-22")


def website(browser: Browser) -> dict[str, Any]:
    document: dict[str, Any] = browser.chain("NIFTY", "22-Sep-2026")
    return document


class TestAnswersInsteadOfTheWebsites:
    @pytest.mark.parametrize(
        ("kind", "status", "shows"),
        [
            pytest.param("empty-object", 200, "{}", id="200 and nothing"),
            pytest.param("html-in-200", 200, "<!DOCTYPE html>", id="a page in 200"),
            pytest.param("nse-401", 401, "Unauthorized", id="401"),
            pytest.param("nse-403", 403, "Access Denied", id="403 of the bot manager"),
            pytest.param("misdirected-421", 421, "Misdirected Request", id="421"),
            pytest.param("server-error", 500, "Internal Server Error", id="500"),
            pytest.param("maintenance", 503, "Service Unavailable", id="503"),
        ],
    )
    @pytest.mark.parametrize("api", ["nse-chain", "nse-contract-info"])
    def test_questions(
        self, visitor: Visitor, browser: Browser, kind: str, status: int, shows: str, api: str
    ) -> None:
        visitor.order(kind=kind, api=api, times=1)
        path = INFO if api == "nse-contract-info" else browser.chain_path("NIFTY", "22-Sep-2026")

        answer = browser.ask(path)

        assert (answer.status, shows in answer.data.decode()) == (status, True)
        assert b"UDAPI" not in answer.data
        assert orjson.loads(browser.ask(path).data)

    @pytest.mark.parametrize(
        ("kind", "status"), [("nse-403", 403), ("misdirected-421", 421), ("server-error", 500)]
    )
    def test_a_page_sets_no_cookie_then(
        self, visitor: Visitor, browser: Browser, kind: str, status: int
    ) -> None:
        visitor.order(kind=kind, path="/option-chain", times=1)
        page = browser.open("/option-chain")

        assert (page.status, page.headers.getlist("Set-Cookie")) == (status, [])
        assert browser.open("/").status == 200

    def test_503_may_say_when_to_come_again(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="maintenance", api="nse-chain", retry_after=30)
        answer = browser.ask(browser.chain_path("NIFTY", "22-Sep-2026"))
        assert answer.headers["Retry-After"] == "30"

    @pytest.mark.parametrize(
        ("kind", "raised"),
        [
            pytest.param("reset", "reset", id="before the answer"),
            pytest.param("cut-mid-body", "IncompleteRead", id="in its middle"),
        ],
    )
    def test_the_connection_ends(
        self, visitor: Visitor, browser: Browser, kind: str, raised: str
    ) -> None:
        visitor.order(kind=kind, api="nse-chain", times=1)
        with pytest.raises(urllib3.exceptions.ProtocolError, match=raised):
            browser.ask(browser.chain_path("NIFTY", "22-Sep-2026"), retries=False)

    def test_a_slow_body_stops_halfway(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="slow-body", api="nse-chain", seconds=5, times=1)
        impatient = urllib3.Timeout(connect=2, read=0.1)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            browser.ask(
                browser.chain_path("NIFTY", "22-Sep-2026"), retries=False, timeout=impatient
            )

    def test_json_ends_early(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="truncated-json", api="nse-chain")
        answer = browser.ask(browser.chain_path("NIFTY", "22-Sep-2026"))
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.data)


class TestSides:
    @pytest.mark.parametrize(
        ("kind", "lost", "kept"),
        [
            pytest.param("missing-call", ("call_options", "CE"), ("put_options", "PE"), id="calls"),
            pytest.param("missing-put", ("put_options", "PE"), ("call_options", "CE"), id="puts"),
        ],
    )
    def test_are_missing(
        self,
        visitor: Visitor,
        browser: Browser,
        kind: str,
        lost: tuple[str, str],
        kept: tuple[str, str],
    ) -> None:
        visitor.order(kind=kind)
        document = website(browser)
        told = (upstox(visitor), document["records"]["data"], document["filtered"]["data"])

        for rows, gone, left in zip(told, (*lost, lost[1]), (*kept, kept[1]), strict=True):
            assert rows
            assert all(left in row and gone not in row for row in rows)

    def test_are_placeholders_at_the_website(self, visitor: Visitor, browser: Browser) -> None:
        whole = website(browser)["records"]["data"]
        visitor.order(kind="placeholder-legs", api="nse-chain")
        rows = website(browser)["records"]["data"]

        assert [row["PE"] for row in rows] == [row["PE"] for row in whole]
        assert [row["CE"] for row in rows[::2]] == [row["CE"] for row in whole[::2]]
        for row in rows[1::2]:
            assert row["CE"].keys() == whole[0]["CE"].keys() - {"identifier"}
            numbers = [value for value in row["CE"].values() if isinstance(value, int | float)]
            assert set(numbers) == {0}

    def test_are_placeholders_at_upstox(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="placeholder-legs", api="option-chain")
        for row in upstox(visitor)[1::2]:
            call = row["call_options"]
            assert "instrument_key" not in call
            assert {*call["market_data"].values(), *call["option_greeks"].values()} == {0}
            assert row["put_options"]["instrument_key"]


class TestFields:
    def test_are_renamed(self, visitor: Visitor, browser: Browser) -> None:
        before = (upstox(visitor), website(browser)["records"]["data"])
        visitor.order(kind="renamed-fields")
        after = (upstox(visitor), website(browser)["records"]["data"])

        for old, new in zip(before[0], after[0], strict=True):
            was, told = (row["call_options"]["market_data"] for row in (old, new))
            assert (told["last_price"], told["open_interest"]) == (was["ltp"], was["oi"])
            assert not {"ltp", "oi"} & told.keys()
        for old, new in zip(before[1], after[1], strict=True):
            was, told = old["PE"], new["PE"]
            assert (told["ltp"], told["oi"]) == (was["lastPrice"], was["openInterest"])
            assert not {"lastPrice", "openInterest"} & told.keys()

    def test_are_text_with_commas(self, visitor: Visitor, browser: Browser) -> None:
        spot = upstox(visitor)[0]["underlying_spot_price"]
        visitor.order(kind="retyped-fields")
        row, document = upstox(visitor)[0], website(browser)

        assert row["underlying_spot_price"] == f"{spot:,}" == document["records"]["underlyingValue"]
        assert "," in row["underlying_spot_price"]
        assert "," in document["records"]["data"][20]["CE"]["openInterest"]
        assert isinstance(row["call_options"]["option_greeks"]["iv"], str)

    def test_open_interest_is_in_the_others_unit(self, visitor: Visitor, browser: Browser) -> None:
        units = [row["call_options"]["market_data"]["oi"] for row in upstox(visitor)]
        contracts = [row["CE"]["openInterest"] for row in website(browser)["records"]["data"]]
        visitor.order(kind="unit-changed")
        document = website(browser)

        changed = [row["call_options"]["market_data"]["oi"] for row in upstox(visitor)]
        assert changed == contracts == [oi / LOT for oi in units]
        assert [row["CE"]["openInterest"] for row in document["records"]["data"]] == units
        assert document["filtered"]["CE"]["totOI"] == sum(units)
        volumes = [row["CE"]["totalTradedVolume"] for row in document["records"]["data"]]
        assert sum(volumes) == document["filtered"]["CE"]["totVol"]


def test_a_frozen_chain_repeats_the_answer_of_an_instant(
    visitor: Visitor, browser: Browser
) -> None:
    visitor.order(
        kind="frozen-chain", **{"from": "2026-09-16T11:24:00", "until": "2026-09-16T11:30:00"}
    )

    def seen(at: str) -> tuple[Any, Any]:
        visitor.clock.put(f"2026-09-16 {at}")
        return upstox(visitor), website(browser)

    before, first, still, after = (
        seen(at) for at in ("11:23:30", "11:24:00", "11:29:59", "11:30:00")
    )
    assert first == still
    assert still[1]["records"]["timestamp"] == "16-Sep-2026 11:24:00"
    assert before[0] != first[0] != after[0]
    assert after[1]["records"]["timestamp"] == "16-Sep-2026 11:30:00"


class TestWhichRequestsAreStruck:
    def test_of_a_symbol_at_the_website(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="empty-object", instruments=["BANKNIFTY"])

        assert browser.chain("BANKNIFTY", "29-Sep-2026") == {}
        assert browser.chain("NIFTY", "29-Sep-2026") != {}
        assert browser.told("/api/option-chain-contract-info?symbol=BANKNIFTY") == {}

    def test_of_an_instrument_key_at_upstox(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="missing-put", instruments=[visitor.key("NIFTY")])

        assert "put_options" not in upstox(visitor)[0]
        assert "put_options" in visitor.chain("BANKNIFTY", "2026-09-29")[0]
        assert "PE" in website(browser)["records"]["data"][0]

    def test_of_one_path(self, visitor: Visitor, browser: Browser) -> None:
        visitor.order(kind="empty-object", path="/api/option-chain-contract-info")

        assert browser.told(INFO) == {}
        assert website(browser)

    def test_an_empty_object_survives_what_would_spoil_a_chain(
        self, visitor: Visitor, browser: Browser
    ) -> None:
        for kind in ("missing-call", "placeholder-legs", "renamed-fields", "unit-changed"):
            visitor.order(kind=kind)
        assert browser.chain("NIFTY", "23-Sep-2026") == {}
        assert visitor.chain("NIFTY", "2026-09-23") == []
