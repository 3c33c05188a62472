"""Refusals as documents: one shape for all, after RFC 9457.

`detail` and `error` have the same text, because older clients read either.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.errors import (
    AccountExists,
    AccountInvalid,
    DataFetchError,
    IncompleteRange,
    LockedOut,
    NothingStored,
    OutsideError,
    SettingsInvalid,
    SignInFailed,
    SymbolsFileBad,
    TokenInvalid,
    TooBusy,
    TryLater,
    UnknownSymbol,
    WrongWorld,
)
from data_fetch.serving.models.shared import Problem
from data_fetch.serving.viewers import viewer_of

MEDIA_TYPE = "application/problem+json"
SIGN_IN_FAILED, LOCKED_OUT = "sign_in_failed", "locked_out"
# The first that fits: its status, and a code for programs. Any other of ours is about an argument.
MEANINGS: tuple[tuple[type[DataFetchError], HTTPStatus, str], ...] = (
    (UnknownSymbol, HTTPStatus.NOT_FOUND, "unknown_symbol"),
    (NothingStored, HTTPStatus.NOT_FOUND, "nothing_stored"),
    (IncompleteRange, HTTPStatus.CONFLICT, "incomplete"),
    (AccountInvalid, HTTPStatus.BAD_REQUEST, "account_invalid"),
    (AccountExists, HTTPStatus.CONFLICT, "account_exists"),
    (SignInFailed, HTTPStatus.UNAUTHORIZED, SIGN_IN_FAILED),
    (TokenInvalid, HTTPStatus.UNAUTHORIZED, "token_invalid"),
    (LockedOut, HTTPStatus.TOO_MANY_REQUESTS, LOCKED_OUT),
    (TooBusy, HTTPStatus.SERVICE_UNAVAILABLE, "busy"),
    (SettingsInvalid, HTTPStatus.SERVICE_UNAVAILABLE, "server_setup"),
    (SymbolsFileBad, HTTPStatus.SERVICE_UNAVAILABLE, "server_setup"),
    (WrongWorld, HTTPStatus.SERVICE_UNAVAILABLE, "server_setup"),
    (OutsideError, HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable"),
    (DataFetchError, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"),
)


OF_THE_SERVER = frozenset({"server_setup", "service_unavailable"})

log = logging.getLogger(__name__)


class Refusal(Exception):
    """A refusal: *status*, a stable *code*, a sentence, what to do, *headers* of the answer, and
    *more* members of its document."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        then: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.then = then
        self.headers = headers or {}
        self.more = more


def install(app: FastAPI) -> None:
    """Let *app* answer every refusal with such a document."""
    app.add_exception_handler(Refusal, _of_route)
    app.add_exception_handler(DataFetchError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, _of_fault)


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route for OpenAPI: those of *statuses* and of every route."""
    always = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
    return {status.value: described_problem(status) for status in sorted({*statuses, *always})}


def described_problem(status: HTTPStatus) -> dict[str, Any]:
    """A refusal with *status* for OpenAPI."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


class Refused(Response):
    """An answer that refuses; its *code* is counted."""

    def __init__(self, code: str, content: bytes, status: int) -> None:
        super().__init__(content, status_code=status, media_type=MEDIA_TYPE)
        if status == HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = "Bearer"
        self.code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["refusal"] = self.code
        await super().__call__(scope, receive, send)


def refusal_of(error: DataFetchError, **more: Any) -> Refusal:
    """The refusal that an error of ours means, with *more* members in its document."""
    status, code = next(
        (status, code) for kind, status, code in MEANINGS if isinstance(error, kind)
    )
    near = list(error.near) if isinstance(error, UnknownSymbol) else []
    wait = error.retry_after if isinstance(error, TryLater) else None
    headers = {} if wait is None else {"Retry-After": str(ceil(wait.total_seconds()))}
    return Refusal(status, code, error.message, then=error.hint, headers=headers, near=near, **more)


@contextmanager
def naming(product: str, *kinds: type[DataFetchError], **more: Any) -> Iterator[None]:
    """Let the refusals that errors of *kinds* mean name *product*, and *more*."""
    try:
        yield
    except kinds as problem:
        raise refusal_of(problem, product=product, **more) from problem


def refusal_to(connection: Scope, error: DataFetchError) -> Refusal:
    """The same for the sender of a request. Names and addresses of this server's parts are in its
    log, and for viewers who see everything."""
    refusal = refusal_of(error)
    if refusal.code not in OF_THE_SERVER or viewer_of(connection).role is not Role.PUBLIC:
        return refusal
    request_id = connection["state"]["request_id"]
    log.warning("not_answered", extra={"request_id": request_id, "problem": error.message})
    return Refusal(
        refusal.status,
        refusal.code,
        "the server cannot answer at present",
        then="Try again later. Its log has the reason beside the request id.",
        headers=refusal.headers,
    )


def answer_of(request_id: str, refusal: Refusal) -> Response:
    """The answer that *refusal* is."""
    answer = problem(
        request_id,
        refusal.status,
        refusal.code,
        refusal.detail,
        then=refusal.then,
        **refusal.more,
    )
    answer.headers.update(refusal.headers)
    return answer


def problem(request_id: str, status: int, code: str, detail: str, **more: Any) -> Response:
    """The document of a refusal; *more* are members besides the usual ones."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request_id,
        "error": detail,
        "code": code,
        "then": "",
        "near": [],
        "errors": [],
        **more,
    }
    return Refused(code, orjson.dumps(document), status)


def request_id_of(request: Request) -> str:
    """The id of a request, which `gate` gave it."""
    return str(request.scope["state"]["request_id"])


def _of_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer_of(request_id_of(request), error)


def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, DataFetchError)
    return _of_route(request, refusal_to(request.scope, error))


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    answer = problem(request_id_of(request), status, code, str(error.detail))
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    answer.headers.update(headers)
    return answer


def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
    detail = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problem(request_id_of(request), status, "invalid", detail, errors=errors)


def _of_fault(request: Request, _: Exception) -> Response:
    """A fault of ours. Its text may have anything in it, so only the log has it."""
    return problem(
        request_id_of(request),
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "fault",
        "the server has a fault",
        then="Look for the request id in its log.",
    )
