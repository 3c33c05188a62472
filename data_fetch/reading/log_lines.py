"""The newest lines of the log files in the working folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from data_fetch.core.settings import Settings
from data_fetch.runtime.logs import TIMESTAMP

# Of the end of each file.
READ_BYTES = 256 * 1024
LEVELS = ("debug", "info", "warning", "error", "critical")
HEAD = frozenset({"timestamp", "service", "level", "event", "logger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line. *fields* are those beside its head; secrets in them are masked when it is
    written."""

    at: datetime
    service: str
    level: str
    event: str
    fields: dict[str, Any]


def log_lines(settings: Settings, *, least: str = "info", limit: int = 100) -> Sequence[LogLine]:
    """The newest lines of all services with the level *least* or above, newest first.

    Only the last 256 kB of each file are read. Without a folder there are none.
    """
    levels = set(LEVELS[LEVELS.index(least) :])
    lines = [
        line
        for file in settings.log_folder.glob("*.log")
        for line in _lines(file)
        if line.level in levels
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:limit]


def _lines(file: Path) -> Iterator[LogLine]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - READ_BYTES))
            texts = stream.read(READ_BYTES).splitlines()
    except OSError:
        # It was rotated away, or belongs to another user.
        return
    for text in texts:
        line = _line(text)
        if line is not None:
            yield line


def _line(text: bytes) -> LogLine | None:
    """None for what is no whole line of ours: the first one read may be cut."""
    try:
        facts = orjson.loads(text)
        at = datetime.strptime(facts["timestamp"], TIMESTAMP).replace(tzinfo=UTC)
        return LogLine(
            at=at,
            service=facts["service"],
            level=facts["level"],
            event=facts["event"],
            fields={name: value for name, value in facts.items() if name not in HEAD},
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
