"""The server's application: routes over one store, behind one gate."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

from data_fetch import __version__
from data_fetch.core.settings import Settings
from data_fetch.reading.collector_facts import collector_facts
from data_fetch.serving import problems
from data_fetch.serving.chain_answers import ChainAnswers
from data_fetch.serving.description import described
from data_fetch.serving.formats import refuse_other_forms
from data_fetch.serving.gate import Gate
from data_fetch.serving.head_requests import HeadRequests
from data_fetch.serving.known_calls import Shortcut
from data_fetch.serving.routes import (
    analytics,
    auth,
    calendar,
    candles,
    chain_history,
    corrections,
    coverage,
    health,
    instruments,
    live,
    metrics,
    notifier,
    option_chains,
    pipeline,
    products,
    quotes,
    root,
    runs,
)
from data_fetch.serving.server import Server
from data_fetch.serving.streams.by_delay import StreamsByDelay
from data_fetch.serving.streams.doors import Doors


def application(settings: Settings) -> Gate:
    """Serves the store of *settings*, reading only, as an ASGI application."""
    server = Server(settings)
    server.metrics.watch_collector(lambda: collector_facts(settings))
    streams = StreamsByDelay(server)
    app = HeadRequests(Shortcut(routes_of(server, streams.running), server.calls))
    return Gate(Doors(app, streams), server)


def description(settings: Settings) -> dict[str, Any]:
    """The OpenAPI description of every server, whatever its settings are."""
    return described(routes_of(Server(settings)))


def routes_of(
    server: Server, running: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
) -> FastAPI:
    """Every route of *server*, and their description; *running* is entered while they are
    served."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with server.audit.running(), running():
                yield
        finally:
            await server.close()

    app = FastAPI(
        title=root.TITLE,
        description=root.VERSIONS,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(refuse_other_forms)],
        generate_unique_id_function=_operation_id,
    )
    # The way FastAPI documents for a description of one's own.
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    problems.install(app)
    app.include_router(health.router(server))
    app.include_router(auth.router(server))
    app.include_router(metrics.router(server))
    app.include_router(notifier.router(server))
    answers = ChainAnswers(server)
    app.include_router(pipeline.router(server))
    app.include_router(option_chains.router(server, answers))
    app.include_router(products.router(server, answers))
    app.include_router(analytics.router(server, answers))
    app.include_router(candles.router(server))
    app.include_router(chain_history.router(server))
    app.include_router(live.router(server))
    app.include_router(corrections.router(server))
    app.include_router(coverage.router(server))
    app.include_router(runs.router(server))
    app.include_router(instruments.router(server))
    app.include_router(calendar.router(server))
    app.include_router(quotes.router(server))

    app.include_router(root.router(server, app.openapi, app.version))
    return app


def _operation_id(route: APIRoute) -> str:
    """The name of the function: short in generated clients, and unique over all routes."""
    return route.name
