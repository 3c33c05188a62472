"""Streams of the role `public`: the same rooms and messages, PUBLIC_DELAY_MINUTES later."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from account_shelf import PASSWORD, SECRET, accounts_in
from own_redis import own_redis
from served import Served, serving
from stream_clients import DOORS, Door, StreamClient, plain, socket_io
from stream_shelf import NIFTY, LiveStore

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.clock import SystemClock
from data_fetch.serving.streams.app import stream_application

DELAY = timedelta(minutes=50)
CHAIN = {"type": "chain", "symbol": "NIFTY"}
PRICE = {"type": "product", "symbol": "NIFTY"}


@dataclass
class Desk:
    """A store with older and newer data, a server over it, and a clock that the test moves."""

    live: LiveStore
    server: Served
    redis_url: str
    ahead: timedelta = timedelta(0)

    def client(self, door: Door, role: Role) -> Any:
        return door(self.server.url, headers={"X-API-Key": self.key(role)})

    def key(self, role: Role) -> str:
        email = f"{role}@example.com"
        accounts = accounts_in(self.live.store)
        if email not in {each.email for each in accounts.all()}:
            accounts.add(email, "A", PASSWORD, role)
        return accounts.add_key(email, "a bot", list(Scope)).secret

    def announce(self, price: float) -> None:
        """Publish a present price, as a collector does."""
        document = {
            "product": "NIFTY", "price": price, "timestamp": "2099-01-01T00:00:00.000Z",
            "world": "live",
        }  # fmt: skip
        with redis.Redis.from_url(self.redis_url) as publisher:
            publisher.publish("enriched:underlying", orjson.dumps(document))


@pytest.fixture
def desk(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    live = LiveStore.at(database_url)
    live.price(NIFTY, 24_000.0, 1)
    live.chain(24_010.0, 70)
    live.price(NIFTY, 25_000.0, 40)
    live.chain(25_010.0, 2_400)
    with own_redis() as server_of_redis:
        settings = live.settings(
            tmp_path,
            API_AUTHENTICATION="on",
            JWT_SECRET=SECRET.decode(),
            PUBLIC_DELAY_MINUTES=f"{DELAY // timedelta(minutes=1)}",
            REDIS_URL=server_of_redis.url,
        )
        with serving(stream_application(settings)) as server:
            desk = Desk(live, server, server_of_redis.url)
            real = SystemClock.now
            monkeypatch.setattr(SystemClock, "now", lambda clock: real(clock) + desk.ahead)
            yield desk
    live.store.close()


async def subscribed(client: StreamClient) -> tuple[Any, Any]:
    """The newest price and chain of NIFTY, as the rooms have them."""
    await client.asked("subscribe", PRICE, "subscribed")
    price = await client.next("underlying_update")
    await client.asked("subscribe", CHAIN, "subscribed")
    return price, await client.next("chain_update")


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_what_is_newer_comes_when_it_is_old_enough(desk: Desk, door: Door) -> None:
    async def story() -> None:
        async with (
            desk.client(door, Role.USER) as user,
            desk.client(door, Role.PUBLIC) as public,
        ):
            price, chain = await subscribed(user)
            assert (price["price"], chain["spot_price"]) == (25_000.0, 25_010.0)
            price, chain = await subscribed(public)
            assert (price["price"], chain["spot_price"]) == (24_000.0, 24_010.0)
            assert age_of(price["as_of"]) >= DELAY

            # Neither what is stored now nor what is published now reaches it; a beat later still.
            await asyncio.to_thread(desk.live.price, NIFTY, 25_001.0, 41)
            assert (await user.next("underlying_update"))["price"] == 25_001.0
            await asyncio.to_thread(desk.announce, 26_000.0)
            assert (await user.next("underlying_update"))["price"] == 26_000.0
            beat = await public.next("heartbeat", "underlying_update", "chain_update")
            assert age_of(beat["as_of"]) >= DELAY
            beat = await public.next("heartbeat", "underlying_update", "chain_update")
            assert beat["last_seq"] == {"general": 1, "product:NIFTY": 1, "chain:NIFTY": 1}

            desk.ahead = timedelta(minutes=35)
            found = await public.each_of("underlying_update", "chain_update")
            assert found["underlying_update"]["price"] == 25_001.0
            assert found["chain_update"]["spot_price"] == 25_010.0
            assert [each["seq"] for each in found.values()] == [2, 2]

    asyncio.run(story())


def age_of(text: str) -> timedelta:
    return SystemClock().now() - datetime.fromisoformat(text)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_coming_back_it_gets_what_it_missed_or_the_newest_that_it_may_see(
    desk: Desk, door: Door
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as staying:
            other = await staying.enter_async_context(desk.client(door, Role.PUBLIC))
            user = await staying.enter_async_context(desk.client(door, Role.USER))
            of_user = await user.asked("subscribe", PRICE, "subscribed")
            await subscribed(other)
            async with desk.client(door, Role.PUBLIC) as leaving:
                known = await leaving.asked("subscribe", PRICE, "subscribed")
            desk.ahead = timedelta(minutes=35)
            await other.next("underlying_update")

            async with desk.client(door, Role.PUBLIC) as back:
                since = {"since": known["seq"], "stream": known["stream"]}
                await back.asked("subscribe", {**PRICE, **since}, "subscribed")
                missed = await back.next("underlying_update", "resync")
                assert (missed["seq"], missed["price"]) == (known["seq"] + 1, 25_000.0)
            # The numbers of the present streams are others.
            async with desk.client(door, Role.PUBLIC) as stranger:
                since = {"since": 1, "stream": of_user["stream"]}
                await stranger.asked("subscribe", {**PRICE, **since}, "subscribed")
                resync = await stranger.next("resync", "underlying_update")
                assert resync["reason"] == "another_stream"
                assert (await stranger.next("underlying_update"))["price"] == 25_000.0

    asyncio.run(story())


def test_an_account_whose_role_changes_is_disconnected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_fetch.serving.streams.service.ADMISSION_SECONDS", 0.1)

    async def story() -> None:
        async with (
            desk.client(plain, Role.USER) as user,
            desk.client(socket_io, Role.PUBLIC) as public,
        ):
            for client in (user, public):
                await client.next("connected")
            accounts = accounts_in(desk.live.store)
            accounts.set_role("user@example.com", Role.PUBLIC)
            accounts.set_role("public@example.com", Role.USER)
            # What is known of a key is looked up again after some seconds.
            desk.ahead = timedelta(seconds=10)
            assert (await public.next("error"))["code"] == "unauthenticated"
            assert await user.next("closed") == 4003

    asyncio.run(story())
