"""Databases that hang: nothing is refused, and nothing comes back."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Protocol

from sqlalchemy import make_url


class Hanging(Protocol):
    """A database that can be made to hang. Its address is *url*."""

    url: str

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...


class FrozenProxy:
    """A proxy before a PostgreSQL server: when it is frozen, it takes everything and passes
    nothing on, as a stopped process does."""

    def __init__(self, url: str) -> None:
        database = make_url(url)
        self._server = (database.host or "", database.port or 5432)
        self._flowing = Event()
        self._flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = database.set(port=port).render_as_string(hide_password=False)
        Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def close(self) -> None:
        self.thaw()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._flowing.wait()
            server = socket.create_connection(self._server)
            for pair in ((client, server), (server, client)):
                Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flowing.wait()
                target.sendall(data)
        except OSError:
            return
        finally:
            target.close()


class LockedFile:
    """A SQLite file; when it is frozen, another program has its write lock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock: sqlite3.Connection | None = None

    def freeze(self) -> None:
        self._lock = sqlite3.connect(
            make_url(self.url).database or "", timeout=60, isolation_level=None
        )
        self._lock.execute("BEGIN IMMEDIATE")

    def thaw(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None


@contextmanager
def hanging(url: str) -> Iterator[Hanging]:
    """The database at *url*, ready to hang."""
    if url.startswith("sqlite"):
        file = LockedFile(url)
        yield file
        file.thaw()
        return
    proxy = FrozenProxy(url)
    yield proxy
    proxy.close()
