"""Which web pages may use the dashboard: its own, by this machine's own names where it is open."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_fetch.core.settings import Settings
from data_fetch.runtime.exposure import LOCAL_HOST

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSE: Message = {"type": "websocket.close", "code": 1008}
FOREIGN_NAME = (
    "This dashboard is open for reading on this machine, by its own name only. Call it by "
    "127.0.0.1 or localhost; behind a proxy set API_AUTHENTICATION=on."
)
FOREIGN_PAGE = "Pages of another origin may not use this dashboard. Add the origin to CORS_ORIGINS."


class SameOrigin:
    """Serves *app* to its own pages: browsers leave it to servers to refuse the WebSockets and
    forms of others."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._listed = frozenset(settings.cors_origins)
        self._own_name_only = settings.on_loopback and not settings.needs_authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(CLOSE)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._own_name_only and host and not LOCAL_HOST.fullmatch(host.encode("latin-1")):
            return PlainTextResponse(FOREIGN_NAME, HTTPStatus.MISDIRECTED_REQUEST)
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if changes and origin is not None and not self._is_own(origin, host):
            return PlainTextResponse(FOREIGN_PAGE, HTTPStatus.FORBIDDEN)
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        return origin in self._listed or urlsplit(origin).netloc == host
