"""Where the messages of a feed go as they were received."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol


class RecordedMessage(NamedTuple):
    """A message, and when it was received (UTC)."""

    received_at: datetime
    message: bytes | str


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """Since the start: *files* are complete, *failed* counts minutes that are not recorded, or not
    whole. *problem* is why the present minute is not; empty while it is."""

    files: int = 0
    failed: int = 0
    problem: str = ""


class MessageRecorder(Protocol):
    """Gets every message of a feed, in its thread and in order. It returns at once, and raises
    nothing: a recording that fails, or hangs, must not end the feed."""

    def add(self, message: bytes | str, received_at: datetime) -> None: ...

    def close(self) -> None:
        """No message comes for now; another may come later. It returns within seconds."""

    def status(self) -> RecordingStatus | None:
        """How it goes; None where nothing is to be recorded."""


class NoRecorder:
    """Keeps nothing."""

    def add(self, message: bytes | str, received_at: datetime) -> None:
        return None

    def close(self) -> None:
        return None

    def status(self) -> RecordingStatus | None:
        return None
