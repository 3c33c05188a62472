"""A scripted server in the place of Upstox's market data feed, and a feed that talks to it.

It speaks the wire with the SDK's generated messages, and shares no code with the client.
"""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from aiohttp import WSMsgType, web
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb
from upstox_stub import FreePacing, keeper

from data_fetch.core.clock import ScaledClock, VirtualClock
from data_fetch.core.feed.liveness import FeedState, LivenessRules
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.feed.recorder import MessageRecorder
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import Clock, Pacing
from data_fetch.core.world import World
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.feed import UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor, FeedDoor, RedirectDoor
from data_fetch.sources.upstox.feed_state import FeedStatus
from data_fetch.sources.upstox.token import TokenKeeper

NIFTY, BANK = "NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty Bank"
RELIANCE = "NSE_EQ|INE002A01018"
# A Wednesday, 10:30 IST; and the evening before, 20:30 IST.
SESSION = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
EVENING = datetime(2026, 9, 15, 15, 0, tzinfo=UTC)
SOCKET_PATH = "/market-data-feeder/v3/upstox-developer-api/feeds"
PATIENCE_SECONDS = 30.0


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def ltpc(price: float, traded: datetime = SESSION, **more: Any) -> pb.Feed:
    """An entry of the mode `ltpc`."""
    return pb.Feed(ltpc=pb.LTPC(ltp=price, ltt=ms(traded), **{"ltq": 5, "cp": 99.0, **more}))


def message(kind: int, entries: Mapping[str, pb.Feed], at: datetime = SESSION) -> bytes:
    return bytes(pb.FeedResponse(type=kind, feeds=entries, currentTs=ms(at)).SerializeToString())


def live_prices(prices: Mapping[str, float], at: datetime = SESSION) -> bytes:
    """A live message of `ltpc` entries that were traded at *at*."""
    return message(1, {key: ltpc(price, at) for key, price in prices.items()}, at)


def snapshot(prices: Mapping[str, float], at: datetime = SESSION) -> bytes:
    """A snapshot of `ltpc` entries that were traded at *at*."""
    return message(0, {key: ltpc(price, at) for key, price in prices.items()}, at)


def market_info(status: int, segments: Sequence[str] = ("NSE_INDEX", "NSE_EQ", "NSE_FO")) -> bytes:
    info = pb.MarketInfo(segmentStatus=dict.fromkeys(segments, status))
    return bytes(pb.FeedResponse(type=2, marketInfo=info, currentTs=1).SerializeToString())


NORMAL_OPEN, NORMAL_CLOSE = 2, 3


@dataclass(frozen=True)
class Refusal:
    """A handshake that is refused."""

    status: int
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        body = {"status": "error", "errors": [{"errorCode": self.code, "message": "No"}]}
        return web.json_response(body, status=self.status, headers=dict(self.headers))


class FeedStub:
    """The server, in a thread of its own. *greeting* runs on each connection before it listens.

    A refusal in *authorising* or *upgrading* is used once, in order, before doors open.
    """

    def __init__(self) -> None:
        self.authorising: list[Refusal] = []
        self.upgrading: list[Refusal] = []
        self.requests: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.upgrade_headers: list[Mapping[str, str]] = []
        self.authorised_at: list[float] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.pings = 0
        self.answers_pings = True
        self.redirect_to: str | None = None
        self.answers: Callable[[dict[str, Any]], Sequence[bytes | str]] = lambda request: ()
        self.greeting: Callable[[], Sequence[bytes | str]] = lambda: ()
        self.url = ""
        self._codes = 0
        self._unused: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> "FeedStub":
        listening: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{listening.result()}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    # What tests do

    def send(self, *messages: bytes | str) -> None:
        """Send on the newest connection."""
        self._run(self._send(self.sockets[-1], messages))

    def close(self, code: int) -> None:
        """Close the newest connection."""
        self._run(self.sockets[-1].close(code=code, message=b"maintenance"))

    def cut(self) -> None:
        """Break the newest connection without a goodbye."""

        async def cut() -> None:
            transport = self.sockets[-1]._req.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.abort()

        self._run(cut())

    def subscribed(self) -> dict[str, str]:
        """The mode of each key that all requests together leave."""
        modes: dict[str, str] = {}
        for request in self.requests:
            data = request["data"]
            for key in data["instrumentKeys"]:
                if request["method"] == "unsub":
                    modes.pop(key, None)
                else:
                    modes[key] = data.get("mode", "ltpc")
        return modes

    def _run(self, work: Awaitable[Any]) -> None:
        assert self._loop is not None

        async def awaited() -> None:
            await work

        asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(PATIENCE_SECONDS)

    # The server

    async def _serve(self, listening: "Future[int]") -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        application.router.add_get("/v3/feed/market-data-feed/authorize", self._authorise)
        application.router.add_get("/v3/feed/market-data-feed", self._redirect)
        application.router.add_get(SOCKET_PATH, self._socket)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        listening.set_result(int(runner.addresses[0][1]))
        await self._stopped.wait()
        for socket in self.sockets:
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()
        await runner.cleanup()

    def _address(self) -> str:
        if self.redirect_to is not None:
            return self.redirect_to
        self._codes += 1
        self._unused.add(str(self._codes))
        return f"{self.url.replace('http', 'ws')}{SOCKET_PATH}?requestId=1&code={self._codes}"

    def _admitted(self, request: web.Request) -> web.Response | None:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.authorised_at.append(time.monotonic())
        return self.authorising.pop(0).response() if self.authorising else None

    async def _authorise(self, request: web.Request) -> web.Response:
        refused = self._admitted(request)
        data = {"authorized_redirect_uri": self._address()}
        return refused or web.json_response({"status": "success", "data": data})

    async def _redirect(self, request: web.Request) -> web.Response:
        refused = self._admitted(request)
        return refused or web.Response(status=302, headers={"Location": self._address()})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        self.upgrade_headers.append(dict(request.headers))
        if self.upgrading:
            return self.upgrading.pop(0).response()
        code = request.query.get("code", "")
        if code not in self._unused:
            return Refusal(401).response()
        self._unused.discard(code)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        await self._send(socket, self.greeting())
        async for received in socket:
            if received.type is WSMsgType.PING:
                self.pings += 1
                if self.answers_pings:
                    await socket.pong(received.data)
            elif received.type is WSMsgType.BINARY:
                asked = json.loads(received.data)
                self.requests.append(asked)
                await self._send(socket, self.answers(asked))
        return socket

    @staticmethod
    async def _send(socket: web.WebSocketResponse, messages: Sequence[bytes | str]) -> None:
        for each in messages:
            if isinstance(each, str):
                await socket.send_str(each)
            else:
                await socket.send_bytes(each)


# Short, so that a test of silence is short; long enough for a busy machine.
QUICK = LivenessRules(
    mute_after=timedelta(seconds=1),
    dead_after=timedelta(seconds=2),
    honoured_within=timedelta(seconds=1),
)
HEARTBEAT = timedelta(seconds=1)
# For a feed that is busy for longer than that on a slow machine, and has to stay connected.
NEVER = timedelta(hours=1)
PATIENT = LivenessRules(mute_after=NEVER, dead_after=NEVER, honoured_within=NEVER)
PLAN = Plan({NIFTY: Mode.LTPC, BANK: Mode.LTPC, RELIANCE: Mode.LTPC})


def api_of(
    stub: FeedStub, clock: Clock, token: TokenKeeper, pacing: Pacing, world: World
) -> UpstoxApi:
    return UpstoxApi(
        world=world,
        base_url=stub.url,
        token=token,
        pacing=pacing,
        clock=clock,
        timeout_seconds=5,
        policy=RetryPolicy(VirtualClock(SESSION), attempts=1),
    )


def feed_of(
    stub: FeedStub,
    at: datetime = SESSION,
    *,
    token: TokenKeeper | None = None,
    pacing: Pacing | None = None,
    rules: LivenessRules = QUICK,
    heartbeat: timedelta = HEARTBEAT,
    redirected: bool = False,
    clock: Clock | None = None,
    world: World = World.LIVE,
    recorder: MessageRecorder | None = None,
    calendar: Callable[[], MarketCalendar] = MarketCalendar.reviewed,
) -> UpstoxFeed:
    """A feed of *stub* whose clock begins at *at*, with `PLAN` subscribed; not started."""
    clock = clock or ScaledClock(at)
    token, pacing = token or keeper(), pacing or FreePacing()
    door: FeedDoor = AuthorisedDoor(api_of(stub, clock, token, pacing, world))
    if redirected:
        door = RedirectDoor(base_url=stub.url, token=token, pacing=pacing, clock=clock, world=world)
    feed = UpstoxFeed(
        door,
        base_url=stub.url,
        clock=clock,
        calendar=calendar,
        rules=rules,
        heartbeat=heartbeat,
        random=Random(1),
        recorder=recorder,
    )
    feed.subscribe(PLAN)
    return feed


def until(condition: Callable[[], object]) -> None:
    """Return when *condition* holds."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < patience, "waited in vain"
        time.sleep(0.01)


def reaches(feed: UpstoxFeed, state: FeedState) -> FeedStatus:
    """The status once the feed is in *state*."""
    until(lambda: feed.status().condition.state is state)
    return feed.status()
