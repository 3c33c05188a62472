"""What happens to every request before a route, and to every answer after it.

One ASGI layer: each layer of a framework would cost as much as a whole request from memory.
"""

from secrets import token_hex

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_fetch.reading.records import sharing
from data_fetch.serving.compression import Compressed
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import LOCAL

REQUEST_ID = b"x-request-id"


class Gate:
    """Serves *app*. Each request gets a request id, its viewer and the server's open stores."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = token_hex(8)
        scope["state"] = {
            **scope.get("state", {}),
            "server": self._server,
            "viewer": LOCAL,
            "request_id": request_id,
        }

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (REQUEST_ID, request_id.encode())]
            await sent(message)

        sent = Compressed.for_request(scope, send) if scope["type"] == "http" else send
        with sharing(self._server.kept):
            await self._app(scope, receive, send_named)
