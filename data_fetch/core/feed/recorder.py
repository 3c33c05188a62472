"""Where the messages of a feed go as they were received."""

from datetime import datetime
from typing import Protocol


class MessageRecorder(Protocol):
    """Gets every message of a feed, in its thread and in order. It returns soon, and raises
    nothing: a recording that fails must not end the feed."""

    def add(self, message: bytes | str, received_at: datetime) -> None: ...

    def close(self) -> None:
        """No message comes for now; another may come later."""


class NoRecorder:
    """Keeps nothing."""

    def add(self, message: bytes | str, received_at: datetime) -> None:
        return None

    def close(self) -> None:
        return None
