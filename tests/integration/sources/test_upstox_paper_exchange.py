"""The client, the pacer and the real SDK against the paper exchange, faults and all."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from paced import file_pacer

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.errors import (
    AccessDenied,
    RequestRefused,
    TokenRejected,
    UnknownInstrument,
)
from data_fetch.core.market.session import instant_of, minute_number
from data_fetch.core.ports import Lane
from data_fetch.core.quotes.quotes import QuoteResponse
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults.faults import Fault
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext, RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_rows import (
    NO_PRICE,
    NO_ROW,
    OF_ANOTHER_DAY,
    ParsedCandles,
    read_candles,
)
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.ohlc_rows import read_ohlc_rows
from data_fetch.sources.upstox.token import TokenKeeper

# 10:00 in India on a trading day.
MORNING = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
SYMBOLS = ("RELIANCE", "TCS", "INFY", "NIFTY")


class Desk(NamedTuple):
    """A client of an exchange, and all that is listed there."""

    clock: VirtualClock
    api: UpstoxApi
    client: UpstoxLtpClient
    keys: list[str]
    env_file: Path
    market: PaperMarket

    def bulk(self) -> RequestContext:
        return self.api.context(Lane.BACKFILL)

    def key(self, symbol: str) -> str:
        listings = self.market.listings.values()
        return next(listing.key for listing in listings if listing.symbol == symbol)

    def contract(self, symbol: str, expiry: date) -> str:
        """The live key of one contract that is listed now."""
        contracts = self.market.contracts.on(MORNING.date()).values()
        return next(
            contract.key
            for contract in contracts
            if contract.underlying.symbol == symbol and contract.expiry == expiry
        )


@contextmanager
def trading(folder: Path, *faults: Fault) -> Iterator[Desk]:
    clock = VirtualClock(MORNING)
    hold = clock.hold()
    env_file = folder / ".env"
    pacer = file_pacer(folder, clock)
    with PaperExchange(clock, symbols=SYMBOLS, faults=faults) as exchange:
        api = UpstoxApi(
            world=World.PAPER,
            base_url=exchange.url,
            token=TokenKeeper("first-token", env_file=env_file, in_environment=False),
            pacing=pacer,
            clock=clock,
            timeout_seconds=1,
            policy=RetryPolicy(clock, random=Random(1)),
        )
        # Stocks also have other series; the exchange lists the index first.
        keys = [
            key for key, listing in exchange.market.listings.items() if listing.symbol in SYMBOLS
        ]
        yield Desk(clock, api, UpstoxLtpClient(api, clock), keys, env_file, exchange.market)
    pacer.close()
    hold.release()


def ask(folder: Path, *faults: Fault) -> QuoteResponse:
    with trading(folder, *faults) as desk:
        response = desk.client.quotes(desk.keys)
        assert len(response.records) + len(response.rejected) + len(response.absent) == len(
            desk.keys
        )
        return response


def test_all_that_is_listed_has_a_quote(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        response = desk.client.quotes(desk.keys)
        assert [quote.instrument_key for quote in response.records] == desk.keys
        assert response.requests == 1
        assert response.received_at == MORNING


@pytest.mark.parametrize(
    "kind",
    [
        "rate-limited",
        "rate-limited-in-200",
        "error-in-200",
        "html-in-200",
        "server-error",
        "maintenance",
        "reset",
        "slow-body",
        "cut-mid-body",
        "truncated-json",
    ],
)
def test_passing_trouble_costs_one_more_request(tmp_path: Path, kind: str) -> None:
    response = ask(tmp_path, Fault(kind=kind, api="ltp", times=1))
    assert response.requests == 2
    assert not response.absent
    assert response.error is None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nulls", "last_price is missing"),
        ("negative-price", "cannot be"),
        ("nan-price", "last_price is nan"),
    ],
)
def test_poisoned_rows_are_rejected(tmp_path: Path, kind: str, reason: str) -> None:
    response = ask(tmp_path, Fault(kind=kind, api="ltp", times=1))
    assert response.rejected
    assert all(reason in row.reason for row in response.rejected)


def test_numbers_as_text_are_read(tmp_path: Path) -> None:
    poisoned = ask(tmp_path, Fault(kind="strings-for-numbers", api="ltp", times=1))
    (tmp_path / "plain").mkdir()
    assert poisoned.records == ask(tmp_path / "plain").records


def test_empty_response_is_a_fault_and_requested_again(tmp_path: Path) -> None:
    response = ask(tmp_path, Fault(kind="empty-data", api="ltp", times=1))
    assert response.records
    assert not response.absent


def test_blocked_address_is_reported(tmp_path: Path) -> None:
    with (
        trading(tmp_path, Fault(kind="cloudflare-403", api="ltp")) as desk,
        pytest.raises(AccessDenied, match="used Cloudflare to restrict access"),
    ):
        desk.client.quotes(desk.keys)


def test_key_the_exchange_does_not_know(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        response = desk.client.quotes([*desk.keys, "NSE_EQ|INE000000000"])
        assert response.unknown == ("NSE_EQ|INE000000000",)
        assert len(response.records) == len(desk.keys)


def test_token_dies_at_0330_and_its_successor_is_found(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        assert desk.client.quotes(desk.keys).records
        desk.clock.sleep(timedelta(hours=18))
        with pytest.raises(TokenRejected, match="no restart is needed"):
            desk.client.quotes(desk.keys)
        desk.env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
        assert desk.client.quotes(desk.keys).records


def test_pacing_meets_the_windows_of_the_exchange_exactly(tmp_path: Path) -> None:
    """Every request is let through, and none is held back longer than it must be."""
    with trading(tmp_path) as desk:
        for _ in range(520):
            desk.api.ltp(desk.keys[:1], desk.bulk())
        assert desk.api.requests_sent == 520, "the exchange refused none"
        assert timedelta(seconds=60) <= desk.clock.now() - MORNING <= timedelta(seconds=61)


class TestCandles:
    """What `UpstoxApi` brings and `read_candles` makes of it; TCS has a row in every minute."""

    LAST_DAYS = (date(2026, 9, 10), date(2026, 9, 15))

    def history(
        self, folder: Path, *faults: Fault, interval: CandleInterval = CandleInterval.MINUTE
    ) -> ParsedCandles:
        with trading(folder, *faults) as desk:
            key = desk.key("TCS")
            response = desk.api.historical_candles(key, interval, *self.LAST_DAYS, desk.bulk())
            return self.read(desk, key, response, interval, *self.LAST_DAYS)

    def today(self, folder: Path, *faults: Fault) -> ParsedCandles:
        with trading(folder, *faults) as desk:
            key, minute = desk.key("TCS"), CandleInterval.MINUTE
            response = desk.api.intraday_candles(key, minute, desk.bulk())
            return self.read(desk, key, response, minute, *[MORNING.date()] * 2)

    def read(
        self, desk: Desk, key: str, response: Response, interval: CandleInterval, *days: date
    ) -> ParsedCandles:
        return read_candles(
            response,
            instrument_key=key,
            interval=interval,
            first_day=days[0],
            last_day=days[1],
            received_at=desk.clock.now(),
        )

    def test_history_holds_every_minute(self, tmp_path: Path) -> None:
        read = self.history(tmp_path)
        # The 14th is a holiday after a weekend.
        assert (len(read.block), read.complete, read.rejected_rows) == (3 * 375, True, {})

    def test_days_as_well(self, tmp_path: Path) -> None:
        read = self.history(tmp_path, interval=CandleInterval.DAY)
        assert (len(read.block), read.complete) == (3, True)

    def test_today_ends_with_the_last_minute_that_is_over(self, tmp_path: Path) -> None:
        """At 10:00:00 the minute from 9:59 might still be written on the provider's clock."""
        read = self.today(tmp_path)
        assert instant_of(read.block.starts[-1]) == MORNING - timedelta(minutes=2)
        assert (len(read.block), read.complete) == (44, True)
        assert (read.rejected_rows, read.still_forming) == ({}, 1)

    @pytest.mark.parametrize("kind", ["shuffled-candles", "duplicated-candles"])
    def test_disorder_changes_nothing(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "plain").mkdir()
        assert self.history(tmp_path, Fault(kind=kind)) == self.history(tmp_path / "plain")

    def test_lost_minutes_are_lacking_in_a_complete_response(self, tmp_path: Path) -> None:
        first = datetime(2026, 9, 11, 10, 0, tzinfo=IST)
        lost = Fault(kind="lost-minutes", bars_from=first, bars_until=first + timedelta(minutes=7))
        read = self.history(tmp_path, lost)
        assert (len(read.block), read.complete) == (3 * 375 - 7, True)
        assert minute_number(first) not in read.block.starts

    @pytest.mark.parametrize(
        ("kind", "kept", "rejected_rows"),
        [
            pytest.param("partial-success", 1125, {}, id="in part"),
            pytest.param("unparsable-candle", 1125, {NO_ROW: 1}, id="rubbish"),
            pytest.param("future-candles", 1125, {OF_ANOTHER_DAY: 1}, id="of tomorrow"),
            pytest.param("nulls", 0, {NO_PRICE: 1125}, id="nulls"),
            pytest.param("nan-price", 0, {NO_PRICE: 1125}, id="NaN"),
            pytest.param("negative-price", 0, {NO_PRICE: 1125}, id="negative"),
        ],
    )
    def test_poisoned_responses_are_not_complete(
        self, tmp_path: Path, kind: str, kept: int, rejected_rows: dict[str, int]
    ) -> None:
        read = self.history(tmp_path, Fault(kind=kind))
        assert (len(read.block), read.complete, read.rejected_rows) == (kept, False, rejected_rows)

    def test_yesterdays_bars_are_not_todays(self, tmp_path: Path) -> None:
        read = self.today(tmp_path, Fault(kind="yesterdays-bars"))
        assert (len(read.block), read.complete) == (0, False)
        assert read.rejected_rows == {OF_ANOTHER_DAY: 375}

    def test_numbers_as_text_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "plain").mkdir()
        poisoned = self.history(tmp_path, Fault(kind="strings-for-numbers"))
        assert poisoned == self.history(tmp_path / "plain")

    def test_a_window_of_more_than_a_month_is_refused(self, tmp_path: Path) -> None:
        first, last = date(2026, 8, 1), date(2026, 8, 31)
        with trading(tmp_path) as desk:
            key, minute = desk.key("TCS"), CandleInterval.MINUTE
            assert desk.api.historical_candles(key, minute, first, last, desk.bulk()).data[
                "candles"
            ]
            with pytest.raises(RequestRefused, match="UDAPI1148") as refused:
                desk.api.historical_candles(
                    key, minute, first, last + timedelta(days=2), desk.bulk()
                )
        assert refused.value.code == "UDAPI1148"

    def test_a_contract_is_requested_by_its_dated_key_once_it_has_expired(
        self, tmp_path: Path
    ) -> None:
        minute, expiry = CandleInterval.MINUTE, date(2026, 9, 22)
        with trading(tmp_path) as desk:
            live_key = desk.contract("NIFTY", expiry)
            before = desk.api.historical_candles(live_key, minute, *self.LAST_DAYS, desk.bulk())
            desk.clock.sleep(timedelta(days=7))
            desk.env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
            with pytest.raises(UnknownInstrument):
                desk.api.historical_candles(live_key, minute, *self.LAST_DAYS, desk.bulk())
            dated = f"{live_key}|22-09-2026"
            after = desk.api.expired_candles(dated, minute, *self.LAST_DAYS, desk.bulk())
        assert after.data == before.data
        assert after.data["candles"]

    def test_expired_contracts_without_the_plan(self, tmp_path: Path) -> None:
        with (
            trading(tmp_path, Fault(kind="plan-needed")) as desk,
            pytest.raises(AccessDenied, match="Upstox Plus plan"),
        ):
            desk.api.expired_candles(
                "NSE_FO|1|15-09-2026",
                CandleInterval.DAY,
                *self.LAST_DAYS,
                desk.bulk(),
            )


def test_running_bars_become_the_minutes_of_history(tmp_path: Path) -> None:
    """Requested once a minute, they are equal to the later intraday candles."""
    minute = CandleInterval.MINUTE
    with trading(tmp_path) as desk:
        key = desk.key("TCS")
        bars = []
        for _ in range(5):
            desk.clock.sleep(timedelta(minutes=1))
            data = desk.api.ohlc(desk.keys, desk.bulk()).data
            read = read_ohlc_rows(data, desk.keys, desk.clock.now())
            assert {block.instrument_key for block in read.records} == set(desk.keys)
            bars += [block for block in read.records if block.instrument_key == key]
        desk.clock.sleep(timedelta(seconds=5))
        candles = read_candles(
            desk.api.intraday_candles(key, minute, desk.bulk()),
            instrument_key=key,
            interval=minute,
            first_day=MORNING.date(),
            last_day=MORNING.date(),
            received_at=desk.clock.now(),
        ).block
    assert bars == [candles.chosen([row]) for row in range(len(candles) - 5, len(candles))]


def test_calendar_questions(tmp_path: Path) -> None:
    with trading(tmp_path) as desk:
        exchanges = {
            row["exchange"]
            for row in desk.api.timings(date(2026, 9, 16), desk.api.context(Lane.BACKFILL))
        }
        assert {"NSE", "NFO"} <= exchanges
        assert all(
            "date" in row for row in islice(desk.api.holidays(desk.api.context(Lane.BACKFILL)), 5)
        )
        assert desk.api.market_status("NSE", desk.api.context(Lane.LIVE))["status"]
