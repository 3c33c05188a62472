"""The market data feed of the paper exchange: frames, clock, limits, recordings."""

import hashlib
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from queue import Queue
from random import Random
from threading import Thread
from typing import Any

import orjson
import pytest
import upstox_client
import websocket
from exchange_client import SYMBOLS, ExchangeClient, ManualClock, ist
from feed_client import (
    FEED,
    PATIENCE_SECONDS,
    Closed,
    FeedClient,
    Frame,
    connected,
    connected_to,
    packets,
    parsed,
    socket_url,
    trade_in,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import paper_exchange
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as proto
from websocket import ABNF

from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.world import PAPER_MARK
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.feed import sockets
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.upstox.feed_limits import FeedRules, Plan

NIFTY = "NSE_INDEX|Nifty 50"
EXPIRY = "2026-09-22"
MODES = ("ltpc", "option_greeks", "full", "full_d30")


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, feed_rules=FeedRules(Plan.PLUS)) as exchange:
        yield ExchangeClient(exchange, clock)


def leg_of(client: ExchangeClient, expiry: str = EXPIRY) -> str:
    rows = client.chain("NIFTY", expiry)
    return str(rows[len(rows) // 2]["call_options"]["instrument_key"])


class TestTheOfficialStreamer:
    """`MarketDataStreamerV3` with its address swapped."""

    @pytest.fixture
    def at_the_exchange(
        self, client: ExchangeClient, monkeypatch: pytest.MonkeyPatch
    ) -> ExchangeClient:
        original = websocket.WebSocketApp

        def swapped(_: str, **options: Any) -> websocket.WebSocketApp:
            return original(socket_url(client), **options)

        monkeypatch.setattr(websocket, "WebSocketApp", swapped)
        return client

    @pytest.mark.parametrize("mode", MODES)
    def test_receives_each_mode(self, at_the_exchange: ExchangeClient, mode: str) -> None:
        client = at_the_exchange
        configuration = upstox_client.Configuration()
        configuration.access_token = client.token
        keys = [NIFTY, client.key("TCS"), leg_of(client)]
        streamer = upstox_client.MarketDataStreamerV3(
            upstox_client.ApiClient(configuration), keys, mode
        )
        received: Queue[dict[str, Any]] = Queue()
        streamer.on("message", received.put)
        streamer.connect()
        try:
            info, snapshot = (received.get(timeout=PATIENCE_SECONDS) for _ in range(2))
            client.advance("2026-09-16 11:23:50")
            live = received.get(timeout=PATIENCE_SECONDS)
        finally:
            streamer.disconnect()

        assert info["type"] == "market_info"
        assert info["marketInfo"]["segmentStatus"]["NSE_FO"] == "NORMAL_OPEN"
        assert "type" not in snapshot, "as initial_feed is 0, which is not on the wire"
        assert live["type"] == "live_feed"
        assert set(snapshot["feeds"]) == set(live["feeds"]) == set(keys)
        shown = {feed.get("requestMode", "ltpc") for feed in live["feeds"].values()}
        assert shown == {{"full": "full_d5"}.get(mode, mode)}


class TestConnecting:
    def authorize(self, client: ExchangeClient) -> str:
        address: str = client.data(f"{FEED}/authorize")["authorized_redirect_uri"]
        return address.removeprefix(socket_url(client, ""))

    def test_both_ways_lead_to_a_socket(self, client: ExchangeClient) -> None:
        for path in (FEED, self.authorize(client)):
            with connected(client, path) as feed:
                [info] = parsed(feed.drain())
                assert info.type == proto.market_info

    def test_the_redirect(self, client: ExchangeClient) -> None:
        response = client.request(FEED, redirect=False)

        assert response.status == 302
        assert response.headers["Location"].startswith(
            socket_url(client, "/market-data-feeder/v3/upstox-developer-api/feeds?requestId=")
        )

    def test_the_handshake_is_marked(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            assert PAPER_MARK.lower() in feed.socket.getheaders()

    @pytest.mark.parametrize(
        ("kind", "host"), [("feed-nowhere", "ws://127.0.0.1:9/"), ("feed-used-code", "ws://127")]
    )
    def test_faults_of_the_address(self, client: ExchangeClient, kind: str, host: str) -> None:
        client.inject(kind=kind, api="feed-authorize", times=1)
        address = client.data(f"{FEED}/authorize")["authorized_redirect_uri"]

        assert address.startswith(host)
        assert client.data(f"{FEED}/authorize")["authorized_redirect_uri"] != address
        with pytest.raises((OSError, websocket.WebSocketBadStatusException)):
            websocket.create_connection(address, timeout=PATIENCE_SECONDS)

    @pytest.mark.parametrize("path", [f"{FEED}/authorize", FEED])
    def test_a_token_is_needed(self, client: ExchangeClient, path: str) -> None:
        client.token = None
        assert client.refusal(path) == (401, "UDAPI100050")

    def test_the_request_counts_in_the_rate_windows(self, client: ExchangeClient) -> None:
        for _ in range(50):
            client.data(f"{FEED}/authorize")
        assert client.refusal(f"{FEED}/authorize") == (429, "UDAPI10005")

    @pytest.mark.parametrize("case", ["used", "late", "unknown", "of another request"])
    def test_a_code_is_good_for_one_connection(self, client: ExchangeClient, case: str) -> None:
        path, other = self.authorize(client), self.authorize(client)
        match case:
            case "used":
                with connected(client, path) as feed:
                    feed.drain()
            case "late":
                client.advance("2026-09-16 11:24:31")
            case "unknown":
                path += "x"
            case "of another request":
                path = f"{path.partition('&')[0]}&{other.partition('&')[2]}"

        with (
            pytest.raises(websocket.WebSocketBadStatusException) as refused,
            connected(client, path),
        ):
            pass
        assert refused.value.status_code == 403


class TestCommands:
    def test_in_a_text_frame(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            request = {"guid": "1", "method": "sub", "data": {"instrumentKeys": [NIFTY]}}
            feed.socket.send(orjson.dumps(request).decode())

            packet = packets(feed.drain())[NIFTY]

        assert packet.WhichOneof("FeedUnion") == "ltpc", "the mode of a request without one"

    def test_the_mode_is_changed(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        with connected(client) as feed:
            feed.subscribe([key])
            feed.send("change_mode", [key, NIFTY], "full")
            client.advance("2026-09-16 11:23:35")
            after = packets(feed.drain())

        assert set(after) == {key}, "what is not subscribed has no mode"
        assert after[key].fullFeed.marketFF.ltpc.ltp

    def test_a_subscription_ends(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        with connected(client) as feed:
            feed.subscribe([key, NIFTY])
            feed.send("unsub", [key])
            feed.drain()
            client.advance("2026-09-16 11:23:50")
            assert set(packets(feed.drain())) == {NIFTY}

    def test_an_unknown_key_has_no_packet(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            assert set(packets(feed.subscribe(["NSE_EQ|NOBODY", NIFTY]))) == {NIFTY}

    @pytest.mark.parametrize(
        ("frame", "method", "error"),
        [
            pytest.param(b"{", "", "Invalid JSON", id="no JSON"),
            pytest.param(b'{"method": "halt"}', "halt", "Invalid method", id="method"),
            pytest.param(b'{"method": "sub"}', "sub", "Invalid instrumentKeys", id="no keys"),
            pytest.param(
                b'{"method": "sub", "data": {"instrumentKeys": [], "mode": "x"}}',
                "sub",
                "Invalid mode",
                id="mode",
            ),
        ],
    )
    def test_a_bad_one_is_answered_by_text(
        self, client: ExchangeClient, frame: bytes, method: str, error: str
    ) -> None:
        with connected(client) as feed:
            feed.drain()
            feed.socket.send_binary(frame)
            [answer] = feed.drain()

        assert orjson.loads(answer) == {"status": "failed", "method": method, "error": error}


INSTANTS = (
    pytest.param("2026-09-16 08:10:00", EXPIRY, id="before the pre-open"),
    pytest.param("2026-09-16 09:05:00", EXPIRY, id="pre-open"),
    pytest.param("2026-09-16 09:15:00", EXPIRY, id="open"),
    pytest.param("2026-09-16 09:15:05", EXPIRY, id="first trade"),
    pytest.param("2026-09-16 09:16:02", EXPIRY, id="second minute without a trade yet"),
    pytest.param("2026-09-16 11:23:31", EXPIRY, id="in the day"),
    pytest.param("2026-09-16 15:14:59", EXPIRY, id="end of continuous trading"),
    pytest.param("2026-09-16 15:17:00", EXPIRY, id="auction without orders"),
    pytest.param("2026-09-16 15:24:31", EXPIRY, id="auction"),
    pytest.param("2026-09-16 15:28:20", EXPIRY, id="print"),
    pytest.param("2026-09-16 15:30:00", EXPIRY, id="close of the cash market"),
    pytest.param("2026-09-16 15:39:50", EXPIRY, id="last trade of derivatives"),
    pytest.param("2026-09-16 15:40:00", EXPIRY, id="close of derivatives"),
    pytest.param("2026-09-16 20:00:00", EXPIRY, id="evening"),
    pytest.param("2026-09-17 00:00:00", EXPIRY, id="midnight"),
    pytest.param("2026-09-19 11:00:00", EXPIRY, id="Saturday"),
    pytest.param("2026-07-31 15:29:51", "2026-08-04", id="last day without auction"),
    pytest.param("2026-10-02 11:00:00", "2026-10-06", id="holiday"),
    pytest.param("2025-10-21 13:50:20", "2025-10-28", id="Muhurat"),
    pytest.param("2025-10-21 12:00:00", "2025-10-28", id="before Muhurat"),
    pytest.param("2025-10-21 15:00:00", "2025-10-28", id="after Muhurat"),
)
# Seconds by which a clock is set on, or back.
STEPS = (1, 4, 15, 60, 400, 3_600, 20_000, 86_400, 200_000, -1, -900, -86_400)


@pytest.fixture(scope="class")
def law() -> Iterator[ExchangeClient]:
    """An exchange for many examples, with quiet minutes in all of its stocks."""
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS, illiquid=1.0) as exchange:
        yield ExchangeClient(exchange, clock)


class TestEqualToRest:
    """The last packet of a key is what the REST side answers at the same instant."""

    @pytest.mark.parametrize(("at", "expiry"), INSTANTS)
    def test_in_the_snapshot(self, law: ExchangeClient, at: str, expiry: str) -> None:
        law.advance(at)
        keys = chosen_keys(law, expiry)
        with connected(law) as feed:
            snapshot = packets(feed.subscribe(keys, "full"))

        assert_equal(law, snapshot, keys)
        assert_legs_equal(law, snapshot, expiry)

    @pytest.mark.parametrize(("at", "expiry"), INSTANTS)
    def test_when_followed_from_the_minute_before(
        self, law: ExchangeClient, at: str, expiry: str
    ) -> None:
        law.advance(str(datetime.fromisoformat(at) - timedelta(seconds=61)))
        keys = chosen_keys(law, expiry)
        with connected(law) as feed:
            seen = packets(feed.subscribe(keys, "full"))
            for seconds in (46, 31, 16, 5, 4, 3, 2, 1, 0):
                law.advance(str(datetime.fromisoformat(at) - timedelta(seconds=seconds)))
                latest = packets(feed.drain())
                seen |= latest

        assert_equal(law, seen, keys)
        # Greeks and books change all the time: they are those of the packet's instant.
        assert_legs_equal(law, latest, expiry)

    @settings(max_examples=60)
    @given(
        day=st.dates(date(2025, 8, 1), date(2026, 11, 20)),
        second=st.integers(8 * 3600, 17 * 3600),
        steps=st.lists(st.sampled_from(STEPS), max_size=6),
        seed=st.integers(0, 2**32),
    )
    def test_however_the_clock_is_set(
        self, law: ExchangeClient, day: date, second: int, steps: list[int], seed: int
    ) -> None:
        at = datetime.fromisoformat(f"{day}") + timedelta(seconds=second)
        law.advance(str(at))
        keys = Random(seed).sample(listed_keys(law), 12)
        with connected(law) as feed:
            seen = packets(feed.subscribe(keys, "full"))
            for step in steps:
                at += timedelta(seconds=step)
                law.advance(str(at))
                seen |= packets(feed.drain())

        assert_equal(law, seen, [key for key in keys if key in listed_keys(law)])


def test_a_pong_comes_after_the_frames_that_are_in_the_making(
    law: ExchangeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A request that sets the clock does not wait for them then.
    monkeypatch.setattr(sockets, "SLOW_READER_SECONDS", 0)
    law.advance("2026-09-16 11:00:00")
    keys = listed_keys(law)[:200]
    with connected(law) as feed:
        seen = packets(feed.subscribe(keys, "full"))
        law.advance("2026-09-17 11:00:00")
        seen |= packets(feed.drain())

    # Each bar is a request, and those are limited.
    assert_equal(law, seen, keys[:8])


def listed_keys(client: ExchangeClient) -> list[str]:
    market = client.exchange.market
    return [*market.listings, *market.contracts.on(Moment.of(client.clock.now()).day)]


def chosen_keys(client: ExchangeClient, expiry: str) -> list[str]:
    rows = client.chain("NIFTY", expiry)
    # Those far from the money are rarely traded.
    legs = [rows[at]["call_options"]["instrument_key"] for at in (0, len(rows) // 2, -1)]
    shares = [client.key(symbol) for symbol in ("RELIANCE", "IDEA", "PAPERMILL")]
    return [NIFTY, "NSE_INDEX|India VIX", *shares, *legs, client.future("RELIANCE")]


def assert_equal(client: ExchangeClient, seen: dict[str, Any], keys: list[str]) -> None:
    quotes = client.ltp(*keys) if keys else {}
    assert set(keys) <= set(seen)
    for key in keys:
        full, quote = seen[key].fullFeed, quotes[key]
        trade = trade_in(seen[key])
        assert (trade.ltp, trade.ltq, trade.cp) == (
            quote["last_price"],
            quote["ltq"],
            quote["cp"],
        )
        assert trade.ltt <= client.clock.now().timestamp() * 1000
        if full.HasField("marketFF"):
            assert full.marketFF.vtt == quote["volume"]
        assert_bars_equal(client, key, full)


def assert_bars_equal(client: ExchangeClient, key: str, full: Any) -> None:
    kind = full.indexFF if full.HasField("indexFF") else full.marketFF
    day, *minutes = kind.marketOHLC.ohlc
    shown = client.ohlc(key, "1d")["live_ohlc"]
    assert (day.interval, day.ts) == ("1d", shown["ts"])
    assert bar(day) == [shown[name] for name in ("open", "high", "low", "close", "volume")]
    rows = client.intraday(key)
    candles = {at_ms(row[0]): row[1:6] for row in rows if has_bar(key, row)}
    newest = sorted(candles)[-2:]
    assert all(minute.interval == "I1" for minute in minutes)
    if candles:
        assert [minute.ts for minute in minutes] == newest
        assert [bar(minute) for minute in minutes] == [candles[ts] for ts in newest]
        assert key.startswith("NSE_FO") == (full.marketFF.oi > 0)
    if rows and key.startswith("NSE_FO"):
        assert full.marketFF.oi == rows[0][6]


def assert_legs_equal(client: ExchangeClient, seen: dict[str, Any], expiry: str) -> None:
    rows = client.chain("NIFTY", expiry)
    truth = client.chain_truth("NIFTY", expiry)["legs"]
    shown = [row[side] for row in rows for side in ("call_options", "put_options")]
    for leg, fair in zip(shown, truth, strict=True):
        if leg["instrument_key"] in seen:
            assert_leg_equal(seen[leg["instrument_key"]].fullFeed.marketFF, leg, fair)


def assert_leg_equal(full: Any, leg: dict[str, Any], fair: dict[str, Any]) -> None:
    market, greeks = leg["market_data"], leg["option_greeks"]
    best = full.marketLevel.bidAskQuote[0]
    assert full.oi == market["oi"]
    assert (best.bidP, best.bidQ) == (market["bid_price"], market["bid_qty"])
    assert (best.askP, best.askQ) == (market["ask_price"], market["ask_qty"])
    for name in ("delta", "theta", "gamma", "vega"):
        assert getattr(full.optionGreeks, name) == greeks[name]
    assert full.optionGreeks.rho == pytest.approx(fair["rho"], abs=0.00005)
    assert full.iv == pytest.approx(greeks["iv"] / 100)


def at_ms(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


def bar(minute: Any) -> list[float]:
    return [minute.open, minute.high, minute.low, minute.close, minute.vol]


def has_bar(key: str, row: list[Any]) -> bool:
    """Whether a candle has a trade; an index has a level in every minute, without volume."""
    return bool(row[5]) or key.startswith("NSE_INDEX")


class TestTheClock:
    def test_an_index_ticks_each_second_and_a_stock_when_it_trades(
        self, client: ExchangeClient
    ) -> None:
        client.advance("2026-09-16 11:23:49")
        tcs, seen = client.key("TCS"), []
        with connected(client) as feed:
            feed.subscribe([NIFTY, tcs])
            for second in ("50", "51", "52", "53"):
                client.advance(f"2026-09-16 11:23:{second}")
                seen.append(set(packets(feed.drain())))

        assert seen == [{NIFTY, tcs}, {NIFTY}, {NIFTY}, {NIFTY}]

    def test_nothing_is_sent_while_it_stands(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            feed.subscribe([NIFTY], "full")
            client.advance("2026-09-16 11:23:31")
            assert feed.drain() == []

    def test_a_clock_that_is_set_back(self, client: ExchangeClient) -> None:
        client.advance("2026-09-16 18:00:00")
        with connected(client) as feed:
            feed.subscribe([NIFTY])
            client.advance("2026-09-16 10:00:00")
            assert (
                trade_in(packets(feed.drain())[NIFTY]).ltp == client.ltp(NIFTY)[NIFTY]["last_price"]
            )

    @pytest.mark.parametrize(
        ("day", "changes"),
        [
            pytest.param(
                "2026-09-16",
                [
                    ("08:59:59", "NORMAL_CLOSE", "NORMAL_CLOSE"),
                    ("09:00:00", "PRE_OPEN_START", "PRE_OPEN_START"),
                    ("09:08:00", "PRE_OPEN_END", "PRE_OPEN_END"),
                    ("09:15:00", "NORMAL_OPEN", "NORMAL_OPEN"),
                    ("15:30:00", "NORMAL_CLOSE", "NORMAL_OPEN"),
                    ("15:40:00", "NORMAL_CLOSE", "NORMAL_CLOSE"),
                    ("16:00:00", "CLOSING_END", "CLOSING_END"),
                ],
                id="ordinary",
            ),
            pytest.param(
                "2025-10-21",
                [
                    ("13:44:59", "NORMAL_CLOSE", "NORMAL_CLOSE"),
                    ("13:45:00", "NORMAL_OPEN", "NORMAL_OPEN"),
                    ("14:45:00", "NORMAL_CLOSE", "NORMAL_CLOSE"),
                ],
                id="Muhurat",
            ),
        ],
    )
    def test_the_status_of_segments_is_sent_when_it_changes(
        self, client: ExchangeClient, day: str, changes: list[tuple[str, str, str]]
    ) -> None:
        client.advance(f"{day} {changes[0][0]}")
        seen = []
        with connected(client) as feed:
            for at, _, _ in changes:
                client.advance(f"{day} {at}")
                [info] = parsed(feed.drain())
                assert client.data("/v2/market/status/NFO")["status"] == status(info, "NSE_FO")
                assert client.data("/v2/market/status/NSE")["status"] == status(info, "NSE_EQ")
                seen.append((at, status(info, "NSE_EQ"), status(info, "NSE_FO")))
                client.advance(f"{day} {at}")
                assert feed.drain() == []
        assert seen == changes

    def test_steps_of_the_closing_auction(self, client: ExchangeClient) -> None:
        seen = []
        with connected(client) as feed:
            for at in ("15:15", "15:20", "15:25", "15:28"):
                feed.drain()
                client.advance(f"2026-09-16 {at}:00")
                [info] = parsed(feed.drain())
                seen.append(info.marketInfo.casMarketStatus["NSE_EQ"].status)

        assert seen == ["CTS_CLOSE", "CAS_LM_START", "CAS_M_STOP", "CAS_STOP"]

    def test_pings(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            feed.drain()
            assert feed.pings == 1, "one right after opening"
            for at in ("11:24:00", "11:24:01", "11:24:30", "11:25:01"):
                client.advance(f"2026-09-16 {at}")
            feed.drain()
        assert feed.pings == 3

    def test_a_virtual_clock_stops_at_every_tick_until_it_was_read(self) -> None:
        clock = VirtualClock(ist("2026-09-16 11:23:31"))
        hold, read = clock.hold(), []

        def reading(feed: FeedClient) -> None:
            with suppress(Closed):
                while True:
                    code, frame = feed.receive()
                    if code == ABNF.OPCODE_BINARY:
                        read.append((proto.FeedResponse.FromString(frame).currentTs, clock.now()))

        with (
            PaperExchange(clock, symbols=SYMBOLS) as exchange,
            connected(ExchangeClient(exchange, clock)) as feed,
        ):
            feed.subscribe([NIFTY])
            reader = Thread(target=reading, args=(feed,), daemon=True)
            reader.start()
            clock.sleep(timedelta(minutes=5))
            exchange.stop()
            reader.join()
        hold.release()

        ticks = [datetime.fromtimestamp(ms / 1000, IST) for ms, _ in read]
        first, seconds = ist("2026-09-16 11:23:35"), range(0, 295, 5)
        assert ticks[: len(seconds)] == [first + timedelta(seconds=number) for number in seconds]
        assert [at for _, at in read] == ticks

    def test_a_client_that_does_not_read_delays_no_other(self, client: ExchangeClient) -> None:
        with connected(client) as mute, connected(client) as feed:
            mute.send("sub", [NIFTY], "full")
            feed.subscribe([NIFTY], "full")
            client.inject(kind="feed-large-frame")
            for second in range(32, 40):
                client.advance(f"2026-09-16 11:23:{second}")
                assert set(packets(feed.drain())) == {NIFTY}


class TestTheClosingAuction:
    def packet(self, client: ExchangeClient, at: str, symbol: str = "RELIANCE") -> Any:
        client.advance(f"2026-09-16 {at}")
        key = client.key(symbol)
        with connected(client) as feed:
            return packets(feed.subscribe([key], "full"))[key].fullFeed.marketFF

    def test_has_an_indicative_price_and_quantities(self, client: ExchangeClient) -> None:
        full = self.packet(client, "15:26:00")

        assert full.casEligible
        assert full.rp == full.ltpc.ltp, "the last price of continuous trading"
        assert full.iep == full.ltpc.iep.value == pytest.approx(full.rp, rel=0.05)
        assert 0 < full.iiqM < full.iiqTotal < full.ieq

    def test_has_only_a_reference_price_before_orders(self, client: ExchangeClient) -> None:
        full = self.packet(client, "15:18:00")

        assert full.rp
        assert (full.iep, full.ieq, full.ltpc.HasField("iep")) == (0, 0, False)

    @pytest.mark.parametrize("at", ["15:14:59", "15:30:00"])
    def test_is_absent_outside_of_it(self, client: ExchangeClient, at: str) -> None:
        full = self.packet(client, at)
        assert (full.casEligible, full.rp, full.iep, full.ieq) == (False, 0, 0, 0)

    def test_is_absent_from_other_shares(self, client: ExchangeClient) -> None:
        assert not self.packet(client, "15:26:00", "PAPERMILL").casEligible


def status(info: Any, segment: str) -> str:
    return proto.MarketStatus.Name(info.marketInfo.segmentStatus[segment])


class TestLimits:
    @pytest.fixture
    def client(self) -> Iterator[ExchangeClient]:
        clock = ManualClock("2026-09-16 11:23:31")
        with PaperExchange(clock, symbols=SYMBOLS) as exchange:
            yield ExchangeClient(exchange, clock)

    def rule(self, client: ExchangeClient, **rules: str) -> None:
        assert client.request("/paper/feed", "POST", body=orjson.dumps(rules)).status == 200

    @pytest.mark.parametrize(("plan", "allowed"), [("standard", 2), ("plus", 5)])
    def test_connections(self, client: ExchangeClient, plan: str, allowed: int) -> None:
        self.rule(client, plan=plan)
        with ExitStack() as stack:
            for _ in range(allowed):
                stack.enter_context(connected(client)).drain()
            with (
                pytest.raises(websocket.WebSocketBadStatusException) as refused,
                connected(client),
            ):
                pass
        assert refused.value.status_code == 403

    def test_a_connection_too_many_is_ignored(self, client: ExchangeClient) -> None:
        self.rule(client, over_limit="ignore")
        with connected(client), connected(client), connected(client) as third:
            assert third.subscribe([NIFTY]) == []
            assert third.pings == 1

    def test_a_connection_too_many_is_closed(self, client: ExchangeClient) -> None:
        self.rule(client, over_limit="close")
        with connected(client), connected(client), connected(client) as third:
            with pytest.raises(Closed) as closed:
                third.drain()
            assert closed.value.code == 1008

    @pytest.mark.parametrize(
        ("mode", "alone", "mixed"),
        [("ltpc", 5000, 2000), ("option_greeks", 3000, 2000), ("full", 2000, 1500)],
    )
    def test_keys_of_a_mode(
        self, client: ExchangeClient, mode: str, alone: int, mixed: int
    ) -> None:
        other = "full" if mode == "ltpc" else "ltpc"
        self.rule(client, over_limit="ignore")
        keys = [f"NSE_EQ|{number}" for number in range(alone + 1)]
        for limit, others in ((alone, []), (mixed, [NIFTY])):
            with connected(client) as feed:
                feed.subscribe(others, other)
                feed.subscribe(keys, mode)
                state = orjson.loads(client.request("/paper/feed").data)
                [connection] = state["connections"]
                assert connection["keys"][mode] == limit

    def test_keys_beyond_are_refused(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            feed.drain()
            [answer] = feed.subscribe([NIFTY], "full_d30")
            assert orjson.loads(answer) == {
                "status": "failed",
                "method": "sub",
                "error": "Maximum number of instrument keys in mode full_d30 exceeded",
            }

    def test_keys_beyond_close_the_connection(self, client: ExchangeClient) -> None:
        self.rule(client, over_limit="close")
        with connected(client) as feed, pytest.raises(Closed) as closed:
            feed.subscribe([NIFTY], "full_d30")
        assert closed.value.code == 1008

    def test_an_unknown_rule_is_refused(self, client: ExchangeClient) -> None:
        response = client.request("/paper/feed", "POST", body=b'{"plan": "gold"}')
        assert (response.status, b"standard, plus" in response.data) == (400, True)


class TestRecording:
    def test_has_every_frame_with_its_instant(self, tmp_path: Path) -> None:
        clock = ManualClock("2026-09-16 11:23:31")
        with PaperExchange(clock, symbols=SYMBOLS, feed_recordings=tmp_path) as exchange:
            client = ExchangeClient(exchange, clock)
            client.inject(kind="feed-text-error", times=1)
            with connected(client) as feed:
                received = feed.subscribe([NIFTY, client.key("TCS")], "full")
                client.advance("2026-09-16 11:23:50")
                received += feed.drain()
        lines = lines_of(tmp_path / "feed-1.jsonl")

        assert digest(recorded(lines)) == digest(received)
        assert [line["at"][11:] for line in lines] == [
            *["11:23:31+05:30"] * 2,
            *["11:23:50+05:30"] * 2,
        ]
        assert [line["type"] for line in lines] == ["binary", "binary", "text", "binary"]

    def test_of_a_process_whose_clock_runs(self, tmp_path: Path) -> None:
        options = ("--record-feed", str(tmp_path / "frames"))
        with paper_exchange(tmp_path, "2026-09-16T11:23:31", 60, *options) as url:
            address = url.replace("http", "ws", 1) + FEED
            with connected_to(address, "paper-analytics") as feed:
                feed.send("sub", [NIFTY])
                received = []
                while len(received) < 5:
                    code, frame = feed.receive()
                    received += [frame] if code == ABNF.OPCODE_BINARY else []
            sent = recorded(lines_of(tmp_path / "frames" / "feed-1.jsonl"))

        assert digest(sent[:5]) == digest(received)
        first, *later = [frame.currentTs for frame in parsed(received)]
        assert later == sorted(later)
        assert first < later[-1]

    def test_is_the_same_in_every_process(self, tmp_path: Path) -> None:
        sent = []
        for name in ("first", "second"):
            clock, folder = ManualClock("2026-09-16 11:23:31"), tmp_path / name
            with PaperExchange(clock, symbols=SYMBOLS, feed_recordings=folder) as exchange:
                client = ExchangeClient(exchange, clock)
                with connected(client) as feed:
                    feed.subscribe([NIFTY, client.key("TCS"), client.future("TCS")], "full")
                    client.advance("2026-09-16 11:23:50")
                    feed.drain()
            sent.append(digest(recorded(lines_of(folder / "feed-1.jsonl"))))
        assert sent[0] == sent[1]


def lines_of(file: Path) -> list[dict[str, str]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


def recorded(lines: list[dict[str, str]]) -> list[Frame]:
    return [line["frame"] if line["type"] == "text" else b64decode(line["frame"]) for line in lines]


def digest(frames: list[Frame]) -> str:
    content = [each.encode() if isinstance(each, str) else each for each in frames]
    return hashlib.sha256(b"".join(content)).hexdigest()
