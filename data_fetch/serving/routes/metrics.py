"""The metrics for Prometheus; as JSON the counts of the older streaming backend."""

from http import HTTPStatus

import orjson
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from data_fetch.serving.answers import JSON
from data_fetch.serving.media_types import preferred
from data_fetch.serving.models.metrics import StreamClients
from data_fetch.serving.problems import Refusal, documented
from data_fetch.serving.server import Server, refuse_public

TEXT = "text/plain"
PROMETHEUS = f"{TEXT}; version=0.0.4; charset=utf-8"


def router(server: Server) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/metrics",
        response_model=StreamClients,
        responses={
            HTTPStatus.OK.value: {
                "description": "Prometheus' text format, or the clients of streams as JSON",
                "content": {TEXT: {"schema": {"type": "string"}}},
            },
            **documented(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_ACCEPTABLE),
        },
    )
    async def metrics(request: Request) -> Response:
        """The metrics of the server and the collector, for Prometheus. With
        `Accept: application/json` the clients of streams by room."""
        refuse_public(request)
        wanted = preferred(request.headers.get("accept", ""), (TEXT, JSON))
        if wanted is None:
            raise Refusal(
                HTTPStatus.NOT_ACCEPTABLE,
                "not_acceptable",
                f"there are metrics as {TEXT} and as {JSON}",
                then="Name one of them in Accept.",
                media_types=[TEXT, JSON],
            )
        found = server.metrics.streams()
        if wanted == TEXT:
            text = await run_in_threadpool(server.metrics.text, found)
            return Response(text, media_type=PROMETHEUS)
        rooms = dict(found.rooms) if found else {}
        total = sum(found.clients.values()) if found else 0
        return Response(
            orjson.dumps({"total_clients": total, "rooms": rooms}),
            media_type=JSON,
            headers={"Vary": "Accept"},
        )

    return routes
