"""The two ways to a socket of the market data feed, and opening it.

Both cost one request within the rate windows, and both lead to an address with a code that is good
for one connection. The token goes to the API only, never to the host of the socket.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from threading import Event
from typing import NoReturn, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import (
    BadResponse,
    DataFetchError,
    RateLimited,
    TokenRejected,
    Unavailable,
    Unreachable,
)
from data_fetch.core.ports import Clock, Lane, Pacing
from data_fetch.core.world import World
from data_fetch.sources.transport.retry_after import retry_after
from data_fetch.sources.transport.world_check import WorldCheck
from data_fetch.sources.upstox.api import FEED, UpstoxApi
from data_fetch.sources.upstox.responses import read_object
from data_fetch.sources.upstox.token import TokenKeeper

PATH = "/v3/feed/market-data-feed"
# A message of 5,000 full entries has 2 MB.
LARGEST_MESSAGE = 16 * 2**20
LARGEST_BODY = 65_536
HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 1.0
CHECK_NETWORK = "Check the network and UPSTOX_BASE_URL; it is tried again by itself."
OTHERS = (
    "Another program of this account may have the connection, one that was killed counts until the "
    "server notices, and an address that comes too late is refused as well; it is tried again by "
    "itself."
)

TOO_MANY = (
    "There were too many connections, of this program or another one of this account; it is tried "
    "again by itself when the wait is over."
)

Socket = aiohttp.ClientWebSocketResponse[bool]


class FeedDoor(Protocol):
    """A way to the address of a socket."""

    async def address(self, session: aiohttp.ClientSession, stop: Event) -> str:
        """The address for one connection, with the token of now.

        Waits for the permission of the pacer; *stop* ends that with Stopped. Raises the errors of
        a request.
        """


class AuthorisedDoor:
    """Asks the API's authorise endpoint for the address."""

    def __init__(self, api: UpstoxApi) -> None:
        self._api = api

    async def address(self, session: aiohttp.ClientSession, stop: Event) -> str:
        return await asyncio.to_thread(self._api.feed_address, self._api.context(Lane.LIVE, stop))


class RedirectDoor:
    """Asks the API for the upgrade itself; the answer redirects to the address."""

    def __init__(
        self, *, base_url: str, token: TokenKeeper, pacing: Pacing, clock: Clock, world: World
    ) -> None:
        self._url = base_url + PATH
        self._token = token
        self._pacing = pacing
        self._clock = clock
        self._world = WorldCheck(world, "UPSTOX_BASE_URL")

    async def address(self, session: aiohttp.ClientSession, stop: Event) -> str:
        token = self._token.current(FEED.api, self._clock.now())
        latest = self._clock.now() + timedelta(seconds=HANDSHAKE_SECONDS)
        with ExitStack() as granted:
            permission = self._pacing.request(FEED.api, Lane.LIVE, latest, stop)
            await asyncio.to_thread(granted.enter_context, permission)
            raw = await self._answer(session, token)
        if not 300 <= raw.status <= 399:
            self._refuse(raw, token)
        self._token.accept(FEED.api, token)
        return self._target(raw.headers)

    async def _answer(self, session: aiohttp.ClientSession, token: str) -> RawResponse:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "*/*",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        async with (
            _named_errors(),
            asyncio.timeout(HANDSHAKE_SECONDS),
            session.get(self._url, headers=headers, allow_redirects=False) as response,
        ):
            self._world.check(self._url, response.headers)
            upgraded = response.status == 101
            body = b"" if upgraded else await response.content.read(LARGEST_BODY)
            return RawResponse(self._clock.now(), response.status, body, dict(response.headers))

    def _target(self, headers: Mapping[str, str]) -> str:
        target = next((v for name, v in headers.items() if name.lower() == "location"), "")
        if not target:
            raise BadResponse("Upstox redirects the feed without an address")
        return urljoin(self._url, target)

    def _refuse(self, raw: RawResponse, token: str) -> NoReturn:
        """Raise the error that *raw*, which is no redirect, stands for."""
        try:
            read_object(raw)
        except TokenRejected:
            self._token.reject(FEED.api, token, self._clock.now())
            # Raises, with a hint, unless `.env` was saved.
            self._token.current(FEED.api, self._clock.now())
            raise
        except RateLimited as limited:
            if limited.retry_after:
                self._pacing.pause(FEED.api, limited.retry_after)
            raise
        raise BadResponse(f"Upstox returned {raw.status} and no redirect to the feed")


@asynccontextmanager
async def open_socket(
    session: aiohttp.ClientSession, address: str, clock: Clock, base_url: str
) -> AsyncIterator[Socket]:
    """The socket at *address*, open. Raises Unreachable, RateLimited, BadResponse."""
    _require_same_security(address, base_url)
    async with _named_errors(), asyncio.timeout(HANDSHAKE_SECONDS):
        try:
            socket = await session.ws_connect(
                address,
                # Pings and pongs are facts of the liveness.
                autoping=False,
                max_msg_size=LARGEST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
            )
        except aiohttp.WSServerHandshakeError as refused:
            raise _handshake_problem(refused, clock) from None
    try:
        yield socket
    finally:
        await socket.close()


def _handshake_problem(refused: aiohttp.WSServerHandshakeError, clock: Clock) -> DataFetchError:
    headers: Mapping[str, str] = dict(refused.headers or {})
    wait = retry_after(headers, clock.now())
    if refused.status == 401:
        # The token was just accepted: what is refused here is the code in the address.
        return BadResponse("The feed refused the code of its address (401): it is requested anew")
    if refused.status in (403, 429):
        hint = OTHERS if refused.status == 403 else TOO_MANY
        return RateLimited(
            f"The feed refuses the connection ({refused.status})", retry_after=wait, hint=hint
        )
    if refused.status >= 500:
        return Unavailable(f"The feed returned {refused.status} instead of a connection")
    return BadResponse(f"The feed returned {refused.status} instead of a connection")


def _require_same_security(address: str, base_url: str) -> None:
    """No socket without TLS from an API with it."""
    if urlsplit(base_url).scheme == "https" and urlsplit(address).scheme not in ("wss", "https"):
        raise BadResponse("Upstox returned an address of the feed without TLS")


@asynccontextmanager
async def _named_errors() -> AsyncIterator[None]:
    """Errors of the network by our names; their own texts may contain the address."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError:
        raise Unreachable(
            "The certificate of the feed cannot be verified", hint=CHECK_NETWORK
        ) from None
    except aiohttp.InvalidURL:
        raise BadResponse("Upstox returned an address of the feed that is none") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as problem:
        raise Unreachable(
            f"No connection to the feed ({type(problem).__name__})", hint=CHECK_NETWORK
        ) from None
