"""The server's application: routes over one store."""

from datetime import datetime
from typing import Any

from fastapi import FastAPI

from data_fetch import __version__
from data_fetch.core.settings import Settings
from data_fetch.reading.records import clock_of
from data_fetch.serving import problems
from data_fetch.serving.routes import health, option_chains
from data_fetch.serving.routes.option_chains import enveloped


def application(settings: Settings) -> FastAPI:
    """Serves the store of *settings*, reading only. It has no accounts: bind it to loopback."""
    app = FastAPI(title="NSE F&O market data", version=__version__)

    def now() -> datetime:
        return clock_of(settings).now()

    problems.install(app)
    app.include_router(health.router(settings))
    app.include_router(option_chains.router(settings, now))

    @app.get("/", tags=["health"])
    def root() -> dict[str, Any]:
        """The version, and the paths of this server."""
        paths = sorted(app.openapi()["paths"])
        return enveloped(now(), "NSE F&O market data", {"version": __version__, "endpoints": paths})

    return app
