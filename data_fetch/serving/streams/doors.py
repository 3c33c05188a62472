"""The doors of the streams beside the routes of an application."""

from starlette.types import ASGIApp, Receive, Scope, Send

from data_fetch.serving.streams import socket_io, web_socket
from data_fetch.serving.streams.by_delay import StreamsByDelay
from data_fetch.serving.streams.socket_io import SocketIODoor
from data_fetch.serving.streams.web_socket import WebSocketDoor


class Doors:
    """Serves the clients of *streams* at the paths of the doors, and *app* at every other."""

    def __init__(self, app: ASGIApp, streams: StreamsByDelay) -> None:
        self._app = app
        self._socket_io = SocketIODoor(streams)
        self._web_socket = WebSocketDoor(streams)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope)(scope, receive, send)

    def _door(self, scope: Scope) -> ASGIApp:
        path = scope.get("path", "")
        if path == socket_io.PATH or path.startswith(f"{socket_io.PATH}/"):
            return self._socket_io
        if scope["type"] == "websocket" and path == web_socket.PATH:
            return self._web_socket
        return self._app
