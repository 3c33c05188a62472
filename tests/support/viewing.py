"""The application as one viewer sees it, without credentials."""

from starlette.types import ASGIApp, Receive, Scope, Send

from data_fetch.serving.app import routes_of
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import Viewer


def seen_by(server: Server, viewer: Viewer) -> ASGIApp:
    """The routes without the gate, for *viewer*."""
    app = routes_of(server)

    async def as_viewer(scope: Scope, receive: Receive, send: Send) -> None:
        state = {"viewer": viewer, "request_id": "1", "server": server}
        scope["state"] = {**scope.get("state", {}), **state}
        await app(scope, receive, send)

    return as_viewer
