"""A server to measure: ours with routes that send constant bytes, or those bytes alone."""

import asyncio
import os
import sys
import time
from pathlib import Path

import uvicorn
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from data_fetch.cli.shared.server_process import listener_on
from data_fetch.core.settings import Settings
from data_fetch.runtime.logs import API, start_logging
from data_fetch.serving.app import routes_of
from data_fetch.serving.gate import Gate
from data_fetch.serving.known_calls import Shortcut
from data_fetch.serving.server import Server

# The size of a chain of 206 legs.
BYTES = b"x" * 108_000
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BYTES))]
CPU = "/processor-seconds"


def bare() -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BYTES})

    return app


def ours(folder: Path) -> ASGIApp:
    settings = Settings.load(os.environ, folder)
    start_logging(settings.log_folder, settings.log_level, services=API)
    server = Server(settings)
    routes = routes_of(server)

    @routes.get("/constant")
    async def constant() -> Response:
        return Response(BYTES, media_type="application/json")

    @routes.get("/nothing")
    async def nothing() -> Response:
        return Response(status_code=304)

    return Gate(Shortcut(routes, server.calls), server)


def metered(app: ASGIApp) -> ASGIApp:
    """*app*, and how much processor time its process used."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != CPU:
            await app(scope, receive, send)
            return
        body = str(time.process_time()).encode()
        length = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})

    return outer


def main(kind: str, folder: str) -> None:
    app = metered(bare() if kind == "bare" else ours(Path(folder)))
    with listener_on("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
        asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
