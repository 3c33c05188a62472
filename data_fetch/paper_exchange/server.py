"""Takes requests off the wire, and puts answers on it: whole, slow, cut or not at all."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

import orjson
from aiohttp import web

from data_fetch.core.errors import SetupError
from data_fetch.paper_exchange.faults.faults import Fault, FaultBook, read_faults
from data_fetch.paper_exchange.faults.misbehaviour import mangled, replied
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.nse.visits import NseVisits
from data_fetch.paper_exchange.routes import Asked, Entry, Route, Routes, decoded
from data_fetch.paper_exchange.truth import chain_of, minutes_of
from data_fetch.paper_exchange.upstox.limits import RateLimits
from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.paper_exchange.wire import JSON, Answer, Refused, refuse

# Real seconds: a collector that is killed while it starts must not stop the market for good.
LONGEST_PAUSE_SECONDS = 600.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Telling(Protocol):
    """A clock as far as the exchange needs one."""

    def now(self) -> datetime: ...


@dataclass
class ServerState:
    """What the exchange keeps of its visitors."""

    tokens: Tokens = field(default_factory=Tokens)
    visits: NseVisits = field(default_factory=NseVisits)
    limits: RateLimits = field(default_factory=RateLimits)
    faults: FaultBook = field(default_factory=FaultBook)
    requests: Counter[str] = field(default_factory=Counter)


class PaperServer:
    """The request handlers of one exchange."""

    def __init__(
        self, market: PaperMarket, routes: Routes, state: ServerState, clock: Telling
    ) -> None:
        self._market = market
        self._routes = routes
        self._state = state
        self._clock = clock

    def application(self) -> web.Application:
        app = web.Application()
        for route in self._routes.table():
            app.router.add_route(route.method, route.path, self._handler(route))
        app.router.add_get("/paper/clock", self._tell_time)
        app.router.add_post("/paper/clock", self._set_time)
        app.router.add_get("/paper/state", self._tell_state)
        app.router.add_get("/paper/truth", self._tell_truth)
        app.router.add_get("/paper/chain-truth", self._tell_chain_truth)
        app.router.add_get("/paper/faults", self._tell_faults)
        app.router.add_post("/paper/faults", self._order_faults)
        app.router.add_delete("/paper/faults", self._clear_faults)
        app.router.add_route("*", "/{rest:.*}", _nowhere)
        return app

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            now = self._clock.now()
            query, keys = decoded(request, route.about)
            if route.method == "POST":
                query |= {name: str(value) for name, value in (await request.post()).items()}
            faults = self._state.faults.due(route.api, request.path, keys, now)
            asked = Asked(dict(request.match_info), query, keys, Moment.of(now), faults)
            answer = await self._answer(route, asked, request)
            return await _deliver(request, mangled(faults, answer), faults)

        return handle

    async def _answer(self, route: Route, asked: Asked, request: web.Request) -> Answer:
        self._state.requests[route.api] += 1
        try:
            self._let_in(route, request, asked.now.at)
            if route.limited:
                self._state.limits.admit(route.api, asked.now.at)
            troubled = replied(asked.faults, route.api)
            if troubled is not None:
                return troubled
            return (
                await asyncio.to_thread(route.answer, asked) if route.slow else route.answer(asked)
            )
        except Refused as refused:
            return refused.answer

    def _let_in(self, route: Route, request: web.Request, now: datetime) -> None:
        match route.entry:
            case Entry.TOKEN:
                self._state.tokens.check(request.headers.get("Authorization"), now)
            case Entry.COOKIES:
                self._state.visits.admit(request.cookies, now)
            case Entry.NOTHING:
                pass

    async def _tell_time(self, _: web.Request) -> web.Response:
        # A clock without a speed moves only when it is moved.
        paused = getattr(self._clock, "paused", False)
        speed = 0.0 if paused else getattr(self._clock, "speed", 0.0)
        return _told({"now": self._clock.now().isoformat(), "speed": speed})

    async def _set_time(self, request: web.Request) -> web.Response:
        try:
            order = orjson.loads(await request.read())
            if "pause" in order or "resume" in order:
                return await self._pause(request, order)
            now = datetime.fromisoformat(order["now"])
        except (ValueError, KeyError, TypeError):
            return _told(
                {"error": 'send {"now": "<ISO instant with its offset>"}, or a pause'}, 400
            )
        if now.tzinfo is None:
            return _told({"error": "the instant has no offset, for example +05:30"}, 400)
        set_clock = getattr(self._clock, "set", None)
        if set_clock is None:
            return _told({"error": "this exchange's clock cannot be set"}, 409)
        try:
            set_clock(now)
        except SetupError as bad:
            return _told({"error": str(bad)}, 400)
        return await self._tell_time(request)

    async def _pause(self, request: web.Request, order: dict[str, Any]) -> web.Response:
        """Stop the clock for a collector that starts, or let it run on. Raises ValueError."""
        if not hasattr(self._clock, "pause") or not hasattr(self._clock, "resume"):
            return _told({"error": "this exchange's clock cannot be paused"}, 409)
        if "resume" in order:
            self._clock.resume(str(order["resume"]))
        else:
            seconds = float(order["seconds"])
            if not 0 < seconds <= LONGEST_PAUSE_SECONDS:
                raise ValueError("no such pause")
            self._clock.pause(str(order["pause"]), seconds)
        return await self._tell_time(request)

    async def _tell_state(self, _: web.Request) -> web.Response:
        refused = self._state.limits.refused
        return _told({"requests": dict(self._state.requests), "refused": dict(refused)})

    async def _tell_truth(self, request: web.Request) -> web.Response:
        key = request.query.get("instrument_key", "")
        try:
            day = date.fromisoformat(request.query.get("date", ""))
        except ValueError:
            return _told({"error": "name a date, for example 2026-09-16"}, 400)
        return await asyncio.to_thread(self._truth, key, day)

    def _truth(self, key: str, day: date) -> web.Response:
        tradable = self._market.find(key, day)
        if tradable is None:
            return _told({"error": f"{key!r} was not listed on {day}"}, 404)
        return _told({"minutes": minutes_of(self._market, tradable, day)})

    async def _tell_chain_truth(self, request: web.Request) -> web.Response:
        symbol, now = request.query.get("symbol", ""), Moment.of(self._clock.now())
        try:
            expiry = date.fromisoformat(request.query.get("expiry", ""))
        except ValueError:
            return _told({"error": "name an expiry, for example 2026-09-29"}, 400)
        chain = await asyncio.to_thread(chain_of, self._market, symbol, expiry, now)
        if chain is None:
            return _told({"error": f"{symbol!r} has no options of {expiry}"}, 404)
        return _told(chain)

    async def _tell_faults(self, _: web.Request) -> web.Response:
        return _told({"fault": self._state.faults.as_documents()})

    async def _order_faults(self, request: web.Request) -> web.Response:
        try:
            self._state.faults.order(read_faults(orjson.loads(await request.read())))
        except SetupError as bad:
            return _told({"error": str(bad)}, 400)
        except ValueError as bad:
            return _told({"error": f"not JSON ({bad})"}, 400)
        return await self._tell_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._state.faults.clear()
        return await self._tell_faults(request)


async def _nowhere(_: web.Request) -> web.StreamResponse:
    return _response(refuse("UDAPI100060").answer)


def _told(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type=JSON)


def _response(answer: Answer) -> web.Response:
    response = web.Response(
        body=answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=answer.headers,
    )
    _set_cookies(response, answer)
    return response


def _set_cookies(response: web.StreamResponse, answer: Answer) -> None:
    for name, value in answer.cookies.items():
        response.set_cookie(name, value)


async def _deliver(
    request: web.Request, answer: Answer, faults: tuple[Fault, ...]
) -> web.StreamResponse:
    """Send *answer*, unless a fault of the connection is in the way."""
    trouble = next((each for each in faults if each.kind in CONNECTION_FAULTS), None)
    if trouble is None:
        return _response(answer)
    return await CONNECTION_FAULTS[trouble.kind](request, answer, trouble)


async def _reset(request: web.Request, answer: Answer, _: Fault) -> web.StreamResponse:
    """No answer at all: the connection ends with a reset."""
    transport = request.transport
    if transport is not None:
        # Closing at once, with nothing lingering, is what puts a reset on the wire.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _abort(request)
    return _response(answer)


async def _cut(request: web.Request, answer: Answer, _: Fault) -> web.StreamResponse:
    """The headers promise a whole body; half of it comes."""
    response, _half = await _first_half(request, answer)
    _abort(request)
    return response


async def _slow(request: web.Request, answer: Answer, fault: Fault) -> web.StreamResponse:
    """Half the body, then a long breath, then the rest."""
    response, half = await _first_half(request, answer)
    await asyncio.sleep(fault.seconds)
    await response.write(answer.body[half:])
    await response.write_eof()
    return response


async def _first_half(request: web.Request, answer: Answer) -> tuple[web.StreamResponse, int]:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    _set_cookies(response, answer)
    await response.prepare(request)
    half = len(answer.body) // 2
    await response.write(answer.body[:half])
    return response, half


def _abort(request: web.Request) -> None:
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


CONNECTION_FAULTS: dict[
    str, Callable[[web.Request, Answer, Fault], Awaitable[web.StreamResponse]]
] = {"reset": _reset, "cut-mid-body": _cut, "slow-body": _slow}
