"""Messages of the feed as they were received: a file for each minute.

``folder/2026-09-16/0915.feed.gz``: the messages that were received from 09:15 IST on, in one gzip
stream; a second file of one minute, after a restart, is ``0915-2.feed.gz``. Each message has its
receive time in microseconds since 1970 UTC, whether it is text, its length, and its bytes. A file
gets its name when its minute is over; of a program that was killed, and of a disk that is full, one
without a name is left.
"""

import errno
import gzip
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

from data_fetch.core.clock import IST, minute_of
from data_fetch.core.feed.recorder import RecordingStatus
from data_fetch.core.files import OWNER_ONLY, UNFINISHED, private_folder

# Receive time, whether it is text, length.
HEAD = struct.Struct("<q?I")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# A message of the feed has at most 16 MB.
LARGEST_MESSAGE = 2**26
# Most of what a higher level gains costs more time than the feed has.
LEVEL = 1
SUFFIX = ".feed.gz"

DAMAGE = (OSError, EOFError, zlib.error, OverflowError)


class RecordedMessage(NamedTuple):
    """A message, and when it was received (UTC)."""

    received_at: datetime
    message: bytes | str


def ignore_damage(_file: Path) -> None:
    """Discard the name of a damaged file."""


class FeedRecorder:
    """Records into *folder*, while its disk has more than *reserved* bytes left for others.

    Satisfies `core.feed.recorder.MessageRecorder`. A minute that fails ends there, and the next one
    is tried again.
    """

    def __init__(self, folder: Path, reserved: int = 0) -> None:
        self._folder = folder
        self._reserved = reserved
        self._status = RecordingStatus()
        self._minute: datetime | None = None
        self._file: Path | None = None
        self._stream: gzip.GzipFile | None = None

    def add(self, message: bytes | str, received_at: datetime) -> None:
        """Append *message* to the file of its minute."""
        minute = minute_of(received_at)
        if minute != self._minute:
            self._minute = minute
            self._attempt(self._finish)
            self._attempt(lambda: self._begin(minute))
        stream = self._stream
        if stream is not None:
            self._attempt(lambda: stream.write(_record(message, received_at)))

    def close(self) -> None:
        """Complete the file of the present minute."""
        self._attempt(self._finish)
        self._minute = None

    def status(self) -> RecordingStatus:
        """How it went since the start."""
        return self._status

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as problem:
            self._file = self._stream = None
            self._status = replace(
                self._status,
                failed=self._status.failed + 1,
                problem=f"the feed is not recorded: {problem.strerror or problem}",
            )

    def _begin(self, minute: datetime) -> None:
        local = minute.astimezone(IST)
        folder = self._folder / local.date().isoformat()
        private_folder(folder)
        if shutil.disk_usage(folder).free < self._reserved:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        names = (f"{local:%H%M}" if n == 1 else f"{local:%H%M}-{n}" for n in count(1))
        self._file = next(
            path for name in names if not _is_taken(path := folder / f"{name}{SUFFIX}")
        )
        unfinished = _unfinished(self._file)
        unfinished.touch(mode=OWNER_ONLY)
        self._stream = gzip.GzipFile(unfinished, "wb", compresslevel=LEVEL)
        self._status = replace(self._status, problem="")

    def _finish(self) -> None:
        """Give the file of the minute its name."""
        stream, file = self._stream, self._file
        self._stream = self._file = None
        if stream is not None and file is not None:
            stream.close()
            _unfinished(file).replace(file)
            self._status = replace(self._status, files=self._status.files + 1)


def recorded_days(folder: Path) -> list[date]:
    """The Indian days in *folder* with recordings, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(day for each in found if (day := _day(each.name)) is not None)


def prune_recordings(folder: Path, before: date) -> list[date]:
    """Remove the days in *folder* that are earlier than *before*; return them. Raises OSError."""
    old = [day for day in recorded_days(folder) if day < before]
    for day in old:
        shutil.rmtree(folder / day.isoformat())
    return old


def recording_files(folder: Path) -> list[Path]:
    """The complete recordings in *folder*, of one day or of several, in the order of their
    minutes."""
    return sorted(folder.rglob(f"*{SUFFIX}"), key=_place)


def minute_name(file: Path) -> str:
    """The minute of a recording, as in ``0915``."""
    return _place(file)[1]


def read_recordings(
    files: Iterable[Path], damaged: Callable[[Path], object] = ignore_damage
) -> Iterator[RecordedMessage]:
    """The messages of *files*, in order. A damaged file ends where it cannot be read; *damaged*
    gets its path."""
    for file in files:
        try:
            with gzip.open(file, "rb") as stream:
                yield from _messages(stream)
        except DAMAGE:
            damaged(file)


def _place(file: Path) -> tuple[str, str, int]:
    minute, _, number = file.name.removesuffix(SUFFIX).partition("-")
    return file.parent.name, minute, int(number) if number.isdecimal() else 1


def _day(name: str) -> date | None:
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    # Other ways to write a date are no folders of ours.
    return day if day.isoformat() == name else None


def _is_taken(file: Path) -> bool:
    """Whether *file* is there, or what a killed program, or another one, has of it."""
    return file.exists() or _unfinished(file).exists()


def _unfinished(file: Path) -> Path:
    return file.with_name(file.name + UNFINISHED)


def _record(message: bytes | str, received_at: datetime) -> bytes:
    is_text = isinstance(message, str)
    content = message.encode() if isinstance(message, str) else message
    return HEAD.pack((received_at - EPOCH) // MICROSECOND, is_text, len(content)) + content


def _messages(stream: gzip.GzipFile) -> Iterator[RecordedMessage]:
    """Raises one of `DAMAGE` where the stream ends too early, or has no message."""
    while head := stream.read(HEAD.size):
        if len(head) < HEAD.size:
            raise EOFError
        at, is_text, length = HEAD.unpack(head)
        content = stream.read(min(length, LARGEST_MESSAGE))
        if len(content) < length:
            raise EOFError
        text = content.decode("utf-8", "replace") if is_text else None
        yield RecordedMessage(EPOCH + at * MICROSECOND, content if text is None else text)
