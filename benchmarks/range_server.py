"""Our server, and for how long its event loop was held: what another request waits for."""

import asyncio
import os
import sys
import time
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from data_fetch.cli.shared.server_process import listener_on
from data_fetch.core.settings import Settings
from data_fetch.serving.app import application

LONGEST_HOLD = "/longest-hold"
LOOK_SECONDS = 0.002


class Watched:
    """Serves *app*. LONGEST_HOLD answers with the seconds of the longest hold since it was last
    asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._watch: asyncio.Task[None] | None = None
        self._longest = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        if scope.get("path") != LONGEST_HOLD:
            await self._app(scope, receive, send)
            return
        body, self._longest = str(self._longest).encode(), 0.0
        length = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": body})

    async def _look(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LOOK_SECONDS)
            self._longest = max(self._longest, time.perf_counter() - before - LOOK_SECONDS)


def main(folder: str) -> None:
    app = Watched(application(Settings.load(os.environ, Path(folder))))
    with listener_on("127.0.0.1", 0) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")
        asyncio.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
