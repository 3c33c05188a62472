"""The OpenAPI description: what FastAPI derives from the routes, the body of refusals, and what
happens before every route."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from data_fetch.serving.authentication import is_open
from data_fetch.serving.models.shared import Problem
from data_fetch.serving.problems import described_problem

# Refusals before a route: of any request, and of one with a body.
OF_ANY = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
)
OF_BODIES = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token or API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
# Either; or none, on a server that is open for reading.
SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"key": []}, {}]


def described(app: FastAPI) -> dict[str, Any]:
    """The description of *app*, made once."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, schemas = models_json_schema(
            [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        document["components"]["securitySchemes"] = SECURITY_SCHEMES
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _describe_gate(operation, is_open(path))
        app.openapi_schema = document
    return app.openapi_schema


def _describe_gate(operation: dict[str, Any], needs_nothing: bool) -> None:
    """Add to *operation* what is decided before its route runs."""
    if not needs_nothing:
        operation["security"] = SECURITY
    responses = operation["responses"]
    for status in OF_ANY + (OF_BODIES if "requestBody" in operation else ()):
        responses.setdefault(str(status.value), described_problem(status))
