"""Upstox's wire format, through the SDK and in detail."""

import gzip
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
import upstox_client
import urllib3
from exchange_client import NO_RETRY, SYMBOLS, ExchangeClient, ManualClock, ist
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_fetch.core.clock import IST
from data_fetch.core.world import PAPER_ISIN_PREFIX
from data_fetch.paper_exchange.exchange import PaperExchange

NIFTY = "NSE_INDEX|Nifty 50"
PATHS = [
    "/v3/market-quote/ltp?instrument_key={}",
    "/v3/market-quote/ohlc?instrument_key={}&interval={}",
    "/v3/historical-candle/NSE_INDEX%7CNifty%2050/days/1/{}",
    "/v3/historical-candle/NSE_INDEX%7CNifty%2050/minutes/1/{}/{}",
    "/v3/historical-candle/{}/{}/{}/{}/{}",
    "/v3/historical-candle/intraday/{}/{}/{}",
    "/v2/expired-instruments/historical-candle/{}/{}/{}/{}",
    "/v2/option/contract?instrument_key={}&expiry_date={}",
    "/v2/option/chain?instrument_key={}&expiry_date={}",
    "/v2/market/holidays/{}",
    "/v2/market/timings/{}",
    "/v2/market/status/{}",
    "/paper/chain-truth?symbol=NIFTY&expiry={}",
]


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


@pytest.fixture
def sdk(client: ExchangeClient) -> upstox_client.ApiClient:
    configuration = upstox_client.Configuration()
    configuration.host = client.exchange.url
    configuration.access_token = "paper-analytics-sdk"
    api_client = upstox_client.ApiClient(configuration)
    api_client.rest_client.pool_manager.connection_pool_kw["retries"] = NO_RETRY
    return api_client


def read(response: Any) -> Any:
    return orjson.loads(response.data)["data"]


class TestThroughTheSdk:
    def test_quotes_are_named_with_a_colon_and_hold_the_key(
        self, sdk: upstox_client.ApiClient, client: ExchangeClient
    ) -> None:
        keys = [NIFTY, client.key("M&M"), client.key("RELIANCE")]
        api = upstox_client.MarketQuoteV3Api(sdk)

        rows = read(api.get_ltp(instrument_key=",".join(keys), _preload_content=False))

        assert list(rows) == ["NSE_INDEX:Nifty 50", "NSE_EQ:M&M", "NSE_EQ:RELIANCE"]
        assert [row["instrument_token"] for row in rows.values()] == keys
        for row in rows.values():
            assert row.keys() == {"last_price", "instrument_token", "ltq", "volume", "cp"}
        assert rows["NSE_INDEX:Nifty 50"]["volume"] == rows["NSE_INDEX:Nifty 50"]["ltq"] == 0

    def test_the_sdks_models_accept_every_response(
        self, sdk: upstox_client.ApiClient, client: ExchangeClient
    ) -> None:
        key = client.key("RELIANCE")
        quotes, history = upstox_client.MarketQuoteV3Api(sdk), upstox_client.HistoryV3Api(sdk)
        options = upstox_client.OptionsApi(sdk)
        times = upstox_client.MarketHolidaysAndTimingsApi(sdk)

        responses = [
            quotes.get_ltp(instrument_key=key),
            quotes.get_market_quote_ohlc("I1", instrument_key=key),
            history.get_historical_candle_data1(NIFTY, "minutes", "1", "2026-09-15", "2026-09-11"),
            history.get_historical_candle_data(NIFTY, "hours", "1", "2026-09-15"),
            history.get_intra_day_candle_data(NIFTY, "minutes", "1"),
            options.get_option_contracts(NIFTY),
            options.get_put_call_option_chain(NIFTY, "2026-09-22"),
            times.get_holidays(),
            times.get_holiday("2026-10-02"),
            times.get_exchange_timings("2026-09-16"),
            times.get_market_status("NSE"),
        ]

        assert {response.status for response in responses} == {"success"}
        assert all(response.data for response in responses)

    def test_login_issues_a_token_without_an_envelope(self, sdk: upstox_client.ApiClient) -> None:
        app = {"client_id": "client", "redirect_uri": "http://127.0.0.1/"}
        dialog = f"{sdk.configuration.host}/v2/login/authorization/dialog"
        query = {"response_type": "code", **app}
        sent_to = urllib3.request("GET", dialog, fields=query, redirect=False).headers["Location"]
        token = upstox_client.LoginApi(sdk).token(
            "2.0",
            code=sent_to.removeprefix("http://127.0.0.1/?code="),
            client_secret="secret",
            **app,
            grant_type="authorization_code",
        )
        sdk.configuration.access_token = token.access_token

        assert upstox_client.MarketQuoteV3Api(sdk).get_ltp(instrument_key=NIFTY).data


class TestQuotes:
    def test_five_hundred_keys_fit_into_one_request_line(self, client: ExchangeClient) -> None:
        named = (client.key("RELIANCE"), client.key("TCS"))
        path = client.ltp_path(*(named * 250))

        assert len(path) > 12_000
        assert len(client.data(path)) == 2

    @pytest.mark.parametrize(
        ("keys", "refused"),
        [
            pytest.param([], (400, "UDAPI1009"), id="no key"),
            pytest.param([NIFTY] * 501, (400, "UDAPI100043"), id="501 keys"),
            pytest.param([NIFTY, "NSE_EQ|INE000000000"], (400, "UDAPI1087"), id="one bad key"),
            pytest.param(["NSE_EQ|RELIANCE"], (400, "UDAPI1087"), id="symbol for key"),
            pytest.param(["NSE_INDEX|NIFTY 50"], (400, "UDAPI1087"), id="wrong case"),
        ],
    )
    def test_a_batch_is_refused_whole(
        self, client: ExchangeClient, keys: list[str], refused: tuple[int, str]
    ) -> None:
        assert client.refusal(client.ltp_path(*keys)) == refused

    def test_ohlc_has_the_current_and_the_previous_candle(self, client: ExchangeClient) -> None:
        key = client.key("RELIANCE")
        running, before, *_ = client.intraday(key)

        row = client.ohlc(key, "I1")

        for quoted, candle in ((row["live_ohlc"], running), (row["prev_ohlc"], before)):
            assert datetime.fromtimestamp(quoted["ts"] / 1000, IST).isoformat() == candle[0]
            shown = [quoted[name] for name in ("open", "high", "low", "close", "volume")]
            assert shown == candle[1:6]
        assert row["last_price"] == running[4]

    def test_ohlc_of_a_day_has_no_previous_candle(self, client: ExchangeClient) -> None:
        key = client.key("RELIANCE")
        candles = client.intraday(key)

        row = client.ohlc(key, "1d")

        assert row["prev_ohlc"] is None
        assert row["live_ohlc"]["volume"] == sum(candle[5] for candle in candles)
        assert row["live_ohlc"]["high"] == max(candle[2] for candle in candles)
        assert row["live_ohlc"]["ts"] == ist("2026-09-16").timestamp() * 1000

    def test_thirty_minute_candles_start_with_the_session(self, client: ExchangeClient) -> None:
        row = client.ohlc(client.key("RELIANCE"), "I30")

        stamps = [
            f"{datetime.fromtimestamp(row[name]['ts'] / 1000, IST):%H:%M}"
            for name in ("prev_ohlc", "live_ohlc")
        ]
        assert stamps == ["10:45", "11:15"]

    @pytest.mark.parametrize(
        ("at", "live", "volume"),
        [
            pytest.param("2026-09-16 07:00", "2026-09-15 15:29", None, id="before the open"),
            pytest.param("2026-09-16 09:15:03", "2026-09-16 09:15", 0, id="before a trade"),
            pytest.param("2026-09-19 12:00", "2026-09-18 15:29", None, id="Saturday"),
        ],
    )
    def test_ohlc_out_of_hours(
        self, client: ExchangeClient, at: str, live: str, volume: int | None
    ) -> None:
        client.clock.set_to(at)
        row = client.ohlc(client.key("RELIANCE"), "I1")

        candle = row["live_ohlc"]
        assert datetime.fromtimestamp(candle["ts"] / 1000, IST) == ist(live)
        assert candle["close"] == row["last_price"]
        assert volume in {None, candle["volume"]}

    def test_a_quiet_stock_repeats_an_older_candle(self) -> None:
        clock = ManualClock("2026-07-30 11:00")
        with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0) as exchange:
            client = ExchangeClient(exchange, clock)
            key = client.key("IDEA")
            candles = client.history(key, "2026-07-29", "2026-07-29")
            quiet = next(row for row in candles if row[5] == 0)
            older = next(row for row in candles if row[0] < quiet[0] and row[5])
            clock.set(datetime.fromisoformat(quiet[0]) + timedelta(minutes=1))

            row = client.ohlc(key, "I1")

        assert datetime.fromtimestamp(row["prev_ohlc"]["ts"] / 1000, IST).isoformat() == older[0]
        assert row["prev_ohlc"]["close"] == row["live_ohlc"]["close"] == row["last_price"]

    @pytest.mark.parametrize(
        ("interval", "code"),
        [
            pytest.param("", "UDAPI1027", id="missing"),
            pytest.param("I5", "UDAPI1028", id="not offered"),
        ],
    )
    def test_ohlc_interval(self, client: ExchangeClient, interval: str, code: str) -> None:
        path = f"/v3/market-quote/ohlc?instrument_key={quote_plus(NIFTY)}&interval={interval}"
        assert client.refusal(path) == (400, code)


class TestCandles:
    def test_rows_are_newest_first_with_text_stamps(self, client: ExchangeClient) -> None:
        candles = client.history(client.key("TCS"), "2026-09-11", "2026-09-10")

        stamps = [row[0] for row in candles]
        assert len(candles) == 2 * 375
        assert (stamps[0], stamps[-1]) == ("2026-09-11T15:29:00+05:30", "2026-09-10T09:15:00+05:30")
        assert stamps == sorted(stamps, reverse=True)
        assert {len(row) for row in candles} == {7}

    @pytest.mark.parametrize(
        ("unit", "interval", "count"),
        [
            pytest.param("minutes", 1, 375, id="1 minute"),
            pytest.param("minutes", 30, 13, id="30 minutes"),
            pytest.param("hours", 1, 7, id="1 hour"),
            pytest.param("days", 1, 1, id="the day"),
        ],
    )
    def test_intraday_units(
        self, client: ExchangeClient, unit: str, interval: int, count: int
    ) -> None:
        client.clock.set_to("2026-09-16 18:00")
        assert len(client.intraday(NIFTY, unit, interval)) == count

    def test_history_ends_yesterday(self, client: ExchangeClient) -> None:
        assert client.history(NIFTY, "2026-09-16", "2026-09-16") == []

    @pytest.mark.parametrize(
        ("unit", "first_days"),
        [
            pytest.param("weeks", ["2026-09-07", "2026-08-31"], id="weeks: Mondays"),
            pytest.param("months", ["2026-09-01", "2026-08-01"], id="months: their first"),
        ],
    )
    def test_long_units(self, client: ExchangeClient, unit: str, first_days: list[str]) -> None:
        candles = client.history(NIFTY, "2026-09-11", "2026-08-31", unit)
        assert [row[0][:10] for row in candles][: len(first_days)] == first_days[: len(candles)]

    def test_without_from_date_minutes_go_back_a_month(self, client: ExchangeClient) -> None:
        path = f"/v3/historical-candle/{quote(NIFTY, safe='')}/minutes/1/2026-09-11"
        oldest = client.data(path)["candles"][-1]
        assert oldest[0][:10] == "2026-08-12"

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            pytest.param("{}/minutes/1/2026-08-31/2026-08-01", None, id="31 days"),
            pytest.param("{}/minutes/1/2026-09-02/2026-08-01", "UDAPI1148", id="33 days"),
            pytest.param("{}/minutes/30/2026-09-02/2026-08-01", None, id="33 days of 30 minutes"),
            pytest.param("{}/hours/1/2026-09-02/2026-03-01", "UDAPI1148", id="half a year"),
            pytest.param("{}/days/1/2026-09-02/2010-03-01", "UDAPI1148", id="16 years of days"),
            pytest.param("{}/minutes/1/2026-08-01/2026-08-31", "UDAPI1015", id="reversed"),
            pytest.param("{}/minutes/1/31-08-2026/2026-08-01", "UDAPI1015", id="malformed"),
            pytest.param("{}/seconds/1/2026-08-31/2026-08-01", "UDAPI1146", id="unit"),
            pytest.param("{}/minutes/301/2026-08-31/2026-08-01", "UDAPI1147", id="interval"),
            pytest.param("NSE_EQ%7CX/minutes/1/2026-08-31/2026-08-01", "UDAPI100011", id="key"),
            pytest.param("RELIANCE/minutes/1/2026-08-31/2026-08-01", "UDAPI1021", id="no segment"),
            pytest.param("intraday/{}/weeks/1", "UDAPI1146", id="weeks of today"),
        ],
    )
    def test_windows_and_refusals(
        self, client: ExchangeClient, path: str, code: str | None
    ) -> None:
        url = "/v3/historical-candle/" + path.format(quote(NIFTY, safe=""))
        if code is None:
            assert client.data(url)["candles"]
        else:
            assert client.refusal(url) == (400, code)

    def test_expired_contracts_are_not_known(self, client: ExchangeClient) -> None:
        [first, *_] = client.data(f"/v2/option/contract?instrument_key={quote_plus(NIFTY)}")
        key = first["instrument_key"]
        assert client.history(key, "2026-09-15", "2026-09-15")
        client.clock.set(ist(first["expiry"]) + timedelta(days=1, hours=10))

        path = client.history_path(key, "2026-09-15", "2026-09-15", "minutes", 1)
        assert client.refusal(path) == (400, "UDAPI100011")
        intraday = f"/v3/historical-candle/intraday/{quote(key, safe='')}/minutes/1"
        assert client.refusal(intraday) == (400, "UDAPI100011")


class TestCandlesOfExpiredContracts:
    """A contract expires on 2026-09-22; its dated key names it from the next day on."""

    @pytest.fixture
    def contract(self, client: ExchangeClient) -> str:
        query = f"instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-22"
        [first, *_] = client.data(f"/v2/option/contract?{query}")
        return str(first["instrument_key"])

    def path(self, key: str, interval: str = "1minute", first_day: str = "2026-09-21") -> str:
        parts = f"{quote(key, safe='')}/{interval}/2026-09-30/{first_day}"
        return f"/v2/expired-instruments/historical-candle/{parts}"

    @pytest.mark.parametrize("interval", ["1minute", "30minute", "day"])
    def test_they_equal_its_history_up_to_the_expiry(
        self, client: ExchangeClient, contract: str, interval: str
    ) -> None:
        unit, count = {"1minute": ("minutes", 1), "30minute": ("minutes", 30)}.get(
            interval, ("days", 1)
        )
        client.clock.set_to("2026-09-22 18:00")
        before = client.history(contract, "2026-09-21", "2026-09-21", unit, count)
        last_day = client.intraday(contract, unit, count)
        client.clock.set_to("2026-10-05 10:00")

        rows = client.data(self.path(f"{contract}|22-09-2026", interval))["candles"]

        assert rows == last_day + before

    @pytest.mark.parametrize(
        ("dated", "interval", "first_day", "code"),
        [
            pytest.param("22-09-2026", "2minute", "2026-09-21", "UDAPI1020", id="interval"),
            pytest.param("22-09-2026", "1minute", "2026-08-21", "UDAPI1148", id="window"),
            pytest.param("22-09-2026", "1minute", "2026-10-21", "UDAPI1015", id="reversed"),
            pytest.param("2026-09-22", "1minute", "2026-09-21", "UDAPI1021", id="form of the key"),
            pytest.param("21-09-2026", "1minute", "2026-09-21", "UDAPI100011", id="another expiry"),
        ],
    )
    def test_refusals(
        self,
        client: ExchangeClient,
        contract: str,
        dated: str,
        interval: str,
        first_day: str,
        code: str,
    ) -> None:
        client.clock.set_to("2026-10-05 10:00")
        path = self.path(f"{contract}|{dated}", interval, first_day)
        assert client.refusal(path) == (400, code)

    def test_a_contract_is_not_expired_on_its_last_day(
        self, client: ExchangeClient, contract: str
    ) -> None:
        client.clock.set_to("2026-09-22 18:00")
        path = self.path(f"{contract}|22-09-2026")
        assert client.refusal(path) == (400, "UDAPI100011")

    def test_a_token_is_required(self, client: ExchangeClient, contract: str) -> None:
        client.token = None
        path = self.path(f"{contract}|22-09-2026")
        assert client.refusal(path) == (401, "UDAPI100050")


class TestOptions:
    def test_the_chain_agrees_with_quotes_and_contracts(self, client: ExchangeClient) -> None:
        query = f"instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-22"
        chain = client.data(f"/v2/option/chain?{query}")
        contracts = client.data(f"/v2/option/contract?{query}")
        legs = [row[side] for row in chain for side in ("call_options", "put_options")]

        quotes = client.ltp(NIFTY, *(leg["instrument_key"] for leg in legs))

        assert {leg["instrument_key"] for leg in legs} == {
            contract["instrument_key"] for contract in contracts
        }
        assert {row["underlying_spot_price"] for row in chain} == {quotes[NIFTY]["last_price"]}
        for leg in legs:
            quote = quotes[leg["instrument_key"]]
            market = leg["market_data"]
            assert (market["ltp"], market["volume"], market["close_price"]) == (
                quote["last_price"],
                quote["volume"],
                quote["cp"],
            )
        strikes = [row["strike_price"] for row in chain]
        assert strikes == sorted(set(strikes))

    def test_calls_fall_and_puts_rise_with_the_strike(self, client: ExchangeClient) -> None:
        query = f"instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-29"
        chain = client.data(f"/v2/option/chain?{query}")

        deltas = [row["call_options"]["option_greeks"]["delta"] for row in chain]
        assert deltas == sorted(deltas, reverse=True)
        for row in chain:
            call, set_to = (row[side]["option_greeks"] for side in ("call_options", "put_options"))
            assert call["iv"] == set_to["iv"] > 0
            assert call["delta"] - set_to["delta"] == pytest.approx(1, abs=2e-4)

    @pytest.mark.parametrize(
        ("query", "refused"),
        [
            pytest.param("", "UDAPI1009", id="no underlying"),
            pytest.param("instrument_key=NSE_EQ|X", "UDAPI100011", id="unknown underlying"),
            pytest.param("instrument_key=NSE_INDEX|Nifty+50", "UDAPI1088", id="no expiry"),
        ],
    )
    def test_refusals(self, client: ExchangeClient, query: str, refused: str) -> None:
        assert client.refusal(f"/v2/option/chain?{query}") == (400, refused)

    def test_an_expiry_without_contracts_is_empty(self, client: ExchangeClient) -> None:
        query = f"instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-23"
        assert client.data(f"/v2/option/chain?{query}") == []


class TestMaster:
    @pytest.fixture
    def rows(self, client: ExchangeClient) -> list[dict[str, Any]]:
        packed = client.request("/market-quote/instruments/exchange/NSE.json.gz").data
        return orjson.loads(gzip.decompress(packed))

    def test_shares_cannot_be_mistaken_for_real_ones(self, rows: list[dict[str, Any]]) -> None:
        isins = [row["isin"] for row in rows if row["segment"] == "NSE_EQ"]

        assert all(isin.startswith(PAPER_ISIN_PREFIX) and len(isin) == 12 for isin in isins)
        assert len(isins) == len(set(isins))

    def test_a_share_keeps_its_isin_in_any_list(self, client: ExchangeClient) -> None:
        alone = PaperExchange(client.clock, symbols=["TCS"], seed=9)
        assert ExchangeClient(alone, client.clock).key("TCS") == client.key("TCS")

    def test_fields_by_kind_of_row(self, rows: list[dict[str, Any]]) -> None:
        reliance = next(row for row in rows if row["trading_symbol"] == "RELIANCE")
        future = next(row for row in rows if row["trading_symbol"].startswith("NIFTY FUT"))
        nifty = next(row for row in rows if row["instrument_key"] == NIFTY)

        assert reliance["cas_eligible"] is True
        assert reliance["tick_size"] in {1.0, 5.0, 10.0, 50.0, 100.0, 500.0}
        assert future["expiry"] == ist("2026-09-29 23:59:59").timestamp() * 1000
        assert (future["strike_price"], future["underlying_symbol"]) == (0.0, "NIFTY")
        assert "isin" not in nifty
        assert not any("cas_eligible" in row for row in rows if row["trading_symbol"] == "INKWELL")

    def test_expiries_follow_the_calendar(self, rows: list[dict[str, Any]]) -> None:
        expiries: dict[str, set[date]] = {"NIFTY": set(), "TCS": set()}
        for row in rows:
            if row.get("underlying_symbol") in expiries:
                day = datetime.fromtimestamp(row["expiry"] / 1000, IST).date()
                expiries[row["underlying_symbol"]].add(day)

        # 20 October and 24 November 2026 are Tuesdays and holidays.
        monthly = {date(2026, 9, 29), date(2026, 10, 27), date(2026, 11, 23)}
        weekly = {date(2026, 9, 22), date(2026, 10, 6), date(2026, 10, 13), date(2026, 10, 19)}
        assert expiries == {"TCS": monthly, "NIFTY": monthly | weekly}

    def test_every_key_is_unique_and_has_a_quote(
        self, client: ExchangeClient, rows: list[dict[str, Any]]
    ) -> None:
        keys = [row["instrument_key"] for row in rows]
        contracts = [row["instrument_key"] for row in rows if "TCS" in row["trading_symbol"]]

        assert len(keys) == len(set(keys))
        assert client.ltp(*contracts).keys() == set(contracts)

    def test_the_file_is_gzip_whatever_the_name(self, client: ExchangeClient) -> None:
        paths = [
            f"/market-quote/instruments/exchange/{name}.json.gz" for name in ("NSE", "complete")
        ]
        first, second = (client.request(path).data for path in paths)
        assert first == second


class TestMarketTimes:
    def test_the_holidays_of_2026(self, client: ExchangeClient) -> None:
        rows = client.data("/v2/market/holidays")
        kinds = [row["holiday_type"] for row in rows]

        assert kinds.count("TRADING_HOLIDAY") == 16
        specials = [row for row in rows if row["holiday_type"] == "SPECIAL_TIMING"]
        assert ("2026-02-01", 2) in [(row["date"], len(row["open_exchanges"])) for row in specials]
        assert kinds.count("SETTLEMENT_HOLIDAY") == 1

    @pytest.mark.parametrize(
        ("path", "rows"),
        [
            pytest.param("holidays/2026-10-02", 1, id="a holiday"),
            pytest.param("holidays/2026-10-05", 0, id="no holiday"),
            pytest.param("timings/2026-10-05", 2, id="an open day"),
            pytest.param("timings/2026-10-02", 0, id="a closed day"),
            pytest.param("timings/2024-03-02", 4, id="a drill with two windows"),
        ],
    )
    def test_one_date(self, client: ExchangeClient, path: str, rows: int) -> None:
        assert len(client.data(f"/v2/market/{path}")) == rows

    def test_nfo_closes_at_1540(self, client: ExchangeClient) -> None:
        rows = client.data("/v2/market/timings/2026-09-16")
        closes = {
            row["exchange"]: f"{datetime.fromtimestamp(row['end_time'] / 1000, IST):%H:%M}"
            for row in rows
        }
        assert closes == {"NSE": "15:30", "NFO": "15:40"}

    @pytest.mark.parametrize(
        ("at", "exchange", "status", "auction"),
        [
            pytest.param("09:05", "NSE", "PRE_OPEN_START", "PRE_OPEN_START", id="pre-open"),
            pytest.param("09:10", "NSE", "PRE_OPEN_END", "PRE_OPEN_END", id="matching"),
            pytest.param("11:00", "NSE", "NORMAL_OPEN", "NORMAL_OPEN", id="trading"),
            pytest.param("15:17", "NSE", "NORMAL_OPEN", "CTS_CLOSE", id="auction begins"),
            pytest.param("15:26", "NSE", "NORMAL_OPEN", "CAS_M_STOP", id="limit orders only"),
            pytest.param("15:35", "NFO", "NORMAL_OPEN", None, id="derivatives trade on"),
            pytest.param("18:00", "NSE", "CLOSING_END", "CLOSING_END", id="evening"),
        ],
    )
    def test_status(
        self, client: ExchangeClient, at: str, exchange: str, status: str, auction: str | None
    ) -> None:
        client.clock.set_to(f"2026-09-16 {at}")
        document = client.data(f"/v2/market/status/{exchange}")

        assert document["status"] == status
        assert document.get("cas_eligible_status", {}).get("status") == auction

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            pytest.param("status/NSE_FO", "UDAPI1089", id="a segment for an exchange"),
            pytest.param("timings/tomorrow", "UDAPI1088", id="no date"),
        ],
    )
    def test_refusals(self, client: ExchangeClient, path: str, code: str) -> None:
        assert client.refusal(f"/v2/market/{path}") == (400, code)


class TestTokens:
    @pytest.mark.parametrize(
        "path",
        [
            "/v3/historical-candle/NSE_INDEX%7CNifty%2050/minutes/1/2026-09-11/2026-09-11",
            "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1",
            "/v2/market/holidays",
            "/v2/market/timings/2026-09-16",
            "/market-quote/instruments/exchange/NSE.json.gz",
        ],
    )
    def test_paths_that_need_no_token(self, client: ExchangeClient, path: str) -> None:
        client.token = None
        assert client.request(path).status == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/v3/market-quote/ltp?instrument_key=NSE_INDEX%7CNifty+50",
            "/v3/market-quote/ohlc?instrument_key=NSE_INDEX%7CNifty+50&interval=1d",
            "/v2/option/contract?instrument_key=NSE_INDEX%7CNifty+50",
            "/v2/option/chain?instrument_key=NSE_INDEX%7CNifty+50&expiry_date=2026-09-22",
            "/v2/market/status/NSE",
        ],
    )
    @pytest.mark.parametrize("token", [None, ""])
    def test_paths_that_need_a_token(
        self, client: ExchangeClient, path: str, token: str | None
    ) -> None:
        client.token = token
        assert client.refusal(path) == (401, "UDAPI100050")

    @pytest.mark.parametrize(
        ("token", "first_used", "used", "valid"),
        [
            pytest.param("t", "2026-09-16 10:00", "2026-09-17 03:29:59", True, id="valid that day"),
            pytest.param(
                "t", "2026-09-16 10:00", "2026-09-17 03:30:00", False, id="expires at 03:30"
            ),
            pytest.param(
                "t", "2026-09-16 02:30", "2026-09-16 03:30:00", False, id="the same morning"
            ),
            pytest.param("paper-analytics", "2026-09-16 02:30", "2027-09-01", True, id="analytics"),
        ],
    )
    def test_expiry(
        self, client: ExchangeClient, token: str, first_used: str, used: str, valid: bool
    ) -> None:
        client.token = token
        client.clock.set_to(first_used)
        client.ltp(NIFTY)
        client.clock.set_to(used)

        response = client.request(client.ltp_path(NIFTY))
        assert response.status == (200 if valid else 401)

    def test_an_incomplete_login_is_refused(self, client: ExchangeClient) -> None:
        response = client.request(
            "/v2/login/authorization/token", "POST", fields={"code": "x"}, encode_multipart=False
        )
        assert response.status == 401


INPUTS = ["", "0", "-1", "0001-01-01", "9999-12-31", "2026-02-30", "%00", "days", NIFTY, "NSE_FO|1"]
inputs = st.sampled_from([quote(word, safe="%") for word in INPUTS])


@settings(max_examples=60)
@given(path=st.sampled_from(PATHS), fields=st.tuples(inputs, inputs, inputs, inputs, inputs))
@example(path=PATHS[2], fields=("0001-01-01",) * 5)
def test_no_request_breaks_the_exchange(
    client: ExchangeClient, path: str, fields: tuple[str, ...]
) -> None:
    client.clock.set(client.clock.now() + timedelta(minutes=1))
    assert client.request(path.format(*fields)).status < 500


def test_an_unknown_path_is_an_error_in_the_envelope(client: ExchangeClient) -> None:
    assert client.refusal("/v2/nothing") == (404, "UDAPI100060")


def test_a_line_longer_than_16_kb_is_refused(client: ExchangeClient) -> None:
    assert client.request(f"/v3/market-quote/ltp?instrument_key={'X' * 17_000}").status == 400


def test_a_port_in_use_is_a_clear_error(client: ExchangeClient) -> None:
    from data_fetch.core.errors import SetupError

    port = int(client.exchange.url.rsplit(":", 1)[1])
    with pytest.raises(SetupError, match=f"{port}.*Choose another port"):
        PaperExchange(client.clock, port=port).start()


def test_stopping_twice_is_harmless(client: ExchangeClient) -> None:
    url = client.exchange.url
    client.exchange.stop()
    client.exchange.stop()

    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", url, retries=False)
