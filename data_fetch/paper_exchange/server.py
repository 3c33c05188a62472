"""Request handlers, including connection faults and the control endpoints."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson
from aiohttp import web

from data_fetch.core.errors import SetupError
from data_fetch.core.world import PAPER_MARK
from data_fetch.paper_exchange.faults.effects import change_body, replacement
from data_fetch.paper_exchange.faults.faults import ActiveFaults, Fault, read_faults
from data_fetch.paper_exchange.feed.sockets import ExchangeClock, FeedSockets, abort
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.nse.sessions import NseSessions
from data_fetch.paper_exchange.routes import ApiRequest, Credentials, Route, Routes, decode_query
from data_fetch.paper_exchange.truth import chain_of, minutes_of
from data_fetch.paper_exchange.upstox.feed_codes import SOCKET_PATH, FeedCodes
from data_fetch.paper_exchange.upstox.feed_limits import OverLimit, Plan
from data_fetch.paper_exchange.upstox.limits import RateLimits
from data_fetch.paper_exchange.upstox.login import LoginApi
from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.paper_exchange.wire import JSON, ApiError, Response, api_error

# Real seconds: a collector that is killed while it starts must not stop the market for good.
LONGEST_PAUSE_SECONDS = 600.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ServerState:
    """Tokens, cookie sessions, rate windows, faults and request counts."""

    tokens: Tokens
    logins: LoginApi
    sessions: NseSessions = field(default_factory=NseSessions)
    limits: RateLimits = field(default_factory=RateLimits)
    faults: ActiveFaults = field(default_factory=ActiveFaults)
    requests: Counter[str] = field(default_factory=Counter)
    feed_codes: FeedCodes = field(default_factory=FeedCodes)


class PaperServer:
    """The request handlers of one exchange."""

    def __init__(
        self,
        market: PaperMarket,
        routes: Routes,
        state: ServerState,
        feed: FeedSockets,
        clock: ExchangeClock,
    ) -> None:
        self._market = market
        self._routes = routes
        self._state = state
        self._feed = feed
        self._clock = clock

    def application(self) -> web.Application:
        app = web.Application()
        for route in self._routes.table():
            app.router.add_route(route.method, route.path, self._handler(route))
        app.router.add_get(SOCKET_PATH, self._open_socket)
        app.router.add_get("/paper/feed", self._get_feed)
        app.router.add_post("/paper/feed", self._set_feed)
        app.router.add_get("/paper/clock", self._get_clock)
        app.router.add_post("/paper/clock", self._set_clock)
        app.router.add_get("/paper/state", self._get_state)
        app.router.add_post("/paper/notifier", self._set_notifier)
        app.router.add_get("/paper/truth", self._get_truth)
        app.router.add_get("/paper/chain-truth", self._get_chain_truth)
        app.router.add_get("/paper/faults", self._get_faults)
        app.router.add_post("/paper/faults", self._add_faults)
        app.router.add_delete("/paper/faults", self._clear_faults)
        app.router.add_route("*", "/{rest:.*}", _not_found)
        app.on_response_prepare.append(_mark)
        app.on_shutdown.append(self._close_sockets)
        return app

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            now = self._clock.now()
            query, keys = decode_query(request, route.key_field)
            if route.method == "POST":
                query |= await _form_of(request)
            faults = self._state.faults.take_due(route.api, request.path, keys, now)
            decoded = ApiRequest(
                fields=dict(request.match_info),
                query=query,
                keys=keys,
                now=Moment.of(now),
                faults=faults,
                host=request.host,
                authorization=request.headers.get("Authorization", ""),
            )
            response = await self._respond(route, decoded, request)
            return await _deliver(request, change_body(faults, response), faults)

        return handle

    async def _respond(self, route: Route, decoded: ApiRequest, request: web.Request) -> Response:
        self._state.requests[route.api] += 1
        try:
            self._check_credentials(route, request, decoded.now.at)
            if route.limited:
                self._state.limits.admit(route.api, decoded.now.at)
            replaced = replacement(decoded.faults, route.api)
            if replaced is not None:
                return replaced
            if route.slow:
                return await asyncio.to_thread(route.respond, decoded)
            return route.respond(decoded)
        except ApiError as error:
            return error.response

    def _check_credentials(self, route: Route, request: web.Request, now: datetime) -> None:
        match route.credentials:
            case Credentials.TOKEN:
                self._state.tokens.check(request.headers.get("Authorization"), now)
            case Credentials.COOKIES:
                self._state.sessions.check(request.cookies, now)
            case Credentials.NONE:
                pass

    async def _open_socket(self, request: web.Request) -> web.StreamResponse:
        """The feed's socket, for the code in the query. It is no route: it is never complete."""
        now, api, query = self._clock.now(), "feed-connect", request.query
        self._state.requests[api] += 1
        refusal = replacement(self._state.faults.take_due(api, request.path, (), now), api)
        if refusal is not None:
            return _response(refusal)
        codes = self._state.feed_codes
        try:
            user = codes.redeem(query.get("requestId", ""), query.get("code", ""), now)
        except ApiError as error:
            return _response(error.response)
        return await self._feed.serve(request, user)

    async def _close_sockets(self, _: web.Application) -> None:
        self._feed.close()

    async def _get_feed(self, _: web.Request) -> web.Response:
        return _json(self._feed.to_json())

    async def _set_feed(self, request: web.Request) -> web.Response:
        try:
            self._feed.set_rules(orjson.loads(await request.read()))
        except (ValueError, TypeError, AttributeError):
            plans, choices = ", ".join(Plan), ", ".join(OverLimit)
            return _json({"error": f"send a plan ({plans}), over_limit ({choices}) or both"}, 400)
        return await self._get_feed(request)

    async def _get_clock(self, _: web.Request) -> web.Response:
        # A clock without a speed only moves when it is set.
        paused = getattr(self._clock, "paused", False)
        speed = 0.0 if paused else getattr(self._clock, "speed", 0.0)
        return _json({"now": self._clock.now().isoformat(), "speed": speed})

    async def _set_clock(self, request: web.Request) -> web.Response:
        try:
            command = orjson.loads(await request.read())
            if "pause" in command or "resume" in command:
                return await self._pause(request, command)
            now = datetime.fromisoformat(command["now"])
        except (ValueError, KeyError, TypeError):
            return _json(
                {"error": 'send {"now": "<ISO instant with its offset>"}, or a pause'}, 400
            )
        if now.tzinfo is None:
            return _json({"error": "the instant has no offset, for example +05:30"}, 400)
        set_clock = getattr(self._clock, "set", None)
        if set_clock is None:
            return _json({"error": "this exchange's clock cannot be set"}, 409)
        try:
            set_clock(now)
        except SetupError as error:
            return _json({"error": str(error)}, 400)
        await self._feed.tick()
        return await self._get_clock(request)

    async def _pause(self, request: web.Request, command: dict[str, Any]) -> web.Response:
        """Pause the clock while a collector starts, or resume it. Raises ValueError."""
        if not hasattr(self._clock, "pause") or not hasattr(self._clock, "resume"):
            return _json({"error": "this exchange's clock cannot be paused"}, 409)
        if "resume" in command:
            self._clock.resume(str(command["resume"]))
        else:
            seconds = float(command["seconds"])
            if not 0 < seconds <= LONGEST_PAUSE_SECONDS:
                raise ValueError("the pause is too long or not positive")
            self._clock.pause(str(command["pause"]), seconds)
        return await self._get_clock(request)

    async def _get_state(self, _: web.Request) -> web.Response:
        refused = self._state.limits.refused
        return _json({"requests": dict(self._state.requests), "refused": dict(refused)})

    async def _set_notifier(self, request: web.Request) -> web.Response:
        try:
            url = orjson.loads(await request.read())["url"]
        except (ValueError, KeyError, TypeError):
            return _json({"error": 'send {"url": "<where approved tokens are sent>"}'}, 400)
        self._state.logins.notifier_url = str(url)
        return _json({"url": url})

    async def _get_truth(self, request: web.Request) -> web.Response:
        key = request.query.get("instrument_key", "")
        try:
            day = date.fromisoformat(request.query.get("date", ""))
        except ValueError:
            return _json({"error": "name a date, for example 2026-09-16"}, 400)
        return await asyncio.to_thread(self._truth, key, day)

    def _truth(self, key: str, day: date) -> web.Response:
        tradable = self._market.find(key, day)
        if tradable is None:
            return _json({"error": f"{key!r} was not listed on {day}"}, 404)
        return _json({"minutes": minutes_of(self._market, tradable, day)})

    async def _get_chain_truth(self, request: web.Request) -> web.Response:
        symbol, now = request.query.get("symbol", ""), Moment.of(self._clock.now())
        try:
            expiry = date.fromisoformat(request.query.get("expiry", ""))
        except ValueError:
            return _json({"error": "name an expiry, for example 2026-09-29"}, 400)
        chain = await asyncio.to_thread(chain_of, self._market, symbol, expiry, now)
        if chain is None:
            return _json({"error": f"{symbol!r} has no options of {expiry}"}, 404)
        return _json(chain)

    async def _get_faults(self, _: web.Request) -> web.Response:
        return _json({"fault": self._state.faults.to_json()})

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            self._state.faults.add(read_faults(orjson.loads(await request.read())))
        except SetupError as error:
            return _json({"error": str(error)}, 400)
        except ValueError as error:
            return _json({"error": f"not JSON ({error})"}, 400)
        await self._feed.tick()
        return await self._get_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._state.faults.clear()
        return await self._get_faults(request)


async def _form_of(request: web.Request) -> dict[str, str]:
    """The fields of a body: a form, or a JSON object."""
    if request.content_type != JSON:
        return {name: str(value) for name, value in (await request.post()).items()}
    try:
        document = orjson.loads(await request.read())
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {str(name): str(value) for name, value in document.items()}


async def _mark(_: web.Request, response: web.StreamResponse) -> None:
    """Mark every response, so that invented prices are never taken for real ones."""
    response.headers[PAPER_MARK] = "invented prices"


async def _not_found(_: web.Request) -> web.StreamResponse:
    return _response(api_error("UDAPI100060").response)


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type=JSON)


def _response(response: Response) -> web.Response:
    sent = web.Response(
        body=response.body,
        status=response.status,
        content_type=response.content_type,
        headers=response.headers,
    )
    _set_cookies(sent, response)
    return sent


def _set_cookies(sent: web.StreamResponse, response: Response) -> None:
    for name, value in response.cookies.items():
        sent.set_cookie(name, value)


async def _deliver(
    request: web.Request, response: Response, faults: tuple[Fault, ...]
) -> web.StreamResponse:
    """Send *response*, through the first connection fault if there is one."""
    fault = next((each for each in faults if each.kind in CONNECTION_FAULTS), None)
    if fault is None:
        return _response(response)
    return await CONNECTION_FAULTS[fault.kind](request, response, fault)


async def _reset(request: web.Request, response: Response, _: Fault) -> web.StreamResponse:
    """Reset the connection without a response."""
    transport = request.transport
    if transport is not None:
        # Closing with a linger time of 0 makes the kernel send a reset.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    abort(request)
    return _response(response)


async def _cut(request: web.Request, response: Response, _: Fault) -> web.StreamResponse:
    """Close the connection after half of the promised body."""
    sent, _half = await _first_half(request, response)
    abort(request)
    return sent


async def _slow(request: web.Request, response: Response, fault: Fault) -> web.StreamResponse:
    """Send half the body, pause, then send the rest."""
    sent, half = await _first_half(request, response)
    await asyncio.sleep(fault.seconds)
    await sent.write(response.body[half:])
    await sent.write_eof()
    return sent


async def _first_half(request: web.Request, response: Response) -> tuple[web.StreamResponse, int]:
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    sent.content_type = response.content_type
    sent.content_length = len(response.body)
    _set_cookies(sent, response)
    await sent.prepare(request)
    half = len(response.body) // 2
    await sent.write(response.body[:half])
    return sent, half


CONNECTION_FAULTS: dict[
    str, Callable[[web.Request, Response, Fault], Awaitable[web.StreamResponse]]
] = {"reset": _reset, "cut-mid-body": _cut, "slow-body": _slow}
