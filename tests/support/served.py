"""The application behind a real server, in this process."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import orjson
import urllib3
import uvicorn
from effort import PATIENCE_SECONDS
from starlette.types import ASGIApp

from data_fetch.core.settings import Settings
from data_fetch.serving.app import application


@dataclass
class Served:
    url: str

    def get(self, path: str) -> tuple[int, str, Any]:
        """Status, media type and document of the answer."""
        answer = urllib3.request("GET", f"{self.url}{path}", timeout=PATIENCE_SECONDS)
        media_type = answer.headers["Content-Type"].partition(";")[0]
        return answer.status, media_type, orjson.loads(answer.data)


def served(settings: Settings) -> AbstractContextManager[Served]:
    """The application over the store of *settings*."""
    return serving(application(settings))


@contextmanager
def serving(app: ASGIApp) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The system queues requests until the server accepts them.
            yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
