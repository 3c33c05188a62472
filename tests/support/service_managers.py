"""A service manager as its services see it: a socket that receives what they report."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from effort import PATIENCE_SECONDS


class ServiceManager:
    """Receives reports at *name*, the NOTIFY_SOCKET of its services."""

    def __init__(self, name: str, channel: socket.socket) -> None:
        self.name = name
        self._channel = channel

    def next_report(self) -> list[str]:
        """Wait for the next datagram; its lines."""
        return self._channel.recv(4096).decode().split("\n")

    def await_report(self, beginning: str) -> list[str]:
        """Wait for the first datagram that begins so; its lines."""
        report = self.next_report()
        while not report[0].startswith(beginning):
            report = self.next_report()
        return report


@contextmanager
def service_manager() -> Iterator[ServiceManager]:
    """One with a socket in a folder of its own."""
    # Not in a folder of pytest: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder, "notify"))
        with _listening_at(name) as channel:
            yield ServiceManager(name, channel)


@contextmanager
def abstract_service_manager() -> Iterator[ServiceManager]:
    """One with a socket in the abstract namespace, which has no files."""
    name = f"data-fetch-{uuid4().hex}"
    with _listening_at(f"\0{name}") as channel:
        yield ServiceManager(f"@{name}", channel)


def _listening_at(address: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.settimeout(PATIENCE_SECONDS)
    channel.bind(address)
    return channel
