"""The OpenAPI description: what FastAPI derives from the routes, and the body of refusals."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from data_fetch.serving.models.shared import Problem


def described(app: FastAPI) -> dict[str, Any]:
    """The description of *app*, made once."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, schemas = models_json_schema(
            [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
        )
        document["components"]["schemas"].update(schemas["$defs"])
        app.openapi_schema = document
    return app.openapi_schema
