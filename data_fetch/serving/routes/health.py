"""Whether the server lives, and whether it can answer."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.clock import utc_text
from data_fetch.reading.service_health import service_health
from data_fetch.serving.models.health import Health, Live, Ready
from data_fetch.serving.problems import documented
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import viewer_of

SERVICE = "data-fetch"
NOT_READY = HTTPStatus.SERVICE_UNAVAILABLE.value


def router(server: Server) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health", response_model=Health, tags=["health"], responses=documented())
    def health(request: Request) -> JSONResponse:
        """The state of the store behind the server; 200 as long as the process answers.

        Accounts with the role `public` see no more than whether it is healthy.
        """
        found = service_health(server.settings)
        shown = viewer_of(request.scope).role is not Role.PUBLIC
        last = utc_text(found.last_fetch) if shown and found.last_fetch else None
        return JSONResponse(
            {
                "status": "unhealthy" if found.problem else "healthy",
                "service": SERVICE,
                "timestamp": utc_text(found.at),
                "database_connected": found.problem is None,
                "last_data_fetch": last,
                "total_records": found.records if shown else None,
                "problem": found.problem if shown else None,
            }
        )

    routes.include_router(probes(server))
    return routes


def probes(server: Server) -> APIRouter:
    """What asks by itself whether the server is to be restarted, or to be sent requests."""
    routes = APIRouter(tags=["health"], responses=documented())

    @routes.get("/health/live", response_model=Live)
    def live() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    @routes.get(
        "/health/ready",
        response_model=Ready,
        responses={NOT_READY: {**documented()[NOT_READY], "model": Ready}},
    )
    def ready(request: Request) -> JSONResponse:
        """Whether the store answers; 503 when it does not. Why not is shown where the server is
        open for reading."""
        found = service_health(server.settings)
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.problem else HTTPStatus.OK
        shown = viewer_of(request.scope).role is not Role.PUBLIC
        document = {
            "status": "not_ready" if found.problem else "ready",
            "problem": found.problem if shown else None,
        }
        return JSONResponse(document, status_code=status)

    return routes
