"""The raw vault: every body that came over the wire, as it came, in files.

``folder/2026-09-16/nse.jsonl.gz``: a folder per Indian day, a file per source, in it one gzip
member per body with one JSON line inside; `zcat` shows it. A body that is the same as the one
before it in its series is a line that says where that one stands (*same_as*, a position in the
file). The header of a member tells its size and its receive time, so that a file is looked
through without unpacking it.

Files are only ever appended to, and members are never changed. Where a program was killed while
it wrote, the file ends in half a member: readers leave that out, writers begin another file
(``nse-2.jsonl.gz``).
"""

import shutil
import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import orjson
from filelock import FileLock

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord

# 60 kB of a chain become 5 kB in half a millisecond; higher levels gain little.
LEVEL = 6
# RFC 1952: magic, deflate, "has an extra field", no time, no flags, unknown system.
HEADER = struct.pack("<4BI2B", 0x1F, 0x8B, 8, 4, 0, 0, 255)
# The length of the extra field; in it our name and the length of what follows.
EXTRA = struct.Struct("<H2sH")
OURS = b"DF"
# The size of the whole member, and the receive time in microseconds since 1970.
TOLD = struct.Struct("<Qq")
TRAILER = struct.Struct("<2I")
FIXED = len(HEADER) + EXTRA.size + TOLD.size
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Series = tuple[str, str, date | None]


def no_progress(_remark: str) -> None:
    """Hears remarks without a word."""


class StoredResponse(NamedTuple):
    """A body and what it was asked for; *expiry* is None where it is about all of them."""

    source: str
    underlying: str
    expiry: date | None
    raw_response: RawResponse


@dataclass(frozen=True, slots=True)
class _FullBody:
    """A body by its digest, and where it stands."""

    digest: bytes
    file: Path
    start: int


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a file: where it stands, and what its header tells."""

    file: Path
    start: int
    size: int
    received_at: int
    underlying: str


class RawResponseStore:
    """Keeps bodies under *folder* for *keep_days* days (0: not at all). Several processes may
    share it."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self._folder = folder
        self._keep_days = keep_days
        self._lock = Lock()
        # How long each file was when it was last seen whole.
        self._whole: dict[Path, int] = {}
        # The newest full body of each series.
        self._bodies: dict[Series, _FullBody] = {}

    def keep(
        self, raw_responses: Iterable[StoredResponse | tuple[str, str, date | None, RawResponse]]
    ) -> None:
        """Append *raw_responses* to the files of their days; all of a file or, when killed, some.

        Raises BadRecord for a receive time without a time zone.
        """
        if self._keep_days == 0:
            return
        several = sorted((StoredResponse(*each) for each in raw_responses), key=_file_of)
        for (day, source), alike in groupby(several, _file_of):
            self._append(self._folder / day, source, list(alike))

    def prune(self, today: date) -> list[date]:
        """Remove the days that are more than *keep_days* before *today*; which those were."""
        gone = [day for day in self._days() if day < today - timedelta(days=self._keep_days)]
        for day in gone:
            shutil.rmtree(self._folder / day.isoformat(), ignore_errors=True)
        return gone

    def raw_responses(
        self,
        first_day: date,
        last_day: date,
        underlying: str | None = None,
        source: str | None = None,
        tell: Callable[[str], None] = no_progress,
    ) -> Iterator[StoredResponse]:
        """The bodies of these Indian days in the order in which they were received.

        Streamed: one body is in memory at a time. *tell* hears of what cannot be read.
        """
        for day in self._days():
            if not first_day <= day <= last_day:
                continue
            found: list[_Member] = []
            for file in _files(self._folder / day.isoformat(), source):
                # Looked at first: somebody may be writing.
                size = file.stat().st_size
                members, end = _members(file)
                found += members
                if end < size:
                    tell(f"{file} ends in half a record, at byte {end}: left out")
            yield from _read_all(_in_order(found, underlying), tell)

    def _append(self, folder: Path, source: str, several: Sequence[StoredResponse]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with self._lock, FileLock(folder / f"{source}.lock"):
            file, end = self._writable(folder, source)
            members = []
            bodies: dict[Series, _FullBody] = {}
            for kept in several:
                members.append(self._member(kept, file, end, bodies))
                end += len(members[-1])
            with file.open("ab") as stream:
                stream.write(b"".join(members))
            # Not before they are really there: a disk may be full.
            self._whole[file] = end
            self._bodies |= bodies

    def _writable(self, folder: Path, source: str) -> tuple[Path, int]:
        """A file that ends in a whole member, and its length."""
        number = 1
        while True:
            file = _numbered(folder, source, number)
            size = file.stat().st_size if file.exists() else 0
            if size < self._whole.get(file, 0):
                self._forget(file)
            known = self._whole.get(file, 0)
            if size == known:
                return file, size
            number += 1
            _, end = _members(file, known)
            # A later file stands where an earlier one was found torn.
            if end == size and not _numbered(folder, source, number).exists():
                return file, size

    def _forget(self, file: Path) -> None:
        """Somebody removed *file* or cut it short: nothing may refer to what stood there."""
        del self._whole[file]
        self._bodies = {series: one for series, one in self._bodies.items() if one.file != file}

    def _member(
        self, kept: StoredResponse, file: Path, start: int, bodies: dict[Series, _FullBody]
    ) -> bytes:
        """What to write at *start* of *file*; a full body is added to *bodies*."""
        series = (kept.source, kept.underlying, kept.expiry)
        digest = blake2b(kept.raw_response.body, digest_size=16).digest()
        known = bodies.get(series) or self._bodies.get(series)
        if known is not None and (known.digest, known.file) == (digest, file):
            return _packed(kept, {"same_as": known.start})
        bodies[series] = _FullBody(digest, file, start)
        return _packed(kept, _body(kept.raw_response.body))

    def _days(self) -> list[date]:
        folders = self._folder.iterdir() if self._folder.is_dir() else ()
        return sorted(day for each in folders if (day := _day(each.name)) is not None)


def _file_of(kept: StoredResponse) -> tuple[str, str]:
    received_at = kept.raw_response.received_at
    if received_at.tzinfo is None:
        raise BadRecord(f"{kept.underlying}: received at {received_at}, no time zone")
    return received_at.astimezone(IST).date().isoformat(), kept.source


def _numbered(folder: Path, source: str, number: int) -> Path:
    return folder / (f"{source}.jsonl.gz" if number == 1 else f"{source}-{number}.jsonl.gz")


def _files(folder: Path, source: str | None) -> list[Path]:
    files = sorted(folder.glob("*.jsonl.gz"))
    if source is None:
        return files
    return [file for file in files if file.name.startswith((f"{source}.", f"{source}-"))]


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _body(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def _packed(kept: StoredResponse, body: dict[str, Any]) -> bytes:
    """One gzip member."""
    line = orjson.dumps(
        {
            "source": kept.source,
            "underlying": kept.underlying,
            "expiry": kept.expiry,
            "received_at": kept.raw_response.received_at.astimezone(UTC),
            "status": kept.raw_response.status,
            **body,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(line) + packer.flush()
    name = kept.underlying.encode()
    received_at = (kept.raw_response.received_at - EPOCH) // MICROSECOND
    told = TOLD.size + len(name)
    return b"".join(
        (
            HEADER,
            EXTRA.pack(EXTRA.size - 2 + told, OURS, told),
            TOLD.pack(FIXED + len(name) + len(packed) + TRAILER.size, received_at),
            name,
            packed,
            TRAILER.pack(zlib.crc32(line), len(line) & 0xFFFFFFFF),
        )
    )


def _members(file: Path, start: int = 0) -> tuple[list[_Member], int]:
    """The members of *file* from *start* on that are there whole, and where they end."""
    size, members = file.stat().st_size, []
    with file.open("rb") as stream:
        while (member := _member_at(stream, file, start)) is not None:
            if start + member.size > size:
                break
            members.append(member)
            start += member.size
    return members, start


def _member_at(stream: BinaryIO, file: Path, start: int) -> _Member | None:
    stream.seek(start)
    fixed = stream.read(FIXED)
    if len(fixed) < FIXED or not fixed.startswith(HEADER):
        return None
    _, name, told = EXTRA.unpack_from(fixed, len(HEADER))
    if name != OURS or told < TOLD.size:
        return None
    size, received_at = TOLD.unpack_from(fixed, len(HEADER) + EXTRA.size)
    underlying = stream.read(told - TOLD.size).decode(errors="replace")
    return _Member(file, start, size, received_at, underlying) if size > FIXED else None


def _in_order(members: Iterable[_Member], underlying: str | None) -> list[_Member]:
    wanted = (each for each in members if underlying in {None, each.underlying})
    return sorted(wanted, key=lambda each: (each.received_at, each.file.name, each.start))


def _read_all(members: Sequence[_Member], tell: Callable[[str], None]) -> Iterator[StoredResponse]:
    for member in members:
        try:
            kept = _read(member)
        except (OSError, ValueError, KeyError, zlib.error, struct.error) as problem:
            tell(f"{member.file}, the record at byte {member.start}: left out ({problem})")
        else:
            yield kept


def _read(member: _Member) -> StoredResponse:
    with member.file.open("rb") as stream:
        told = _line(stream, member.start, member.size)
        full = told
        if "same_as" in told:
            other = _member_at(stream, member.file, told["same_as"])
            if other is None:
                raise ValueError("the body it repeats is gone")
            full = _line(stream, other.start, other.size)
    body = full["body"].encode() if "body" in full else b64decode(full["body_base64"])
    received_at = datetime.fromisoformat(told["received_at"])
    expiry = None if told["expiry"] is None else date.fromisoformat(told["expiry"])
    raw_response = RawResponse(received_at, told["status"], body)
    return StoredResponse(told["source"], told["underlying"], expiry, raw_response)


def _line(stream: BinaryIO, start: int, size: int) -> dict[str, Any]:
    stream.seek(start)
    unpacked = zlib.decompress(stream.read(size), wbits=zlib.MAX_WBITS | 16)
    line: dict[str, Any] = orjson.loads(unpacked)
    return line
