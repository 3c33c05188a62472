"""Option-chain bodies that somebody captured: the documents in a file, and what they tell.

Files are read as they are found in the world: single bodies, one document a line, archives
of such files, all of them plain or gzipped, and each body bare or wrapped up beside the time
at which it was fetched. A document of an unknown shape is refused by name, never half read.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from reprlib import repr as shortened
from typing import IO, Any

from data_fetch.core.chains.chains import ChainError, ParsedChains
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.bodies import BYTE_ORDER_MARK, parsed
from data_fetch.sources.chain_parsing.values import read_stamp
from data_fetch.sources.nse.chain_rows import read_nse_chains
from data_fetch.sources.upstox.chain_rows import read_upstox_chain

ARCHIVES = (".tar", ".tar.gz", ".tgz")
LINES = (".jsonl", ".ndjson")
PAGES = (".html", ".htm")
GZIP_MAGIC = b"\x1f\x8b"

# Members that hold a body, and members that say when it was fetched.
WRAPPED_IN = ("data", "response", "body", "payload")
TIMES = (
    "captured_at_utc",
    "captured_at",
    "fetched_at_utc",
    "fetched_at",
    "received_at_utc",
    "received_at",
    "time_utc",
    "time",
    "timestamp_utc",
    "timestamp",
)
DEEPEST = 4
# Seconds since 1970 have ten digits until the year 2286.
FIRST_MILLISECOND = 1e11
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# How far the clock of a collector may be behind that of the exchange.
CLOCKS_APART = timedelta(minutes=5)

Plain = IO[bytes] | gzip.GzipFile

NSE_SIDES = {"CE", "PE"}
UPSTOX_SIDES = {"call_options", "put_options"}


@dataclass(frozen=True, slots=True)
class CapturedDocument:
    """One body: parsed JSON, or bytes that hold none. *captured_at* is when it was fetched,
    where whoever fetched it has told."""

    name: str
    captured_at: datetime | None
    body: Any


def documents_in(path: Path) -> Iterator[CapturedDocument]:
    """The documents of a file, one after the other; only one of them is in memory.

    Raises OSError when there is no such file; ChainError where a compressed file is damaged,
    when everything before that has been told.
    """
    with path.open("rb") as file:
        try:
            yield from _in_file(path.name, file)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as problem:
            raise ChainError(
                FailureKind.NOT_JSON,
                f"{path.name} is cut short or damaged ({type(problem).__name__})",
                hint="Fetch the file again; what stands before the damage can be read.",
            ) from None


def read_document(document: CapturedDocument) -> ParsedChains:
    """The chains in a captured body, whichever provider it is from. Raises ChainError."""
    body = document.body
    if isinstance(body, bytes):
        body = parsed(body)
    if isinstance(body, list):
        body = {"data": body}
    if not isinstance(body, dict):
        raise ChainError(FailureKind.NOT_A_CHAIN, f"a single {type(body).__name__}")
    rows = body.get("data")
    if "records" in body or "filtered" in body or _has(rows, NSE_SIDES):
        return read_nse_chains(body)
    if _has(rows, UPSTOX_SIDES):
        return read_upstox_chain(rows)
    raise _no_chain(body)


def _no_chain(body: Mapping[str, Any]) -> ChainError:
    if not body:
        return ChainError(FailureKind.EMPTY_OBJECT, "an object with nothing in it")
    if body.get("data") == []:
        return ChainError(FailureKind.EMPTY_LIST, "a chain without rows")
    if body.get("status") == "error" or "errors" in body:
        return ChainError(FailureKind.REFUSED, f"an error of the provider: {shortened(body)}")
    names = ", ".join(sorted(map(str, body))[:6])
    return ChainError(FailureKind.NOT_A_CHAIN, f"an object of {names}")


def _has(rows: Any, names: set[str]) -> bool:
    """Whether any of *rows* has a member with one of *names*."""
    return isinstance(rows, list) and any(
        isinstance(row, dict) and not names.isdisjoint(row) for row in rows
    )


def _in_file(name: str, file: BufferedReader) -> Iterator[CapturedDocument]:
    if name.lower().endswith(ARCHIVES):
        yield from _in_archive(name, file)
    elif file.peek(2)[:2] == GZIP_MAGIC:
        # Files that were gzipped bit by bit have several members, which are read as one.
        with gzip.open(file) as unpacked:
            yield from _in_plain(name, unpacked)
    else:
        yield from _in_plain(name, file)


def _in_archive(name: str, file: BufferedReader) -> Iterator[CapturedDocument]:
    # As a stream: an archive of a year of captures is not unpacked twice.
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            hidden = PurePosixPath(member.name).name.startswith(".")
            inside = archive.extractfile(member) if member.isfile() and not hidden else None
            if isinstance(inside, BufferedReader):
                yield from _in_file(f"{name}/{member.name}", inside)


def _in_plain(name: str, file: Plain) -> Iterator[CapturedDocument]:
    if _bare(name).endswith(PAGES):
        yield CapturedDocument(name, None, file.read())
        return
    lines = _numbered_lines(file)
    begin = list(islice(lines, 2))
    if len(begin) == 2 and _is_one_a_line(name, begin[0][1], begin[1][1]):
        for number, line in chain(begin, lines):
            yield from _unwrapped(f"{name}:{number}", line)
    else:
        yield from _unwrapped(name, b"\n".join(line for _, line in chain(begin, lines)))


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _numbered_lines(file: Plain) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, 1):
        stripped = line.removeprefix(BYTE_ORDER_MARK).strip()
        if stripped:
            yield number, stripped


def _is_one_a_line(name: str, first: bytes, second: bytes) -> bool:
    """Whether every line is a document; its first may have been torn by a crash."""
    if _bare(name).endswith(LINES):
        return True
    torn = first.startswith(b"{") and len(first) > 1
    return _is_document(first) or (torn and _is_document(second))


def _is_document(line: bytes) -> bool:
    if not line.startswith((b"{", b"[")):
        return False
    try:
        parsed(line)
    except ChainError:
        return False
    return True


def _unwrapped(name: str, text: bytes) -> Iterator[CapturedDocument]:
    """The documents in *text*: one, or those of a list of them."""
    try:
        told = parsed(text)
    except ChainError:
        yield CapturedDocument(name, None, text)
        return
    if isinstance(told, list) and told and all(map(_is_wrapper_or_body, told)):
        for number, one in enumerate(told, 1):
            yield _peeled(f"{name}#{number}", one)
    else:
        yield _peeled(name, told)


def _is_wrapper_or_body(told: Any) -> bool:
    return isinstance(told, dict) and (_is_body(told) or _inner(told) is not None)


def _peeled(name: str, told: Any) -> CapturedDocument:
    """The body inside of what a collector has wrapped around it."""
    clues: list[tuple[str, object]] = []
    for _ in range(DEEPEST):
        if not isinstance(told, dict):
            break
        clues += _times_in(told)
        inner = None if _is_body(told) else _inner(told)
        if inner is None:
            break
        told = _body_of(inner)
    return CapturedDocument(name, _captured_at(clues, told), told)


def _is_body(told: Mapping[str, Any]) -> bool:
    return "records" in told or _has(told.get("data"), NSE_SIDES | UPSTOX_SIDES)


def _inner(told: Mapping[str, Any]) -> Any:
    """What is wrapped in *told*, if it is a wrapper."""
    for name in WRAPPED_IN:
        value = told.get(name)
        if isinstance(value, dict | str) or (name != "data" and isinstance(value, list)):
            return value
    bearing = (value for value in told.values() if isinstance(value, dict) and "records" in value)
    return next(bearing, None)


def _body_of(inner: Any) -> Any:
    """A body that was stored as text is parsed; one that cannot be stays the bytes it was."""
    if not isinstance(inner, str):
        return inner
    text = inner.encode("utf-8", "replace")
    try:
        return parsed(text)
    except ChainError:
        return text


def _times_in(told: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Members that may be the time of fetching. `timestamp` beside rows is the exchange's."""
    return [
        (name, told[name])
        for name in TIMES
        if name in told and not (name == "timestamp" and _has(told.get("data"), NSE_SIDES))
    ]


def _captured_at(clues: list[tuple[str, object]], body: Any) -> datetime | None:
    """The first usable time, outermost first."""
    stamp = _exchange_stamp(body)
    for name, value in clues:
        at = _instant_of(value, name, stamp)
        if at is not None:
            return at
    return None


def _instant_of(value: object, name: str, stamp: datetime | None) -> datetime | None:
    """An ISO text, seconds or milliseconds since 1970, or what Mongo makes of either.

    A text without an offset is UTC where its name says so, else Indian time; but a body
    cannot be fetched before the exchange has stamped it, so that it is UTC then as well.
    """
    if isinstance(value, Mapping):
        # Mongo's dates are UTC, and its numbers milliseconds.
        value, name = _out_of_mongo(value), "_utc"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_1970(value)
    if not isinstance(value, str):
        return None
    if value.replace(".", "", 1).isdecimal():
        return _since_1970(float(value))
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return _stamped(value)
    if not EARLIEST.year <= at.year < LATEST.year:
        # What somebody writes who does not know it.
        return None
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if name.endswith("_utc"):
        return at.replace(tzinfo=UTC)
    indian = at.replace(tzinfo=IST).astimezone(UTC)
    too_early = stamp is not None and indian < stamp - CLOCKS_APART
    return at.replace(tzinfo=UTC) if too_early else indian


def _out_of_mongo(value: Mapping[str, Any]) -> object:
    """What stands in ``{"$date": ...}``, ``{"$numberLong": ...}``, or the one in the other."""
    inner: Any = value.get("$date", value)
    return inner.get("$numberLong") if isinstance(inner, Mapping) else inner


def _since_1970(number: float) -> datetime | None:
    # Divided only where it can be: whole numbers of JSON may be larger than any float.
    in_milliseconds = FIRST_MILLISECOND <= number < 1000 * LATEST.timestamp()
    seconds = number / 1000 if in_milliseconds else number
    if not EARLIEST.timestamp() <= seconds < LATEST.timestamp():
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _stamped(text: str) -> datetime | None:
    try:
        return read_stamp(text)
    except BadRecord:
        return None


def _exchange_stamp(body: Any) -> datetime | None:
    """When NSE stamped *body*, if it did."""
    members = body.get("records", body) if isinstance(body, dict) else None
    told = members.get("timestamp") if isinstance(members, dict) else None
    return _stamped(told) if isinstance(told, str) else None
