"""The wire format of NSE's website, with its cookies."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from exchange_client import SYMBOLS, Browser, ExchangeClient, ManualClock
from hypothesis import given, settings
from hypothesis import strategies as st

from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.nse.sessions import COOKIE_LIFE, COOKIE_REQUESTS

INFO = "/api/option-chain-contract-info?symbol=NIFTY"


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-11 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


@pytest.fixture
def browser(client: ExchangeClient) -> Browser:
    return Browser(client.exchange)


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/option-chain"])
    def test_set_the_cookies(self, browser: Browser, path: str) -> None:
        page = browser.open(path)

        assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
        assert page.data.startswith(b"<!DOCTYPE html>")
        assert browser.cookies.keys() == {"nsit", "nseappid", "bm_sv"}

    @pytest.mark.parametrize("path", ["option-chain-indices", "option-chain-equities"])
    def test_the_legacy_paths_are_404(self, browser: Browser, path: str) -> None:
        browser.open()
        response = browser.request(f"/api/{path}?symbol=NIFTY")

        assert response.status == 404
        assert b"<title>Resource not found</title>" in response.data


class TestCookies:
    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param((), id="none"),
            pytest.param(("nsit", "bm_sv"), id="without nseappid"),
            pytest.param(("nseappid", "bm_sv"), id="without nsit"),
        ],
    )
    def test_api_requests_need_both_site_cookies(
        self, browser: Browser, sent: tuple[str, ...]
    ) -> None:
        browser.open()
        browser.cookies = {name: browser.cookies[name] for name in sent}
        assert browser.request(INFO).status == 401

    def test_the_bot_managers_cookie_is_not_required(self, browser: Browser) -> None:
        browser.open()
        del browser.cookies["bm_sv"]
        assert browser.request(INFO).status == 200

    def test_cookies_of_two_sessions_do_not_mix(self, browser: Browser) -> None:
        browser.open()
        older = browser.cookies["nsit"]
        browser.open()
        browser.cookies["nsit"] = older
        assert browser.request(INFO).status == 401

    def expired(self, browser: Browser) -> tuple[int, bytes]:
        browser.open()
        for _ in range(COOKIE_REQUESTS):
            assert browser.request(INFO).data != b"{}"
        response = browser.request(INFO)
        return response.status, response.data[:2]

    def test_cookies_expire_after_60_requests_with_401_and_empty_objects_in_turn(
        self, browser: Browser
    ) -> None:
        ends = [self.expired(browser) for _ in range(3)]
        assert ends == [(401, b"<!"), (200, b"{}"), (401, b"<!")]

    def test_cookies_expire_after_10_minutes(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        browser.open()
        seen = client.clock.now()
        statuses = []
        for share in (0.999, 1):
            client.clock.set(seen + share * COOKIE_LIFE)
            statuses.append(browser.request(INFO).status)
        assert statuses == [200, 401]
        browser.open()
        assert browser.request(INFO).status == 200

    def test_tokens_and_cookies_are_not_interchangeable(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        assert client.request(INFO).status == 401
        browser.open()
        assert browser.request(client.ltp_path("NSE_INDEX|Nifty 50")).status == 401


def test_requests_are_counted_under_their_own_names(
    client: ExchangeClient, browser: Browser
) -> None:
    browser.get_json(INFO)
    browser.chain("NIFTY", "15-Sep-2026")
    state = orjson.loads(client.request("/paper/state").data)

    assert state["requests"] == {"nse-page": 2, "nse-contract-info": 1, "nse-chain": 1}
    assert state["refused"] == {}


class TestContractInfo:
    def test_expiries_follow_the_calendar_and_strikes_are_text(self, browser: Browser) -> None:
        info = browser.get_json("/api/option-chain-contract-info?symbol=RELIANCE")

        # 24 November 2026 is a Tuesday and a holiday.
        assert info["expiryDates"] == ["29-Sep-2026", "27-Oct-2026", "23-Nov-2026"]
        strikes = [float(strike) for strike in info["strikePrice"]]
        assert strikes == sorted(set(strikes))
        assert not any(strike.endswith(".0") for strike in info["strikePrice"])

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param("symbol=NOSUCH", id="unknown"),
            pytest.param("symbol=PAPERMILL", id="no options"),
            pytest.param("symbol=nifty", id="wrong case"),
            pytest.param("", id="none"),
        ],
    )
    def test_an_unknown_symbol_is_an_empty_object(self, browser: Browser, query: str) -> None:
        assert browser.get_json(f"/api/option-chain-contract-info?{query}") == {}


class TestChain:
    def test_has_the_fields_and_types_of_a_captured_chain(
        self, browser: Browser, shared_data: Path
    ) -> None:
        folder = shared_data / "nse_option_chain_v3"
        [captured] = folder.glob("NIFTY_2026-06-19*capture1.json.gz")
        real = orjson.loads(gzip.decompress(captured.read_bytes()))

        assert shape(browser.chain("NIFTY", "15-Sep-2026")) == shape(real)

    def test_dates_have_two_formats_and_the_identifier(self, browser: Browser) -> None:
        row = browser.chain("NIFTY", "15-Sep-2026")["records"]["data"][0]

        assert row["expiryDates"] == "15-Sep-2026"
        for side in ("CE", "PE"):
            leg = row[side]
            assert leg["expiryDate"] == "15-09-2026"
            assert leg["identifier"] == f"OPTIDXNIFTY15-09-2026{side}{row['strikePrice']:.2f}"
            assert leg["strikePrice"] == row["strikePrice"]
            assert leg["underlying"] == "NIFTY"
            assert leg["pChange"] == leg["PChange"]
            assert leg["optionType"] is None

    def test_whole_numbers_have_no_point_and_others_do(self, client: ExchangeClient) -> None:
        browser = Browser(client.exchange)
        browser.open()
        body = browser.request(browser.chain_path("M&M", "29-Sep-2026", "Equity")).data

        assert b".0," not in body
        assert b".0}" not in body
        prices = [row["CE"]["strikePrice"] for row in orjson.loads(body)["records"]["data"]]
        assert {type(price) for price in prices} == {int, float}

    def test_lists_the_strikes_of_all_expiries(self, browser: Browser) -> None:
        records = browser.chain("NIFTY", "15-Sep-2026")["records"]
        own = {str(row["strikePrice"]) for row in records["data"]}
        info = browser.get_json(INFO)

        assert own < set(records["strikePrices"])
        assert records["strikePrices"] == info["strikePrice"]
        assert records["expiryDates"] == info["expiryDates"]

    def test_filtered_repeats_the_rows_and_sums_up_the_legs(self, browser: Browser) -> None:
        document = browser.chain("NIFTY", "15-Sep-2026")
        rows, filtered = document["records"]["data"], document["filtered"]

        assert filtered["data"] == rows
        for side in ("CE", "PE"):
            legs = [row[side] for row in rows]
            assert filtered[side] == {
                "totOI": sum(leg["openInterest"] for leg in legs),
                "totVol": sum(leg["totalTradedVolume"] for leg in legs),
            }

    def test_order_book_quantities_are_units(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        lot = client.exchange.market.underlyings["NIFTY"].lot_size
        rows = browser.chain("NIFTY", "15-Sep-2026")["records"]["data"]
        legs = [row[side] for row in rows for side in ("CE", "PE")]

        for name in ("Buy", "Sell"):
            best = [leg[f"{name.lower()}Quantity1"] for leg in legs]
            total = [leg[f"total{name}Quantity"] for leg in legs]
            assert {quantity % lot for quantity in (*best, *total)} == {0}
            assert all(one <= both for one, both in zip(best, total, strict=True))
        assert any(leg["openInterest"] % lot for leg in legs)

    def test_changes_are_against_the_day_before(self, browser: Browser) -> None:
        for row in browser.chain("NIFTY", "15-Sep-2026")["records"]["data"]:
            leg = row["PE"]
            close = leg["lastPrice"] - leg["change"]
            before = leg["openInterest"] - leg["changeinOpenInterest"]
            assert leg["pChange"] == pytest.approx(leg["change"] / close * 100)
            grown = leg["changeinOpenInterest"] / before * 100
            assert leg["pchangeinOpenInterest"] == pytest.approx(grown)

    def test_at_the_money_the_printed_volatility_is_near_the_smile(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        """The conventions differ: 10 % interest lowers the calls and raises the puts."""
        truth = client.chain_truth("NIFTY", "2026-09-29")
        smile = {leg["strike"]: leg["iv"] * 100 for leg in truth["legs"]}
        rows = browser.chain("NIFTY", "29-Sep-2026")["records"]["data"]
        near = min(rows, key=lambda row: abs(row["strikePrice"] - truth["spot"]))
        call, set_to = near["CE"]["impliedVolatility"], near["PE"]["impliedVolatility"]

        assert call < smile[near["strikePrice"]] < set_to
        assert set_to - call < 4

    @pytest.mark.parametrize("kind", ["Equity", "Equities"])
    def test_a_symbol_may_need_escaping(self, browser: Browser, kind: str) -> None:
        document = browser.chain("M&M", "29-Sep-2026", kind)
        assert document["records"]["data"][0]["CE"]["identifier"].startswith(
            "OPTSTKM&M29-09-2026CE"
        )

    @pytest.mark.parametrize(
        ("symbol", "expiry", "kind"),
        [
            pytest.param("NOSUCH", "15-Sep-2026", "Indices", id="unknown symbol"),
            pytest.param("NIFTY", "16-Sep-2026", "Indices", id="unknown expiry"),
            pytest.param("NIFTY", "2026-09-15", "Indices", id="an expiry in another spelling"),
            pytest.param("NIFTY", "31-Feb-2026", "Indices", id="no date"),
            pytest.param("NIFTY", "", "Indices", id="no expiry"),
            pytest.param("NIFTY", "15-Sep-2026", "Equity", id="an index among shares"),
            pytest.param("TCS", "29-Sep-2026", "Indices", id="a share among indices"),
        ],
    )
    def test_invalid_requests_are_empty_objects(
        self, browser: Browser, symbol: str, expiry: str, kind: str
    ) -> None:
        assert browser.chain(symbol, expiry, kind) == {}


INPUTS = ["", "0", "NIFTY", "M%26M", "Indices", "15-Sep-2026", "01-Jan-0001", "x-Sep-y", "%00", "-"]
inputs = st.sampled_from(INPUTS)


@settings(max_examples=40)
@given(kind=inputs, symbol=inputs, expiry=inputs)
def test_no_request_breaks_the_website(
    browser: Browser, kind: str, symbol: str, expiry: str
) -> None:
    browser.open()
    path = f"/api/option-chain-v3?type={kind}&symbol={symbol}&expiry={expiry}"
    assert browser.request(path).status == 200


def shape(document: Any) -> Any:
    """The names and types in a document; for a list, those of all its items."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items()}
    if isinstance(document, list):
        merged: dict[str, Any] = {}
        kinds = set()
        for item in document:
            inner = shape(item)
            if isinstance(inner, dict):
                merged |= inner
            else:
                kinds.add(inner)
        return [merged or kinds]
    return "number" if isinstance(document, int | float) else type(document).__name__
