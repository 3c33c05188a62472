"""Files with the frames that were sent, a file for each connection.

A line is JSON: `at` (the exchange's time), `type` (`binary` or `text`), `frame` (base64, or the
text itself). Pings and pongs are not in it.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from data_fetch.core.clock import IST
from data_fetch.core.files import make_folder

FRAMES_SUFFIX = ".jsonl"


class Recording(Protocol):
    """The frames of one connection."""

    def add(self, frame: bytes | str, at: datetime) -> None: ...

    def close(self) -> None: ...


class FileRecording:
    """Appends to a file, which is complete after every frame."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, frame: bytes | str, at: datetime) -> None:
        kind, content = (
            ("text", frame)
            if isinstance(frame, str)
            else ("binary", b64encode(frame).decode("ascii"))
        )
        line = {"at": at.astimezone(IST).isoformat(), "type": kind, "frame": content}
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class NoRecording:
    """Keeps nothing."""

    def add(self, frame: bytes | str, at: datetime) -> None:
        return None

    def close(self) -> None:
        return None


def read_frames(
    file: Path, damaged: Callable[[Path], object]
) -> Iterator[tuple[datetime, bytes | str]]:
    """The frames of one connection, each with when it was sent (UTC). A damaged file ends where it
    cannot be read; *damaged* gets its path."""
    with file.open("rb") as lines:
        for line in lines:
            try:
                sent_at, frame = _frame(orjson.loads(line))
            except (ValueError, KeyError, TypeError):
                damaged(file)
                return
            yield sent_at, frame


def _frame(document: Any) -> tuple[datetime, bytes | str]:
    sent_at = datetime.fromisoformat(document["at"]).astimezone(UTC)
    content = str(document["frame"])
    is_text = document["type"] == "text"
    return sent_at, content if is_text else b64decode(content, validate=True)


def recording_of(folder: Path | None, number: int) -> Recording:
    """The recording of connection *number*: `feed-1.jsonl` in *folder*; none without a folder."""
    if folder is None:
        return NoRecording()
    make_folder(folder)
    return FileRecording((folder / f"feed-{number}{FRAMES_SUFFIX}").open("wb"))
