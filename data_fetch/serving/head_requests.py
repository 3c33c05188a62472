"""HEAD wherever there is GET: the same status and headers, without a body."""

from starlette.types import ASGIApp, Receive, Scope, Send

BODILESS = "bodiless"


class HeadRequests:
    """Lets *app* answer HEAD as GET. What sends the answer on leaves its body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["state"][BODILESS] = True
        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, receive, send)
        finally:
            # Metrics and logs name it.
            scope["route"] = as_get.get("route")


def is_bodiless(scope: Scope) -> bool:
    """Whether no body of the answer is sent."""
    return BODILESS in scope["state"]
