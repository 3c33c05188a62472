"""Faults of option chains, in Upstox's wire format and in that of NSE's website."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import urllib3
from exchange_client import SYMBOLS, Browser, ExchangeClient, ManualClock

from data_fetch.paper_exchange.exchange import PaperExchange

INFO = "/api/option-chain-contract-info?symbol=NIFTY"
SIDES = ("CE", "PE")
LOT = 65


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


@pytest.fixture
def browser(client: ExchangeClient) -> Browser:
    browser = Browser(client.exchange)
    browser.open()
    return browser


def upstox(client: ExchangeClient) -> list[dict[str, Any]]:
    return client.chain("NIFTY", "2026-09-22")


def website(browser: Browser) -> dict[str, Any]:
    document: dict[str, Any] = browser.chain("NIFTY", "22-Sep-2026")
    return document


class TestErrorResponsesOfTheWebsite:
    @pytest.mark.parametrize(
        ("kind", "status", "contains"),
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
    def test_error_responses(
        self,
        client: ExchangeClient,
        browser: Browser,
        kind: str,
        status: int,
        contains: str,
        api: str,
    ) -> None:
        client.inject(kind=kind, api=api, times=1)
        path = INFO if api == "nse-contract-info" else browser.chain_path("NIFTY", "22-Sep-2026")

        response = browser.request(path)

        assert (response.status, contains in response.data.decode()) == (status, True)
        assert b"UDAPI" not in response.data
        assert orjson.loads(browser.request(path).data)

    @pytest.mark.parametrize(
        ("kind", "status"), [("nse-403", 403), ("misdirected-421", 421), ("server-error", 500)]
    )
    def test_an_error_page_sets_no_cookies(
        self, client: ExchangeClient, browser: Browser, kind: str, status: int
    ) -> None:
        client.inject(kind=kind, path="/option-chain", times=1)
        page = browser.open("/option-chain")

        assert (page.status, page.headers.getlist("Set-Cookie")) == (status, [])
        assert browser.open("/").status == 200

    def test_503_may_carry_retry_after(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="maintenance", api="nse-chain", retry_after=30)
        response = browser.request(browser.chain_path("NIFTY", "22-Sep-2026"))
        assert response.headers["Retry-After"] == "30"

    @pytest.mark.parametrize(
        ("kind", "raised"),
        [
            pytest.param("reset", "reset", id="before the response"),
            pytest.param("cut-mid-body", "IncompleteRead", id="in its middle"),
        ],
    )
    def test_the_connection_is_closed(
        self, client: ExchangeClient, browser: Browser, kind: str, raised: str
    ) -> None:
        client.inject(kind=kind, api="nse-chain", times=1)
        with pytest.raises(urllib3.exceptions.ProtocolError, match=raised):
            browser.request(browser.chain_path("NIFTY", "22-Sep-2026"), retries=False)

    def test_a_slow_body_stops_halfway(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="slow-body", api="nse-chain", seconds=5, times=1)
        impatient = urllib3.Timeout(connect=2, read=0.1)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            browser.request(
                browser.chain_path("NIFTY", "22-Sep-2026"), retries=False, timeout=impatient
            )

    def test_json_ends_early(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="truncated-json", api="nse-chain")
        response = browser.request(browser.chain_path("NIFTY", "22-Sep-2026"))
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(response.data)


class TestOptionSides:
    @pytest.mark.parametrize(
        ("kind", "lost", "remaining"),
        [
            pytest.param("missing-call", ("call_options", "CE"), ("put_options", "PE"), id="calls"),
            pytest.param("missing-put", ("put_options", "PE"), ("call_options", "CE"), id="puts"),
        ],
    )
    def test_one_side_is_missing(
        self,
        client: ExchangeClient,
        browser: Browser,
        kind: str,
        lost: tuple[str, str],
        remaining: tuple[str, str],
    ) -> None:
        client.inject(kind=kind)
        document = website(browser)
        chains = (upstox(client), document["records"]["data"], document["filtered"]["data"])

        for rows, missing, present in zip(
            chains, (*lost, lost[1]), (*remaining, remaining[1]), strict=True
        ):
            assert rows
            assert all(present in row and missing not in row for row in rows)

    def test_every_other_call_is_a_placeholder_at_the_website(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        whole = website(browser)["records"]["data"]
        client.inject(kind="placeholder-legs", api="nse-chain")
        rows = website(browser)["records"]["data"]

        assert [row["PE"] for row in rows] == [row["PE"] for row in whole]
        assert [row["CE"] for row in rows[::2]] == [row["CE"] for row in whole[::2]]
        for row in rows[1::2]:
            assert row["CE"].keys() == whole[0]["CE"].keys() - {"identifier"}
            numbers = [value for value in row["CE"].values() if isinstance(value, int | float)]
            assert set(numbers) == {0}

    def test_every_other_call_is_a_placeholder_at_upstox(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        client.inject(kind="placeholder-legs", api="option-chain")
        for row in upstox(client)[1::2]:
            call = row["call_options"]
            assert "instrument_key" not in call
            assert {*call["market_data"].values(), *call["option_greeks"].values()} == {0}
            assert row["put_options"]["instrument_key"]

    def test_every_number_of_every_leg_is_0(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="all-zero")
        for row in upstox(client):
            market = row["call_options"]["market_data"]
            assert set(market.values()) == {0}
            assert row["call_options"]["instrument_key"]
        for row in website(browser)["records"]["data"]:
            put = row["PE"]
            assert put["strikePrice"] == row["strikePrice"] > 0
            assert put["lastPrice"] == put["openInterest"] == put["totalTradedVolume"] == 0


class TestChainFields:
    def test_prices_and_open_interest_are_renamed(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        before = (upstox(client), website(browser)["records"]["data"])
        client.inject(kind="renamed-fields")
        after = (upstox(client), website(browser)["records"]["data"])

        for old, new in zip(before[0], after[0], strict=True):
            was, changed = (row["call_options"]["market_data"] for row in (old, new))
            assert (changed["last_price"], changed["open_interest"]) == (was["ltp"], was["oi"])
            assert not {"ltp", "oi"} & changed.keys()
        for old, new in zip(before[1], after[1], strict=True):
            was, changed = old["PE"], new["PE"]
            assert (changed["ltp"], changed["oi"]) == (was["lastPrice"], was["openInterest"])
            assert not {"lastPrice", "openInterest"} & changed.keys()

    def test_numbers_are_text_with_commas(self, client: ExchangeClient, browser: Browser) -> None:
        spot = upstox(client)[0]["underlying_spot_price"]
        client.inject(kind="retyped-fields")
        row, document = upstox(client)[0], website(browser)

        assert row["underlying_spot_price"] == f"{spot:,}" == document["records"]["underlyingValue"]
        assert "," in row["underlying_spot_price"]
        assert "," in document["records"]["data"][20]["CE"]["openInterest"]
        assert isinstance(row["call_options"]["option_greeks"]["iv"], str)

    def test_open_interest_is_in_the_other_unit(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        units = [row["call_options"]["market_data"]["oi"] for row in upstox(client)]
        contracts = [row["CE"]["openInterest"] for row in website(browser)["records"]["data"]]
        client.inject(kind="unit-changed")
        document = website(browser)

        changed = [row["call_options"]["market_data"]["oi"] for row in upstox(client)]
        assert changed == contracts == [oi / LOT for oi in units]
        assert [row["CE"]["openInterest"] for row in document["records"]["data"]] == units
        assert document["filtered"]["CE"]["totOI"] == sum(units)
        volumes = [row["CE"]["totalTradedVolume"] for row in document["records"]["data"]]
        assert sum(volumes) == document["filtered"]["CE"]["totVol"]


def test_a_frozen_chain_repeats_the_response_of_an_instant(
    client: ExchangeClient, browser: Browser
) -> None:
    client.inject(
        kind="frozen-chain", **{"from": "2026-09-16T11:24:00", "until": "2026-09-16T11:30:00"}
    )

    def seen(at: str) -> tuple[Any, Any]:
        client.clock.set_to(f"2026-09-16 {at}")
        return upstox(client), website(browser)

    before, first, still, after = (
        seen(at) for at in ("11:23:30", "11:24:00", "11:29:59", "11:30:00")
    )
    assert first == still
    assert still[1]["records"]["timestamp"] == "16-Sep-2026 11:24:00"
    assert before[0] != first[0] != after[0]
    assert after[1]["records"]["timestamp"] == "16-Sep-2026 11:30:00"


class TestWhichRequestsAFaultAppliesTo:
    def test_only_a_symbol_at_the_website(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="empty-object", instruments=["BANKNIFTY"])

        assert browser.chain("BANKNIFTY", "29-Sep-2026") == {}
        assert browser.chain("NIFTY", "29-Sep-2026") != {}
        assert browser.get_json("/api/option-chain-contract-info?symbol=BANKNIFTY") == {}

    def test_only_an_instrument_key_at_upstox(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        client.inject(kind="missing-put", instruments=[client.key("NIFTY")])

        assert "put_options" not in upstox(client)[0]
        assert "put_options" in client.chain("BANKNIFTY", "2026-09-29")[0]
        assert "PE" in website(browser)["records"]["data"][0]

    def test_only_one_path(self, client: ExchangeClient, browser: Browser) -> None:
        client.inject(kind="empty-object", path="/api/option-chain-contract-info")

        assert browser.get_json(INFO) == {}
        assert website(browser)

    def test_an_empty_object_is_not_changed_by_chain_faults(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        for kind in ("missing-call", "placeholder-legs", "renamed-fields", "unit-changed"):
            client.inject(kind=kind)
        assert browser.chain("NIFTY", "23-Sep-2026") == {}
        assert client.chain("NIFTY", "2026-09-23") == []
