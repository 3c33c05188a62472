"""The application of `data-fetch stream`: the streams alone, for a port of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from data_fetch.core.settings import Settings
from data_fetch.serving import problems
from data_fetch.serving.gate import Gate
from data_fetch.serving.head_requests import HeadRequests
from data_fetch.serving.routes import health, metrics
from data_fetch.serving.server import Server
from data_fetch.serving.streams.by_delay import StreamsByDelay
from data_fetch.serving.streams.doors import Doors

SERVICE = "data-fetch-stream"


def stream_application(settings: Settings) -> Gate:
    """Streams the changes of the store of *settings*, as an ASGI application."""
    server = Server(settings)
    streams = StreamsByDelay(server)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with server.audit.running(), streams.running():
                yield
        finally:
            await server.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    problems.install(app)
    app.include_router(metrics.router(server))
    app.include_router(health.probes(server))

    @app.get("/health")
    async def state() -> dict[str, Any]:
        degraded = server.troubles.degraded
        return {
            "status": "degraded" if degraded else "healthy",
            "service": SERVICE,
            "clients": streams.clients,
            "problem": degraded,
        }

    return Gate(Doors(HeadRequests(app), streams), server)
