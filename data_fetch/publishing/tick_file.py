"""The newest ticks of a feed in a file, for the other programs of a working folder.

It is written anew in its place several times a second, and never to the disk at once: the system
does that when it likes, so a day of ticks wears no disk. A reader may see a part of what is being
written, which its checksum shows; then it reads again.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from zlib import crc32

import orjson

from data_fetch.core.files import make_folder, private_file
from data_fetch.publishing.redis_streams import OPTION_TICKS, TICKS

log = logging.getLogger(__name__)

# What names a tick among those of its channel.
NAMED_BY = {TICKS: "product", OPTION_TICKS: "symbol"}
CHECKSUM_LETTERS = 8
# A write takes less time than one read.
MOST_READS = 5

Document = Mapping[str, Any]


class TickFile:
    """Writes ticks to *path*, which only its owner can read. Safe to share between threads.

    While it cannot be written, nothing is, and one warning is logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._heads: dict[str, Document] = {}
        self._newest: dict[str, dict[str, Document]] = {channel: {} for channel in NAMED_BY}
        self._failing = False

    def publish_ticks(self, channel: str, ticks: Document) -> None:
        """Write *ticks*, a document of several, beside the newest of all others since the start."""
        with self._lock:
            self._heads[channel] = ticks
            self._newest[channel] |= {tick[NAMED_BY[channel]]: tick for tick in ticks["ticks"]}
            self._write()

    def close(self) -> None:
        """Nothing is open between two writes."""

    def _write(self) -> None:
        body = orjson.dumps(
            {
                channel: {**head, "ticks": list(self._newest[channel].values())}
                for channel, head in self._heads.items()
            }
        )
        try:
            make_folder(self._path.parent)
            private_file(self._path)
            with self._path.open("r+b") as file:
                file.write(_checksum(body) + body)
                file.truncate()
        except OSError as problem:
            if not self._failing:
                log.warning("ticks_not_written", extra={"problem": str(problem)})
            self._failing = True
        else:
            self._failing = False


def mark_of(path: Path) -> bytes:
    """What is another after every write of another content; empty without a file. Raises
    OSError."""
    try:
        with path.open("rb") as file:
            return file.read(CHECKSUM_LETTERS)
    except FileNotFoundError:
        return b""


def ticks_in(path: Path) -> Mapping[str, Document]:
    """The documents of a tick file by channel; none without a file, or in a damaged one. Raises
    OSError where it cannot be read."""
    for _ in range(MOST_READS):
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return {}
        checksum, body = found[:CHECKSUM_LETTERS], found[CHECKSUM_LETTERS:]
        if checksum == _checksum(body):
            documents = orjson.loads(body)
            return documents if isinstance(documents, dict) else {}
    return {}


def _checksum(body: bytes) -> bytes:
    return b"%08x" % crc32(body)
