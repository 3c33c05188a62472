"""What happens to every request before a route, and to every answer after it.

One ASGI layer: each layer of a framework would cost as much as a whole request from memory.
"""

import logging
import re
from secrets import token_hex

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_fetch.reading.records import sharing
from data_fetch.serving.admission import Admission
from data_fetch.serving.compression import Compressed
from data_fetch.serving.server import Server
from data_fetch.serving.traffic import Exchange
from data_fetch.serving.viewers import UNKNOWN

REQUEST_ID = b"x-request-id"
# A page must not run an answer as a script, whatever is in it.
AS_DECLARED = (b"x-content-type-options", b"nosniff")
# Of a sender's own: it is in answers and logs.
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


class Gate:
    """Serves *app*. Each request gets a request id, its viewer and the server's open stores."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server
        self._admission = Admission(server)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope["state"] = {
            **scope.get("state", {}),
            "server": self._server,
            "viewer": UNKNOWN,
            "request_id": _request_id(scope),
        }
        if scope["type"] != "http":
            await self._pass(scope, receive, send)
            return
        exchange = self._server.metrics.traffic.begin(scope, send)
        try:
            await self._pass(scope, receive, Compressed.for_request(scope, exchange.send))
        except Exception:
            # The framework has answered what it could, and raises the fault again for this log.
            log.exception("fault", extra=_facts(exchange))
            if not exchange.complete:
                raise
        finally:
            if exchange.refusal is not None:
                self._server.audit.refused(scope, exchange.status, exchange.refusal)
            self._server.metrics.traffic.end(exchange)
            if log.isEnabledFor(logging.INFO):
                log.info("request", extra=_facts(exchange))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(REQUEST_ID, scope["state"]["request_id"].encode()), AS_DECLARED]

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        with sharing(self._server.kept):
            decision = await self._admission.decide(scope, receive)
            headers += decision.headers
            if decision.answer is None:
                await self._app(scope, decision.receive, send_named)
                return
            await decision.answer(scope, decision.receive, send_named)
        if scope["type"] == "websocket":
            code = scope["state"].get("refusal")
            self._server.audit.refused(scope, decision.answer.status_code, code)


def _request_id(scope: Scope) -> str:
    """That of the sender if it is a plain one, so that logs can be joined; otherwise a new one."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID and SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return token_hex(8)


def _facts(exchange: Exchange) -> dict[str, object]:
    """Of the log line of a request. Its query is left out: it may have secrets in it."""
    state = exchange.scope["state"]
    return {
        "request_id": state["request_id"],
        "method": exchange.method,
        "route": exchange.route,
        "status": exchange.status,
        "ms": round(exchange.seconds * 1000, 1),
        "bytes": exchange.sent_bytes,
        "viewer": state["viewer"].name,
    }
