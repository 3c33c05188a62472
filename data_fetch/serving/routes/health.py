"""Whether the server lives, and whether it can answer."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from data_fetch.reading.instants import utc_text
from data_fetch.reading.service_health import service_health
from data_fetch.serving.server import Server

SERVICE = "data-fetch"


def router(server: Server) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health")
    def health() -> dict[str, Any]:
        """The state of the store behind the server; 200 as long as the process answers."""
        found = service_health(server.settings)
        return {
            "status": "unhealthy" if found.problem else "healthy",
            "service": SERVICE,
            "timestamp": utc_text(found.at),
            "database_connected": found.problem is None,
            "last_data_fetch": utc_text(found.last_fetch) if found.last_fetch else None,
            "total_records": found.records,
            "problem": found.problem,
        }

    @routes.get("/health/live")
    def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @routes.get("/health/ready")
    def ready() -> JSONResponse:
        """Whether the store answers; 503 when it does not."""
        found = service_health(server.settings)
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.problem else HTTPStatus.OK
        document = {"status": "not_ready" if found.problem else "ready", "problem": found.problem}
        return JSONResponse(document, status_code=status)

    return routes
