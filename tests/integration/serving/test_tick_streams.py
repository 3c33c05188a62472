"""Ticks of the paper market, from its feed to clients of both doors, through Redis and a file."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from account_shelf import PASSWORD, SECRET, accounts_in
from exchange_client import SYMBOLS, ExchangeClient, ManualClock, ist
from feed_stub import until
from served import Served, serving
from stream_clients import DOORS, Door, StreamClient, plain
from stream_shelf import NIFTY, TCS, LiveStore
from upstox_stub import FreePacing, keeper

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.clock import ScaledClock
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.publishing.redis_streams import TICKS, RedisNames, StreamPublisher
from data_fetch.publishing.tick_file import TickFile
from data_fetch.runtime.feed import ListedOptions, TickNames, TickPublisher
from data_fetch.serving.streams.app import stream_application
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.feed import UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

OPEN = "2026-09-16 11:23:31"
TICKS_OF_TCS = {"type": "ticks", "symbol": "tcs"}
EXPIRY = date(2026, 9, 22)


@dataclass
class Desk:
    """A paper market whose clock the test moves, a collector's feed and relay, and a server."""

    exchange: ExchangeClient
    feed: UpstoxFeed
    store: Store
    server: Served
    option: Contract

    def client(self, door: Door, role: Role) -> Any:
        email, accounts = f"{role}@example.com", accounts_in(self.store)
        accounts.add(email, "A", PASSWORD, role)
        key = accounts.add_key(email, "a bot", list(Scope)).secret
        return door(self.server.url, headers={"X-API-Key": key})

    def leg(self, time: str) -> dict[str, Any]:
        """Make it *time* at the exchange; what its chain has of the option then."""
        self.exchange.advance(f"2026-09-16 {time}")
        [row] = [
            row
            for row in self.exchange.chain("NIFTY", str(EXPIRY))
            if row["strike_price"] == self.option.strike
        ]
        leg: dict[str, Any] = row["call_options"]
        return leg

    def advance(self, time: str) -> float:
        """Make it *time* at the exchange; the price of TCS then."""
        self.exchange.advance(f"2026-09-16 {time}")
        key = self.exchange.key("TCS")
        return float(self.exchange.ltp(key)[key]["last_price"])


@pytest.fixture(params=["redis", "file"])
def desk(
    sqlite_url: str, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Desk]:
    through_redis = request.param == "redis"
    clock = ManualClock(OPEN)
    with ExitStack() as running:
        exchange = running.enter_context(PaperExchange(clock, symbols=SYMBOLS))
        settings = Settings.load(
            {
                "DATA_SOURCE": "paper",
                "DATABASE_URL": sqlite_url,
                **({"REDIS_URL": redis_url} if through_redis else {"FEED_ENABLED": "true"}),
                "UPSTOX_BASE_URL": exchange.url,
                "API_AUTHENTICATION": "on",
                "JWT_SECRET": SECRET.decode(),
                "PUBLIC_DELAY_MINUTES": "15",
            },
            tmp_path,
        )
        store = open_store(sqlite_url, World.PAPER)
        running.callback(store.close)
        client = ExchangeClient(exchange, clock)
        option = at_the_money(client)
        save_master(store, [NIFTY, TCS, option], clock.now().date(), clock.now())
        server = running.enter_context(serving(stream_application(settings)))
        if through_redis:
            subscribed_to(redis_url)

        symbols = {client.key(symbol): symbol for symbol in ("NIFTY", "TCS")}
        options = ListedOptions(store)
        options.on(NIFTY, clock.now().date())
        modes = dict.fromkeys(symbols, Mode.LTPC) | {option.live_key: Mode.OPTION_GREEKS}
        feed = feed_of(exchange, clock.now())
        feed.subscribe(Plan(modes))
        publisher = TickPublisher(
            feed.board,
            TickNames(symbols, options.contracts),
            StreamPublisher(redis_url, RedisNames())
            if through_redis
            else TickFile(settings.tick_file),
            source_name="paper",
            world=World.PAPER,
        )
        for each in (publisher, feed):
            each.start()
            running.callback(each.stop)
        until(lambda: len(feed.board.latest()) == len(modes))
        yield Desk(client, feed, store, server, options.contracts[option.live_key])


def at_the_money(exchange: ExchangeClient) -> Instrument:
    """The call at the money of NIFTY."""
    rows = exchange.chain("NIFTY", str(EXPIRY))
    spot = rows[0]["underlying_spot_price"]
    row = min(rows, key=lambda row: abs(row["strike_price"] - spot))
    key = row["call_options"]["instrument_key"]
    return Instrument(
        instrument_key=f"{key}|{EXPIRY:%d-%m-%Y}",
        live_key=key,
        symbol="NIFTY CE",
        segment="NSE_FO",
        instrument_type="CE",
        underlying_key=NIFTY.instrument_key,
        underlying_symbol="NIFTY",
        expiry=EXPIRY,
        strike=Decimal(str(row["strike_price"])),
        lot_size=75,
    )


def feed_of(exchange: PaperExchange, at: datetime) -> UpstoxFeed:
    clock = ScaledClock(at)
    api = UpstoxApi(
        world=World.PAPER,
        base_url=exchange.url,
        token=keeper("paper-analytics-test"),
        pacing=FreePacing(),
        clock=clock,
        timeout_seconds=5,
        policy=RetryPolicy(clock, attempts=1),
    )
    return UpstoxFeed(
        AuthorisedDoor(api), base_url=exchange.url, clock=clock, calendar=MarketCalendar.reviewed
    )


def subscribed_to(redis_url: str) -> None:
    """Return when a server listens to ticks."""
    with redis.Redis.from_url(redis_url) as client:
        until(lambda: client.pubsub_numsub(TICKS)[0][1] == 1)


async def price_is(
    client: StreamClient, expected: float, event: str = "tick_update"
) -> dict[str, Any]:
    """The first tick with that price."""
    while (tick := await client.next(event))["price"] != expected:
        pass
    return dict(tick)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_tick_of_the_market_arrives_with_its_price_and_its_times(desk: Desk, door: Door) -> None:
    async def story() -> None:
        async with desk.client(door, Role.USER) as client:
            answer = await client.asked("subscribe", TICKS_OF_TCS, "subscribed")
            assert answer["room"] == "ticks:TCS"
            for time in ("11:24:31", "11:25:31"):
                tick = await price_is(client, await asyncio.to_thread(desk.advance, time))
            [known] = [each for each in desk.feed.board.latest().values() if "EQ" in each.key]
            assert known.traded_at is not None
            assert datetime.fromisoformat(tick["traded_at"]) == known.traded_at
            assert ist("2026-09-16 11:25:15") <= known.traded_at <= ist("2026-09-16 11:25:31")
            assert tick["traded_at"].endswith("Z")
            assert tick["received_at"].endswith("Z")
            assert (tick["product"], tick["source"], tick["world"]) == ("TCS", "paper", "paper")
            assert {"seq", "as_of", "ltq", "prev_close", "volume", "open_interest"} < tick.keys()

    asyncio.run(story())


def test_a_tick_of_an_option_has_what_the_feed_brought_of_it(desk: Desk) -> None:
    contract = desk.option

    async def story() -> None:
        async with desk.client(plain, Role.USER) as client:
            asked = {"type": "ticks", "symbol": contract.name.lower()}
            answer = await client.asked("subscribe", asked, "subscribed", "error")
            assert answer["room"] == f"ticks:{contract.name}"
            leg = await asyncio.to_thread(desk.leg, "11:25:31")
            market, greeks = leg["market_data"], leg["option_greeks"]
            tick = await price_is(client, market["ltp"], "option_tick_update")
            assert [tick[name] for name in ("symbol", "product", "expiry", "strike")] == [
                contract.name, "NIFTY", "2026-09-22", contract.strike,
            ]  # fmt: skip
            assert (tick["option_type"], tick["source"]) == ("CALL", "paper")
            assert (tick["bid"], tick["ask"]) == (market["bid_price"], market["ask_price"])
            assert (tick["open_interest"], tick["volume"]) == (market["oi"], market["volume"])
            assert tick["iv"] == pytest.approx(greeks["iv"] / 100, rel=1e-3)
            for name in ("delta", "gamma", "theta", "vega"):
                assert tick[name] == pytest.approx(greeks[name], rel=1e-3), name
            # Who comes later has it at once.
            async with desk.client(plain, Role.ADMIN) as other:
                await other.asked("subscribe", asked, "subscribed")
                assert (await other.next("option_tick_update"))["price"] == tick["price"]
            await client.asked("unsubscribe", asked, "unsubscribed")

    asyncio.run(story())


@pytest.mark.parametrize("day", ["20260922", "20260915", "20260923"])
def test_an_option_that_is_not_listed_is_refused_with_the_nearest_one(desk: Desk, day: str) -> None:
    async def story() -> None:
        async with desk.client(plain, Role.USER) as client:
            asked = {"type": "ticks", "symbol": f"NIFTY{day}C1"}
            refused = await client.asked("subscribe", asked, "error", "subscribed")
            assert refused["code"] == "unknown_symbol"
            assert refused["near"] == ([] if day == "20260923" else [desk.option.name])

    asyncio.run(story())


EITHER = ("subscribed", "error")


def test_an_option_that_has_expired_can_be_left(desk: Desk) -> None:
    asked = {"type": "ticks", "symbol": desk.option.name}

    async def story() -> None:
        async with desk.client(plain, Role.USER) as client:
            await client.asked("subscribe", asked, "subscribed")
            await asyncio.to_thread(desk.exchange.advance, f"{EXPIRY + timedelta(days=1)} 11:00:00")
            # A server looks for the exchange's clock every two seconds.
            while "code" not in (refused := await client.asked("subscribe", asked, *EITHER)):
                pass
            assert refused["code"] == "unknown_symbol"
            answer = await client.asked("unsubscribe", asked, "unsubscribed", "error")
            assert answer.get("room") == f"ticks:{desk.option.name}"

    asyncio.run(story())


def test_a_client_gets_ticks_of_what_it_subscribed_only_until_it_unsubscribes(desk: Desk) -> None:
    async def story() -> None:
        async with desk.client(plain, Role.USER) as client:
            await client.asked("subscribe", TICKS_OF_TCS, "subscribed")
            await price_is(client, await asyncio.to_thread(desk.advance, "11:24:31"))
            await client.asked("unsubscribe", TICKS_OF_TCS, "unsubscribed")
            await asyncio.to_thread(desk.advance, "11:25:31")
            beats = [await client.next("heartbeat", "tick_update") for _ in range(2)]
            assert [each.get("product") for each in beats] == [None, None]

    asyncio.run(story())


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_an_account_with_older_data_gets_no_tick(desk: Desk, door: Door) -> None:
    async def story() -> None:
        async with desk.client(door, Role.PUBLIC) as client:
            refused = await client.asked("subscribe", TICKS_OF_TCS, "error", "subscribed")
            assert refused["code"] == "no_ticks"
            await asyncio.to_thread(desk.advance, "11:24:31")
            beats = [await client.next("heartbeat", "tick_update") for _ in range(2)]
            assert [each["last_seq"].keys() for each in beats] == [{"general"}] * 2

    asyncio.run(story())


def test_a_server_that_knows_of_no_feed_names_the_settings(sqlite_url: str, tmp_path: Path) -> None:
    live = LiveStore.at(sqlite_url)

    async def story() -> None:
        async with plain(server.url) as client:
            refused = await client.asked("subscribe", TICKS_OF_TCS, "error", "subscribed")
            assert refused["code"] == "no_ticks"
            assert "FEED_ENABLED=true" in refused["message"]
            assert "REDIS_URL" in refused["message"]

    with serving(stream_application(live.settings(tmp_path))) as server:
        asyncio.run(story())
    live.store.close()


@pytest.mark.parametrize("desk", ["redis"], indirect=True)
def test_what_other_programs_publish_as_ticks_harms_nothing(desk: Desk, redis_url: str) -> None:
    async def story() -> None:
        async with desk.client(plain, Role.USER) as client:
            await client.asked("subscribe", TICKS_OF_TCS, "subscribed")
            tick = {"product": "TCS", "price": 1.0, "received_at": "2099-01-01T00:00:00Z"}
            with redis.Redis.from_url(redis_url) as publisher:
                for broken in (
                    b"", b"[]", b"{}", b'{"world": "paper"}',
                    b'{"world": "paper", "source": "paper", "ticks": 1}',
                    b'{"world": "paper", "source": "paper", "ticks": [1]}',
                    b'{"world": "paper", "source": "paper", "ticks": [{"product": "TCS"}]}',
                    b'{"world": "paper", "source": "paper", "ticks": [{"product": ["TCS"], '
                    b'"received_at": "2099-01-01T00:00:00Z"}]}',
                    orjson.dumps({"world": "live", "source": "upstox", "ticks": [tick]}),
                ):  # fmt: skip
                    publisher.publish(TICKS, broken)
            await price_is(client, await asyncio.to_thread(desk.advance, "11:24:31"))

    asyncio.run(story())
