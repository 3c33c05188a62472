"""Messages of the feed as they were received: a file for each minute.

``folder/2026-09-16/0915.feed.gz``: the messages that were received from 09:15 IST on, in one gzip
stream; a second file of one minute, after a restart, is ``0915-2.feed.gz``. Each message has its
receive time in microseconds since 1970 UTC, whether it is text, its length, and its bytes. A file
gets its name when its minute is over; of a program that was killed one without a name is left.
"""

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

from data_fetch.core.clock import IST, minute_of
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


class RecordedMessage(NamedTuple):
    """A message, and when it was received (UTC)."""

    received_at: datetime
    message: bytes | str


class FeedRecorder:
    """Records into *folder*. Satisfies `core.feed.recorder.MessageRecorder`.

    *problem* says why the present minute is not recorded; the next one is tried again.
    """

    def __init__(self, folder: Path) -> None:
        self.problem = ""
        self._folder = folder
        self._minute: datetime | None = None
        self._file: Path | None = None
        self._stream: gzip.GzipFile | None = None

    def add(self, message: bytes | str, received_at: datetime) -> None:
        """Append *message* to the file of its minute."""
        try:
            minute = minute_of(received_at)
            if minute != self._minute:
                self._finish()
                self._begin(minute)
            if self._stream is not None:
                self._stream.write(_record(message, received_at))
        except OSError as problem:
            self.problem = f"the feed is not recorded: {problem.strerror or problem}"
            self._file = self._stream = None

    def close(self) -> None:
        """Complete the file of the present minute."""
        try:
            self._finish()
        except OSError as problem:
            self.problem = f"the feed is not recorded: {problem.strerror or problem}"
        self._minute = self._file = self._stream = None

    def _begin(self, minute: datetime) -> None:
        self._minute = minute
        local = minute.astimezone(IST)
        folder = self._folder / local.date().isoformat()
        private_folder(folder)
        names = (f"{local:%H%M}" if n == 1 else f"{local:%H%M}-{n}" for n in count(1))
        self._file = next(
            path for name in names if not (path := folder / f"{name}{SUFFIX}").exists()
        )
        unfinished = _unfinished(self._file)
        unfinished.touch(mode=OWNER_ONLY)
        self._stream = gzip.GzipFile(unfinished, "wb", compresslevel=LEVEL)
        self.problem = ""

    def _finish(self) -> None:
        """Give the file of the minute its name."""
        stream, file = self._stream, self._file
        self._stream = self._file = None
        if stream is not None and file is not None:
            stream.close()
            _unfinished(file).replace(file)


def recording_files(folder: Path) -> list[Path]:
    """The complete recordings in *folder*, in the order of their minutes."""
    return sorted(folder.glob(f"*/*{SUFFIX}"), key=_place)


def read_recordings(files: Iterable[Path]) -> Iterator[RecordedMessage]:
    """The messages of *files*, in order. A damaged file ends where it cannot be read."""
    for file in files:
        with gzip.open(file, "rb") as stream:
            yield from _messages(stream)


def _place(file: Path) -> tuple[str, str, int]:
    minute, _, number = file.name.removesuffix(SUFFIX).partition("-")
    return file.parent.name, minute, int(number or 1)


def _unfinished(file: Path) -> Path:
    return file.with_name(file.name + UNFINISHED)


def _record(message: bytes | str, received_at: datetime) -> bytes:
    is_text = isinstance(message, str)
    content = message.encode() if isinstance(message, str) else message
    return HEAD.pack((received_at - EPOCH) // MICROSECOND, is_text, len(content)) + content


def _messages(stream: gzip.GzipFile) -> Iterator[RecordedMessage]:
    while True:
        try:
            head = stream.read(HEAD.size)
            if len(head) < HEAD.size:
                return
            at, is_text, length = HEAD.unpack(head)
            content = stream.read(min(length, LARGEST_MESSAGE))
            received_at = EPOCH + at * MICROSECOND
        except (OSError, EOFError, zlib.error, OverflowError):
            return
        if len(content) < length:
            return
        text = content.decode("utf-8", "replace") if is_text else None
        yield RecordedMessage(received_at, content if text is None else text)
