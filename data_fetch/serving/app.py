"""The server's application: routes over one store, behind one gate."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from data_fetch import __version__
from data_fetch.core.settings import Settings
from data_fetch.serving import problems
from data_fetch.serving.description import described
from data_fetch.serving.gate import Gate
from data_fetch.serving.known_calls import Shortcut
from data_fetch.serving.routes import health, metrics, option_chains
from data_fetch.serving.routes.option_chains import enveloped
from data_fetch.serving.server import Server

TITLE = "NSE F&O market data"


def application(settings: Settings) -> Gate:
    """Serves the store of *settings*, reading only, as an ASGI application."""
    server = Server(settings)
    return Gate(Shortcut(routes_of(server), server.calls), server)


def routes_of(server: Server) -> FastAPI:
    """Every route of *server*, and their description."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.kept.close()

    app = FastAPI(
        title=TITLE,
        version=__version__,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    problems.install(app)
    app.include_router(health.router(server))
    app.include_router(metrics.router(server))
    app.include_router(option_chains.router(server))

    @app.get("/", tags=["health"])
    def root() -> dict[str, Any]:
        """The version, and the paths of this server."""
        paths = sorted(app.openapi()["paths"])
        return enveloped(server.now(), TITLE, {"version": __version__, "endpoints": paths})

    return app


def _operation_id(route: APIRoute) -> str:
    """The name of the function: short in generated clients, and unique over all routes."""
    return route.name
