"""Option chains of the paper exchange in both wire formats."""

from collections.abc import Iterator
from math import erf, exp, log, sqrt
from typing import Any

import orjson
import pytest
from exchange_client import SYMBOLS, Browser, ExchangeClient, ManualClock

from data_fetch.paper_exchange.exchange import PaperExchange

SIDES = {"CE": "call_options", "PE": "put_options"}
TICK = 0.05


@pytest.fixture(scope="module")
def market() -> Iterator[ExchangeClient]:
    """One exchange for all tests: each begins by setting its clock."""
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


@pytest.fixture
def client(market: ExchangeClient) -> ExchangeClient:
    market.clock.set_to("2026-09-16 11:23:31")
    return market


@pytest.fixture
def browser(client: ExchangeClient) -> Browser:
    return Browser(client.exchange)


def legs_of(rows: list[dict[str, Any]]) -> dict[tuple[float, str], dict[str, Any]]:
    """Upstox's legs by strike and side."""
    return {(row["strike_price"], kind): row[name] for row in rows for kind, name in SIDES.items()}


def undiscounted(forward: float, strike: float, years: float, iv: float, kind: str) -> float:
    """The textbook Black-76 formula without interest."""
    spread = iv * sqrt(years)
    d1 = log(forward / strike) / spread + spread / 2
    call = forward * normal(d1) - strike * normal(d1 - spread)
    return call if kind == "CE" else call - forward + strike


def normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def implied(price: float, forward: float, strike: float, years: float, kind: str) -> float:
    """The volatility at which the formula gives *price*, by bisection."""
    low, high = 1e-4, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        if undiscounted(forward, strike, years, middle, kind) < price:
            low = middle
        else:
            high = middle
    return low


class TestChainTruth:
    def test_identifies_the_chain_and_its_time(self, client: ExchangeClient) -> None:
        truth = client.chain_truth("NIFTY", "2026-09-22")

        assert truth["symbol"] == "NIFTY"
        assert truth["at"] == "2026-09-16T11:23:31+05:30"
        assert truth["expires_at"] == "2026-09-22T15:40:00+05:30"
        assert truth["rate"] == 0
        assert truth["years"] == pytest.approx(
            (6 * 86_400 + 4 * 3600 + 16 * 60 + 29) / 365 / 86_400
        )
        assert truth["forward"] == pytest.approx(truth["spot"] * exp(0.06 * truth["years"]))
        contracts = legs_of(client.chain("NIFTY", "2026-09-22"))
        assert [(leg["strike"], leg["option_type"]) for leg in truth["legs"]] == [*contracts]

    @pytest.mark.parametrize(
        ("symbol", "expiry"), [("NIFTY", "2026-09-22"), ("BANKNIFTY", "2026-09-29")]
    )
    def test_premiums_keep_put_call_parity_and_follow_from_the_volatility(
        self, client: ExchangeClient, symbol: str, expiry: str
    ) -> None:
        truth = client.chain_truth(symbol, expiry)
        forward, years, legs = truth["forward"], truth["years"], truth["legs"]

        for call, set_to in zip(legs[::2], legs[1::2], strict=True):
            parity = forward - call["strike"]
            assert call["premium"] - set_to["premium"] == pytest.approx(parity, abs=1e-6)
        for leg in legs:
            again = undiscounted(forward, leg["strike"], years, leg["iv"], leg["option_type"])
            assert leg["premium"] == pytest.approx(again, abs=1e-6)

    def test_greeks_in_the_chain_are_the_same_rounded(self, client: ExchangeClient) -> None:
        served = legs_of(client.chain("NIFTY", "2026-09-22"))

        for leg in client.chain_truth("NIFTY", "2026-09-22")["legs"]:
            wire = served[leg["strike"], leg["option_type"]]["option_greeks"]
            assert wire["iv"] == pytest.approx(leg["iv"] * 100, abs=0.00501)
            for name in ("delta", "theta", "vega"):
                assert wire[name] == pytest.approx(leg[name], abs=0.0000501)

    @pytest.mark.parametrize(
        ("query", "status", "message"),
        [
            pytest.param("symbol=NIFTY", 400, b"name an expiry", id="no expiry"),
            pytest.param("symbol=NIFTY&expiry=soon", 400, b"name an expiry", id="no date"),
            pytest.param("symbol=NIFTY&expiry=2026-09-23", 404, b"no options", id="no expiry day"),
            pytest.param("symbol=PAPERMILL&expiry=2026-09-29", 404, b"no options", id="no F&O"),
        ],
    )
    def test_invalid_requests(
        self, client: ExchangeClient, query: str, status: int, message: bytes
    ) -> None:
        response = client.request(f"/paper/chain-truth?{query}")
        assert (response.status, message in response.data) == (status, True)


class TestOrderBook:
    @pytest.mark.parametrize("at", ["09:15:20", "11:23:31", "15:20:07", "15:39:59"])
    @pytest.mark.parametrize(("symbol", "expiry"), [("NIFTY", "2026-09-22"), ("TCS", "2026-09-29")])
    def test_surrounds_the_fair_premium(
        self, client: ExchangeClient, at: str, symbol: str, expiry: str
    ) -> None:
        client.clock.set_to(f"2026-09-16 {at}")
        served = legs_of(client.chain(symbol, expiry))

        for leg in client.chain_truth(symbol, expiry)["legs"]:
            market = served[leg["strike"], leg["option_type"]]["market_data"]
            assert market["bid_price"] <= leg["premium"] + 1e-9
            assert market["ask_price"] > leg["premium"] - 1e-9
            assert market["ask_price"] - market["bid_price"] == pytest.approx(TICK)
            assert (market["bid_qty"] == 0) == (market["bid_price"] == 0) == (leg["premium"] < TICK)
            assert market["ask_qty"] > 0

    def test_its_mid_price_implies_the_volatility(self, client: ExchangeClient) -> None:
        truth = client.chain_truth("NIFTY", "2026-09-22")
        served = legs_of(client.chain("NIFTY", "2026-09-22"))
        checked = 0

        for leg in truth["legs"]:
            kind, data = leg["option_type"], served[leg["strike"], leg["option_type"]]
            market = data["market_data"]
            middle = (market["bid_price"] + market["ask_price"]) / 2
            if leg["vega"] < 1 or not market["bid_price"]:
                continue
            found = implied(middle, truth["forward"], leg["strike"], truth["years"], kind)
            # Half a tick on either side, and vega is per volatility point.
            allowed = TICK / 2 / leg["vega"] / 100
            assert found == pytest.approx(leg["iv"], abs=1.2 * allowed)
            checked += 1
        assert checked > 30

    def test_moves_while_a_contract_does_not_trade(self, client: ExchangeClient) -> None:
        """Some contracts on a stock have minutes without a trade."""
        quiet_but_quoted = 0
        seen: dict[tuple[float, str], tuple[float, float]] = {}
        for second in range(0, 600, 60):
            client.clock.set_to(f"2026-09-16 11:{20 + second // 60}:55")
            for name, leg in legs_of(client.chain("IDEA", "2026-11-23")).items():
                market = leg["market_data"]
                last, bid = seen.get(name, (None, None))
                quiet_but_quoted += market["ltp"] == last and market["bid_price"] != bid
                seen[name] = market["ltp"], market["bid_price"]
        assert quiet_but_quoted

    def test_at_a_minutes_end_it_surrounds_the_last_trade_of_a_busy_contract(
        self, client: ExchangeClient
    ) -> None:
        client.clock.set_to("2026-09-16 11:23:59")
        for row in client.chain("NIFTY", "2026-09-22")[15:25]:
            for side in SIDES.values():
                market = row[side]["market_data"]
                assert market["bid_price"] - TICK <= market["ltp"] <= market["ask_price"] + TICK


class TestBothWireFormats:
    @pytest.mark.parametrize(
        ("symbol", "expiry", "nse_expiry", "kind"),
        [
            pytest.param("NIFTY", "2026-09-22", "22-Sep-2026", "Indices", id="weekly index"),
            pytest.param("BANKNIFTY", "2026-10-27", "27-Oct-2026", "Indices", id="monthly index"),
            pytest.param("M&M", "2026-09-29", "29-Sep-2026", "Equity", id="stock"),
        ],
    )
    @pytest.mark.parametrize("at", ["09:15:06", "11:23:31", "15:36:40", "19:00:00"])
    def test_agree_leg_by_leg(
        self,
        client: ExchangeClient,
        browser: Browser,
        symbol: str,
        expiry: str,
        nse_expiry: str,
        kind: str,
        at: str,
    ) -> None:
        client.clock.set_to(f"2026-09-16 {at}")
        rows = client.chain(symbol, expiry)
        upstox, nse = legs_of(rows), browser.chain(symbol, nse_expiry, kind)
        lot = client.exchange.market.underlyings[symbol].lot_size
        website = {
            (row["strikePrice"], side): row[side]
            for row in nse["records"]["data"]
            for side in SIDES
        }

        assert website.keys() == upstox.keys()
        assert nse["records"]["underlyingValue"] == rows[0]["underlying_spot_price"]
        for name, leg in website.items():
            market = upstox[name]["market_data"]
            assert leg["lastPrice"] == market["ltp"]
            assert leg["openInterest"] * lot == market["oi"]
            assert (leg["openInterest"] - leg["changeinOpenInterest"]) * lot == market["prev_oi"]
            assert leg["totalTradedVolume"] * lot == market["volume"]
            assert leg["lastPrice"] - leg["change"] == pytest.approx(market["close_price"])
            assert [leg["buyPrice1"], leg["buyQuantity1"]] == [
                market["bid_price"],
                market["bid_qty"],
            ]
            assert [leg["sellPrice1"], leg["sellQuantity1"]] == [
                market["ask_price"],
                market["ask_qty"],
            ]

    def test_a_leg_is_its_quote_at_any_trade_of_a_minute(self, client: ExchangeClient) -> None:
        for at in ("11:23:04", "11:23:06", "11:23:21", "11:23:36", "11:23:51"):
            client.clock.set_to(f"2026-09-16 {at}")
            legs = legs_of(client.chain("TCS", "2026-09-29")).values()
            quotes = client.ltp(*(leg["instrument_key"] for leg in legs))
            for leg in legs:
                quote, market = quotes[leg["instrument_key"]], leg["market_data"]
                shown = (quote["last_price"], quote["volume"], quote["cp"])
                assert (market["ltp"], market["volume"], market["close_price"]) == shown

    def test_volume_is_whole_contracts_at_any_trade_of_a_minute(
        self, client: ExchangeClient
    ) -> None:
        lot = client.exchange.market.underlyings["NIFTY"].lot_size
        for at in ("11:23:06", "11:23:21", "11:23:36", "11:23:51"):
            client.clock.set_to(f"2026-09-16 {at}")
            legs = legs_of(client.chain("NIFTY", "2026-11-23")).values()
            assert {leg["market_data"]["volume"] % lot for leg in legs} == {0}
            assert {leg["market_data"]["oi"] % lot for leg in legs} == {0.0}


class TestHours:
    def spot_and_book(
        self, client: ExchangeClient, at: str, symbol: str = "NIFTY"
    ) -> tuple[float, Any]:
        client.clock.set_to(at)
        row = client.chain(symbol, "2026-09-29")[20 if symbol == "NIFTY" else 5]
        return row["underlying_spot_price"], row["call_options"]["market_data"]["bid_price"]

    @pytest.mark.parametrize("symbol", ["NIFTY", "TCS"])
    def test_with_a_closing_auction_the_spot_is_fixed_from_1515_while_options_trade(
        self, client: ExchangeClient, symbol: str
    ) -> None:
        times = ("15:15:00", "15:15:40", "15:27:59", "15:31:00", "15:36:00", "15:39:50", "20:00:00")
        seen = [self.spot_and_book(client, f"2026-09-16 {at}", symbol) for at in times]

        assert len({spot for spot, _ in seen}) == 1
        assert len({bid for _, bid in seen[:6]}) > 3
        assert seen[0][0] != self.spot_and_book(client, "2026-09-16 15:14:10", symbol)[0]

    def test_without_one_both_move_until_1530(self, client: ExchangeClient) -> None:
        times = ("15:15:40", "15:20:00", "15:27:59", "15:29:55")
        seen = [self.spot_and_book(client, f"2026-07-31 {at}") for at in times]
        after = [self.spot_and_book(client, f"2026-07-31 {at}") for at in ("15:30:00", "15:39:00")]

        assert len({spot for spot, _ in seen}) == len(seen)
        assert after[0] == after[1]

    @pytest.mark.parametrize(
        ("at", "stamp"),
        [
            pytest.param("2026-07-31 15:29:59", "31-Jul-2026 15:29:59", id="open, old hours"),
            pytest.param("2026-07-31 15:35:00", "31-Jul-2026 15:30:00", id="closed, old hours"),
            pytest.param("2026-08-03 15:35:00", "03-Aug-2026 15:35:00", id="open, new hours"),
            pytest.param("2026-08-03 15:40:01", "03-Aug-2026 15:40:00", id="closed, new hours"),
            pytest.param("2026-08-04 09:14:59", "03-Aug-2026 15:40:00", id="before the open"),
            pytest.param("2026-08-04 09:15:00", "04-Aug-2026 09:15:00", id="the open"),
            pytest.param("2026-08-09 12:00:00", "07-Aug-2026 15:40:00", id="Sunday"),
            pytest.param("2025-10-21 20:00:00", "21-Oct-2025 14:45:00", id="after Muhurat"),
            pytest.param("2024-03-02 10:30:00", "02-Mar-2024 10:00:00", id="between two windows"),
        ],
    )
    def test_the_websites_stamp_is_the_last_second_of_trading(
        self, client: ExchangeClient, browser: Browser, at: str, stamp: str
    ) -> None:
        client.clock.set_to(at)
        expiry = browser.get_json("/api/option-chain-contract-info?symbol=NIFTY")["expiryDates"][1]
        assert browser.chain("NIFTY", expiry)["records"]["timestamp"] == stamp

    def test_the_website_does_not_change_until_the_next_open(
        self, client: ExchangeClient, browser: Browser
    ) -> None:
        documents = []
        for at in ("2026-09-16 15:40:00", "2026-09-16 23:59:00", "2026-09-17 09:14:59"):
            client.clock.set_to(at)
            documents.append(browser.chain("NIFTY", "29-Sep-2026"))
        client.clock.set_to("2026-09-17 09:15:06")

        assert documents[0] == documents[1] == documents[2]
        assert browser.chain("NIFTY", "29-Sep-2026") != documents[0]

    def test_on_the_last_day_legs_end_at_their_exercise_value(self, client: ExchangeClient) -> None:
        client.clock.set_to("2026-09-22 15:40:00")
        truth = client.chain_truth("NIFTY", "2026-09-22")
        served = legs_of(client.chain("NIFTY", "2026-09-22"))

        assert truth["at"] == truth["expires_at"] == "2026-09-22T15:40:00+05:30"
        for leg in truth["legs"]:
            side = 1 if leg["option_type"] == "CE" else -1
            exercised = max(side * (truth["spot"] - leg["strike"]), 0)
            market = served[leg["strike"], leg["option_type"]]["market_data"]
            assert leg["premium"] == pytest.approx(exercised, abs=1.0)
            assert market["ltp"] == pytest.approx(max(exercised, TICK), abs=1.0)

    def test_before_the_open_the_last_price_is_yesterdays_close(
        self, client: ExchangeClient
    ) -> None:
        """Upstox's new day has begun: the last price, volume 0, yesterday's open interest."""
        client.clock.set_to("2026-09-16 19:00:00")
        evening = legs_of(client.chain("NIFTY", "2026-09-29"))
        client.clock.set_to("2026-09-17 08:00:00")
        morning = legs_of(client.chain("NIFTY", "2026-09-29"))

        for name, leg in morning.items():
            market, before = leg["market_data"], evening[name]["market_data"]
            assert market["ltp"] == market["close_price"] == before["ltp"]
            assert market["volume"] == 0
            assert market["oi"] == market["prev_oi"] == before["oi"]


def test_the_same_seed_gives_the_same_documents() -> None:
    def documents(seed: int) -> list[bytes]:
        clock = ManualClock("2026-09-16 11:23:31")
        with PaperExchange(clock, symbols=SYMBOLS, seed=seed) as exchange:
            client, browser = ExchangeClient(exchange, clock), Browser(exchange)
            # An earlier request must not change the responses.
            client.chain("BANKNIFTY", "2026-09-29")
            return [
                orjson.dumps(client.chain("NIFTY", "2026-09-22")),
                orjson.dumps(browser.chain("NIFTY", "22-Sep-2026")),
                orjson.dumps(client.chain_truth("NIFTY", "2026-09-22")),
            ]

    first, again, other = documents(5), documents(5), documents(6)
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


def test_the_chains_strikes_are_the_contracts_of_the_master(
    client: ExchangeClient, browser: Browser
) -> None:
    market = client.exchange.market
    rows = [
        row
        for row in market.master.rows(client.clock.now().date())
        if row.get("underlying_symbol") == "NIFTY" and row["instrument_type"] != "FUT"
    ]
    info = browser.get_json("/api/option-chain-contract-info?symbol=NIFTY")

    assert {f"{row['strike_price']:g}" for row in rows} == set(info["strikePrice"])
    assert len({row["expiry"] for row in rows}) == len(info["expiryDates"])
    assert {row["lot_size"] for row in rows} == {market.underlyings["NIFTY"].lot_size}
