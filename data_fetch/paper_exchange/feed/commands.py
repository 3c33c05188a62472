"""Frames that clients of the feed send: JSON, binary or text."""

from dataclasses import dataclass
from typing import Any

import orjson

from data_fetch.paper_exchange.upstox.feed_packets import Mode

METHODS = ("sub", "unsub", "change_mode")


class BadCommand(Exception):
    """A frame that is no command. *method* is what it asks for, as far as that can be read."""

    def __init__(self, method: str, reason: str) -> None:
        super().__init__(reason)
        self.method = method


@dataclass(frozen=True, slots=True)
class Command:
    """A request of a client; *mode* means nothing to `unsub`."""

    method: str
    keys: tuple[str, ...]
    mode: Mode


def parse_command(frame: bytes | str) -> Command:
    """The command in a frame. Raises BadCommand."""
    try:
        document = orjson.loads(frame)
    except ValueError:
        raise BadCommand("", "Invalid JSON") from None
    method = _text(document, "method")
    if method not in METHODS:
        raise BadCommand(method, "Invalid method")
    data = document.get("data")
    keys = data.get("instrumentKeys") if isinstance(data, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadCommand(method, "Invalid instrumentKeys")
    try:
        mode = Mode(data.get("mode") or Mode.LTPC)
    except ValueError:
        raise BadCommand(method, "Invalid mode") from None
    return Command(method, tuple(keys), mode)


def _text(document: Any, name: str) -> str:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""
