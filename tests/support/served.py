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

from data_fetch.cli.shared.server_process import listener_on
from data_fetch.core.settings import Settings
from data_fetch.serving.app import application
from data_fetch.serving.listening import listening


@dataclass
class Served:
    url: str

    def ask(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """The whole answer; `if_none_match="..."` is sent as `If-None-Match`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}{path}"
        return urllib3.request("GET", url, headers=sent, timeout=PATIENCE_SECONDS)

    def get(self, path: str) -> tuple[int, str, Any]:
        """Status, media type and document of the answer."""
        answer = urllib3.request("GET", f"{self.url}{path}", timeout=PATIENCE_SECONDS)
        media_type = answer.headers["Content-Type"].partition(";")[0]
        return answer.status, media_type, orjson.loads(answer.data)


def served(settings: Settings, buffered: int | None = None) -> AbstractContextManager[Served]:
    """The application over the store of *settings*. *buffered* is how many bytes the system keeps
    for a client that does not read; None: as many as it likes."""
    return serving(application(settings), buffered)


@contextmanager
def serving(app: ASGIApp, buffered: int | None = None) -> Iterator[Served]:
    with listener_on("127.0.0.1", 0) as listener:
        if buffered is not None:
            # Connections have what their listener has.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffered)
        server = uvicorn.Server(listening(app))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The system queues requests until the server accepts them.
            yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
