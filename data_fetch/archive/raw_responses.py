"""Raw responses in files: every body as it was received.

``folder/2026-09-16/nse.jsonl.gz``: a folder per Indian day, a file per source, in it one gzip
member per body with one JSON line inside; `zcat` shows it. A body that is equal to the one before
it in its series is a line with the position of that one in the file (*same_as*). The header of a
member has its size and its receive time, so that a file is searched without decompressing it.

Files are only appended to, and members are never changed. If a program is killed while it writes,
the file ends in an incomplete member: readers skip it, writers begin another file
(``nse-2.jsonl.gz``). Where a file is damaged, reading goes on at the next header.
"""

import mmap
import os
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
from data_fetch.core.files import OWNER_ONLY, private_file, private_folder

# NSE's body of NIFTY, 241 kB, becomes 30 kB in 7 ms; Upstox's, 81 kB, becomes 13 kB. Higher levels
# gain little.
LEVEL = 6
# RFC 1952: magic, deflate, "has an extra field", no time, no flags, unknown system.
HEADER = struct.pack("<4BI2B", 0x1F, 0x8B, 8, 4, 0, 0, 255)
# The length of the extra field; in it our id and the length of the rest.
EXTRA = struct.Struct("<H2sH")
OURS = b"DF"
# The size of the whole member, and the receive time in microseconds since 1970.
MEMBER = struct.Struct("<Qq")
TRAILER = struct.Struct("<2I")
FIXED = len(HEADER) + EXTRA.size + MEMBER.size
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# One of the largest body, each byte of which may be written as six.
LARGEST_RECORD = 2**29

UNREADABLE = (OSError, ValueError, KeyError, zlib.error, struct.error)

Series = tuple[str, str, date | None]


def ignore_remark(_remark: str) -> None:
    """Discard a remark."""


class StoredResponse(NamedTuple):
    """A response and what was requested; *expiry* is None if it is about all expiries."""

    source: str
    underlying: str
    expiry: date | None
    raw_response: RawResponse


@dataclass(frozen=True, slots=True)
class _FullBody:
    """A body by its digest, with its position."""

    digest: bytes
    file: Path
    start: int


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of a file: its position, and the contents of its header."""

    file: Path
    start: int
    size: int
    received_at: int
    underlying: str


@dataclass(frozen=True, slots=True)
class _Contents:
    """The complete members of a file, the ranges of bytes that are *damaged*, and the *end* of the
    last complete member."""

    members: list[_Member]
    damaged: list[tuple[int, int]]
    end: int


class RawResponseStore:
    """Stores responses under *folder* for *keep_days* days (0: not at all). Several processes may
    share it."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self.folder = folder
        self._keep_days = keep_days
        self._lock = Lock()
        # The length of each file when it last ended in a complete member.
        self._whole: dict[Path, int] = {}
        # The newest full body of each series.
        self._bodies: dict[Series, _FullBody] = {}

    def append(
        self, raw_responses: Iterable[StoredResponse | tuple[str, str, date | None, RawResponse]]
    ) -> None:
        """Append *raw_responses* to the files of their days; to each file all, or some if killed.

        Raises BadRecord for a receive time without a time zone.
        """
        if self._keep_days == 0:
            return
        responses = sorted((StoredResponse(*each) for each in raw_responses), key=_file_of)
        for (day, source), of_file in groupby(responses, _file_of):
            self._write(self.folder / day, source, list(of_file))

    def prune(self, today: date) -> list[date]:
        """Remove the days that are more than *keep_days* before *today*; return them."""
        gone = [day for day in self._days() if day < today - timedelta(days=self._keep_days)]
        for day in gone:
            shutil.rmtree(self.folder / day.isoformat(), ignore_errors=True)
        return gone

    def raw_responses(
        self,
        first_day: date,
        last_day: date,
        underlying: str | None = None,
        source: str | None = None,
        report: Callable[[str], None] = ignore_remark,
    ) -> Iterator[StoredResponse]:
        """The bodies of these Indian days in the order in which they were received.

        Streamed: one body is in memory at a time. *report* gets a remark on each unreadable record.
        """
        for day in self._days():
            if not first_day <= day <= last_day:
                continue
            found: list[_Member] = []
            for file in _files(self.folder / day.isoformat(), source):
                # Taken before reading, because a process may be writing.
                size = file.stat().st_size
                contents = _contents(file)
                found += contents.members
                for first, end in contents.damaged:
                    report(f"{file} is damaged from byte {first} to byte {end}: skipped")
                if contents.end < size:
                    report(f"{file} ends in an incomplete record, at byte {contents.end}: skipped")
            yield from _read_all(_in_order(found, underlying), report)

    def underlyings(self, first_day: date, last_day: date) -> list[tuple[date, str]]:
        """The Indian days of this range with a body, and of which underlyings."""
        found = {
            (day, member.underlying)
            for day in self._days()
            if first_day <= day <= last_day
            for file in _files(self.folder / day.isoformat(), None)
            for member in _contents(file).members
        }
        return sorted(found)

    def _write(self, folder: Path, source: str, responses: Sequence[StoredResponse]) -> None:
        private_folder(folder)
        with self._lock, FileLock(folder / f"{source}.lock", mode=OWNER_ONLY):
            file, end = self._writable(folder, source)
            members = []
            bodies: dict[Series, _FullBody] = {}
            for response in responses:
                members.append(self._member(response, file, end, bodies))
                end += len(members[-1])
            private_file(file)
            with file.open("ab") as stream:
                stream.write(b"".join(members))
            # Only after they are written, because a disk may be full.
            self._whole[file] = end
            self._bodies |= bodies

    def _writable(self, folder: Path, source: str) -> tuple[Path, int]:
        """A file that ends in a complete member, and its length."""
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
            # A later file exists where an earlier one ended in an incomplete member.
            follows = _numbered(folder, source, number).exists()
            if not follows and _contents(file, known).end == size:
                return file, size

    def _forget(self, file: Path) -> None:
        """Drop all references into *file*, which was removed or truncated."""
        del self._whole[file]
        self._bodies = {series: one for series, one in self._bodies.items() if one.file != file}

    def _member(
        self, response: StoredResponse, file: Path, start: int, bodies: dict[Series, _FullBody]
    ) -> bytes:
        """The bytes to write at *start* of *file*; a full body is added to *bodies*."""
        series = (response.source, response.underlying, response.expiry)
        digest = blake2b(response.raw_response.body, digest_size=16).digest()
        known = bodies.get(series) or self._bodies.get(series)
        if known is not None and (known.digest, known.file) == (digest, file):
            return _packed(response, {"same_as": known.start})
        bodies[series] = _FullBody(digest, file, start)
        return _packed(response, _body(response.raw_response.body))

    def _days(self) -> list[date]:
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(day for each in folders if (day := _day(each.name)) is not None)


def _file_of(response: StoredResponse) -> tuple[str, str]:
    received_at = response.raw_response.received_at
    if received_at.tzinfo is None:
        raise BadRecord(f"{response.underlying}: received at {received_at}, no time zone")
    return received_at.astimezone(IST).date().isoformat(), response.source


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


def _packed(response: StoredResponse, body: dict[str, Any]) -> bytes:
    """One gzip member."""
    line = orjson.dumps(
        {
            "source": response.source,
            "underlying": response.underlying,
            "expiry": response.expiry,
            "received_at": response.raw_response.received_at.astimezone(UTC),
            "status": response.raw_response.status,
            **body,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(line) + packer.flush()
    name = response.underlying.encode()
    received_at = (response.raw_response.received_at - EPOCH) // MICROSECOND
    extra_size = MEMBER.size + len(name)
    return b"".join(
        (
            HEADER,
            EXTRA.pack(EXTRA.size - 2 + extra_size, OURS, extra_size),
            MEMBER.pack(FIXED + len(name) + len(packed) + TRAILER.size, received_at),
            name,
            packed,
            TRAILER.pack(zlib.crc32(line), len(line) & 0xFFFFFFFF),
        )
    )


def _contents(file: Path, start: int = 0) -> _Contents:
    """The complete members of *file* from *start* on."""
    size = file.stat().st_size
    members: list[_Member] = []
    damaged: list[tuple[int, int]] = []
    with file.open("rb") as stream:
        while start < size:
            member = _member_at(stream, file, start)
            if member is not None and _ends_where_it_says(stream, member, size):
                members.append(member)
                start += member.size
                continue
            following = _next_header(stream, file, start + 1)
            if following is None:
                break
            damaged.append((start, following))
            start = following
    return _Contents(members, damaged, start)


def _ends_where_it_says(stream: BinaryIO, member: _Member, size: int) -> bool:
    """Whether *member* is complete; its size may be what is damaged, or the header after it."""
    end = member.start + member.size
    if end >= size:
        return end == size
    return _member_at(stream, member.file, end) is not None or _is_readable(member)


def _is_readable(member: _Member) -> bool:
    try:
        _read(member)
    except UNREADABLE:
        return False
    return True


def _next_header(stream: BinaryIO, file: Path, start: int) -> int | None:
    """Where the next member begins, at *start* or later; None when there is none."""
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        while (start := whole.find(HEADER, start)) >= 0:
            if _member_at(stream, file, start) is not None:
                return start
            start += 1
    return None


def _member_at(stream: BinaryIO, file: Path, start: int) -> _Member | None:
    stream.seek(start)
    fixed = stream.read(FIXED)
    if len(fixed) < FIXED or not fixed.startswith(HEADER):
        return None
    _, name, extra_size = EXTRA.unpack_from(fixed, len(HEADER))
    if name != OURS or extra_size < MEMBER.size:
        return None
    size, received_at = MEMBER.unpack_from(fixed, len(HEADER) + EXTRA.size)
    underlying = stream.read(extra_size - MEMBER.size).decode(errors="replace")
    return _Member(file, start, size, received_at, underlying) if size > FIXED else None


def _in_order(members: Iterable[_Member], underlying: str | None) -> list[_Member]:
    wanted = (each for each in members if underlying in {None, each.underlying})
    return sorted(wanted, key=lambda each: (each.received_at, each.file.name, each.start))


def _read_all(
    members: Sequence[_Member], report: Callable[[str], None]
) -> Iterator[StoredResponse]:
    for member in members:
        try:
            response = _read(member)
        except UNREADABLE as problem:
            report(f"{member.file}, the record at byte {member.start}: skipped ({problem})")
        else:
            yield response


def _read(member: _Member) -> StoredResponse:
    with member.file.open("rb") as stream:
        record = _line(stream, member.start, member.size)
        full = record
        if "same_as" in record:
            other = _member_at(stream, member.file, record["same_as"])
            if other is None:
                raise ValueError("the body it refers to is missing")
            full = _line(stream, other.start, other.size)
    body = full["body"].encode() if "body" in full else b64decode(full["body_base64"])
    received_at = datetime.fromisoformat(record["received_at"])
    expiry = None if record["expiry"] is None else date.fromisoformat(record["expiry"])
    raw_response = RawResponse(received_at, record["status"], body)
    return StoredResponse(record["source"], record["underlying"], expiry, raw_response)


def _line(stream: BinaryIO, start: int, size: int) -> dict[str, Any]:
    stream.seek(start)
    # Damaged bytes may name any size; no more is read than there is.
    packed = stream.read(min(size, os.fstat(stream.fileno()).st_size))
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    unpacked = unpacking.decompress(packed, LARGEST_RECORD)
    if not unpacking.eof:
        raise ValueError("its end is missing, or it is too long")
    line: dict[str, Any] = orjson.loads(unpacked)
    return line
