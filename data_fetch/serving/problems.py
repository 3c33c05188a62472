"""Refusals as documents: one shape for all, after RFC 9457.

`detail` and `error` have the same text, because older clients read either.
"""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from data_fetch.core.errors import DataFetchError, OutsideError

MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Let *app* answer every refusal with such a document."""
    app.add_exception_handler(DataFetchError, _of_ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)


def problem(request: Request, status: int, detail: str, **more: Any) -> JSONResponse:
    """The document of a refusal; *more* are members besides the usual ones."""
    phrase = HTTPStatus(status).phrase
    document = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "error": detail,
        "code": phrase.lower().replace(" ", "_"),
        "then": "",
        **more,
    }
    return JSONResponse(jsonable_encoder(document), status_code=status, media_type=MEDIA_TYPE)


def _of_ours(request: Request, error: Exception) -> JSONResponse:
    """A store that does not answer is 503; anything else is about what was asked for."""
    assert isinstance(error, DataFetchError)
    outside = isinstance(error, OutsideError)
    status = HTTPStatus.SERVICE_UNAVAILABLE if outside else HTTPStatus.BAD_REQUEST
    return problem(request, status, error.message, then=error.hint)


def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(request, error.status_code, str(error.detail))


def _of_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]
    names = ", ".join(".".join(map(str, each["loc"])) for each in errors)
    detail = f"invalid: {names}"
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
