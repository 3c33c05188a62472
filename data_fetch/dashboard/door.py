"""The door of a dashboard that other machines reach: its pages are for accounts.

A browser keeps a token in a cookie that neither scripts nor other sites can use. Each request and
connection is checked, and an open one again and again: what an administrator changes has an
effect within seconds.
"""

import re
from datetime import timedelta
from html import escape
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data_fetch.core.accounts.lock_out import address_group
from data_fetch.core.clock import stopwatch
from data_fetch.core.errors import DataFetchError, TokenInvalid
from data_fetch.core.text import presentable
from data_fetch.dashboard.page import sentence
from data_fetch.dashboard.porter import SIGNED_IN_FOR, Porter

COOKIE = "data_fetch_dashboard"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
CHECKED_EVERY_SECONDS = 5.0
LARGEST_FORM_BYTES = 8 * 1024
CLOSE: Message = {"type": "websocket.close", "code": 1008}
FORM_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}
FORM = files("data_fetch.dashboard").joinpath("sign_in.html").read_text(encoding="utf-8")


class Door:
    """Serves *app* to those that *porter* lets in, and to others a form to sign in."""

    def __init__(self, app: ASGIApp, porter: Porter) -> None:
        self._app = app
        self._porter = porter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == SIGN_IN and request.method == "POST":
            answer = await self._signed_in(request)
        elif scope["path"] == SIGN_OUT:
            answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
            _keep(answer, request, "", timedelta(0))
        else:
            problem = await self._refusal(request)
            if problem is None:
                await self._app(scope, receive, send)
                return
            answer = _refused(request, problem)
        await answer(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        if await self._refusal(connection) is not None:
            await send(CLOSE)
            return
        checked_at, closed = stopwatch(), False

        async def send_while_let_in(message: Message) -> None:
            nonlocal checked_at, closed
            if closed:
                return
            if stopwatch() - checked_at > CHECKED_EVERY_SECONDS:
                checked_at = stopwatch()
                closed = await self._refusal(connection) is not None
            await send(CLOSE if closed else message)

        await self._app(scope, receive, send_while_let_in)

    async def _refusal(self, connection: HTTPConnection) -> str | None:
        """Why *connection* is not let in, None when it is; empty when signing in is all that
        lacks."""
        token = connection.cookies.get(COOKIE)
        if token is None:
            return ""
        try:
            await self._porter.check(token)
        except TokenInvalid:
            return ""
        except DataFetchError as problem:
            return sentence(problem)
        return None

    async def _signed_in(self, request: Request) -> Response:
        """The answer to a form: a cookie and the page that was wanted, or the form again."""
        form = await _form_of(request)
        if form is None:
            return PlainTextResponse("The form is too long.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            token = await self._porter.token_for(
                form.get("email", ""), form.get("password", ""), _address_of(request)
            )
        except DataFetchError as problem:
            return _form(sentence(problem), form.get("next", ""))
        answer = RedirectResponse(_own_path(form.get("next", "")), HTTPStatus.SEE_OTHER)
        _keep(answer, request, token, SIGNED_IN_FOR)
        return answer


def _keep(answer: Response, request: Request, token: str, life: timedelta) -> None:
    """Let the browser that gets *answer* keep *token*: not for scripts and other sites, and after
    TLS for nothing else."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(life.total_seconds()),
        httponly=True,
        samesite="strict",
        # The server believes X-Forwarded-Proto only of a proxy that it trusts.
        secure=request.url.scheme == "https",
    )


def _refused(request: Request, problem: str) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return _form(problem, str(request.url.replace(scheme="", netloc="")))
    return PlainTextResponse(problem or "Sign in first.", HTTPStatus.UNAUTHORIZED)


def _form(problem: str, wanted: str) -> Response:
    page = FORM.replace("PROBLEM", escape(problem)).replace("NEXT", escape(_own_path(wanted)))
    return HTMLResponse(page, HTTPStatus.UNAUTHORIZED, FORM_HEADERS)


async def _form_of(request: Request) -> dict[str, str] | None:
    """The last value of each field of a form; None when it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM_BYTES:
            return None
    return {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}


def _own_path(wanted: str) -> str:
    """*wanted* if it is a path of this dashboard, else its first page."""
    # Browsers take // and /\\ for the beginning of another host.
    return wanted if re.fullmatch(r"/(?![/\\])[^\s\\]*", wanted) else "/"


def _address_of(request: Request) -> str:
    return address_group(presentable(request.client.host)) if request.client else "unknown"
