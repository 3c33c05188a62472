"""Calls that were answered before: their addresses are not routed and validated again.

Routing and validation cost three times as much as sending bytes that are made already.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from data_fetch.serving.formats import takes_json

MOST_ADDRESSES = 10_000
# Longer ones are not remembered: a client can make up as many as it likes.
LONGEST_ADDRESS = 500
Call = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A *call* that a route made of an address, and what the route put into the scope."""

    call: Call
    routed: dict[str, Any]


class KnownCalls:
    """The calls of one server by address; the ones that were not used for longest go first."""

    def __init__(self, most: int = MOST_ADDRESSES) -> None:
        self._most = most
        self._calls: OrderedDict[tuple[str, bytes], KnownCall] = OrderedDict()

    async def first(self, request: Request, call: Call) -> Response:
        """The answer of *call*, which later requests for the same address go to at once.

        *call* may depend on the address, and on nothing else of *request* than it is given.
        An address that could not be answered is not remembered, nor a very long one.
        """
        answer = await call(request)
        if sum(map(len, _address(request.scope))) > LONGEST_ADDRESS:
            return answer
        routed = {name: request.scope[name] for name in ("route", "path_params", "endpoint")}
        self._calls[_address(request.scope)] = KnownCall(call, routed)
        while len(self._calls) > self._most:
            self._calls.popitem(last=False)
        return answer

    def of(self, scope: Scope) -> KnownCall | None:
        """The call of a request's address, if it was answered before and the sender takes JSON."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        if not takes_json(", ".join(Headers(scope=scope).getlist("accept"))):
            return None
        address = _address(scope)
        found = self._calls.get(address)
        if found is not None:
            self._calls.move_to_end(address)
        return found


class Shortcut:
    """Answers known calls itself, and lets *app* answer every other request."""

    def __init__(self, app: ASGIApp, calls: KnownCalls) -> None:
        self._app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = self._calls.of(scope)
        if known is None:
            await self._app(scope, receive, send)
            return
        try:
            answer = await known.call(Request({**scope, **known.routed}, receive))
        except Exception:  # noqa: BLE001
            # A fault, too: the route makes the same call again, and what it raises is worded by the
            # handlers and logged by the gate, neither of which sees what is raised here.
            await self._app(scope, receive, send)
            return
        scope.update(known.routed)
        await answer(scope, receive, send)


def _address(scope: Scope) -> tuple[str, bytes]:
    return scope["path"], scope["query_string"]
