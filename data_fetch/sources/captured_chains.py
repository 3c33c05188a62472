"""Captured option-chain bodies: the documents in a file, and the chains in them.

Files come in many forms: single bodies, one document per line, archives of such files, all of
them plain or gzipped, and each body bare or wrapped together with the time at which it was
fetched. A document of an unknown shape is rejected with a reason, never read in part.
"""

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from reprlib import repr as shortened
from typing import IO, Any

from data_fetch.core.chains.chains import ChainError, ChainSource, ParsedChains, RawResponse
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.values import read_stamp
from data_fetch.sources.nse.chain_client import read_nse_response
from data_fetch.sources.nse.chain_rows import read_nse_chains
from data_fetch.sources.nse.download import is_download, read_download
from data_fetch.sources.transport.bodies import BYTE_ORDER_MARK, parse_json
from data_fetch.sources.upstox.chain_client import read_upstox_response
from data_fetch.sources.upstox.chain_rows import read_upstox_chain

ARCHIVES = (".tar", ".tar.gz", ".tgz")
LINES = (".jsonl", ".ndjson")
PAGES = (".html", ".htm")
GZIP_MAGIC = b"\x1f\x8b"

# Members that hold a body, and members with the time at which it was fetched.
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
# A universe in one list has 20 MB; a small file may unpack to any size.
LARGEST_DOCUMENT = 2**28
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
    if the file has it."""

    name: str
    captured_at: datetime | None
    body: Any


def documents_in(path: Path) -> Iterator[CapturedDocument]:
    """The documents of a file, one after the other; only one of them is in memory.

    Raises OSError when there is no such file; ChainError where a compressed file is damaged,
    after everything before that.
    """
    with path.open("rb") as file:
        try:
            yield from _in_file(path.name, file)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as problem:
            raise ChainError(
                FailureKind.NOT_JSON,
                f"{path.name} is truncated or damaged ({type(problem).__name__})",
                hint="Fetch the file again; everything before the damage can be read.",
            ) from None


@dataclass(frozen=True, slots=True)
class TableSubject:
    """What a table downloaded from NSE's page is about, which the table itself does not have."""

    underlying: str
    expiry: date


def read_document(document: CapturedDocument, subject: TableSubject | None = None) -> ParsedChains:
    """The chains in a captured body, whichever provider it is from; of a downloaded table the
    chain of *subject*. Raises ChainError."""
    body = document.body
    if isinstance(body, bytes) and is_download(body):
        if subject is None:
            raise ChainError(
                FailureKind.NOT_A_CHAIN,
                "a table downloaded from NSE's page, without underlying and expiry",
                hint="Name them with --symbol and --expiry.",
            )
        return read_download(body, subject.underlying, subject.expiry)
    if isinstance(body, bytes):
        body = parse_json(body)
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


def read_stored_chain(
    source: str,
    raw: RawResponse,
    underlying: str,
    expiry: date,
    live_key_of: Callable[[str], str | None],
) -> ParsedChains:
    """The chain of *underlying* and *expiry* in a stored response of *source*.

    *live_key_of* gives the provider's key of a symbol, None if it is unknown. Raises by class of
    `core.errors`.
    """
    if source == ChainSource.NSE:
        return read_nse_response(raw, underlying, expiry)
    return read_upstox_response(raw, underlying, expiry, live_key_of(underlying))


def _no_chain(body: Mapping[str, Any]) -> ChainError:
    if not body:
        return ChainError(FailureKind.EMPTY_OBJECT, "an empty object")
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
        yield CapturedDocument(name, None, _refuse_long(name, file.read(LARGEST_DOCUMENT + 1)))
        return
    lines = _numbered_lines(name, file)
    begin = list(islice(lines, 2))
    if len(begin) == 2 and _is_one_a_line(name, begin[0][1], begin[1][1]):
        for number, line in chain(begin, lines):
            yield from _unwrapped(f"{name}:{number}", line)
    else:
        whole = bytearray()
        for _, line in chain(begin, lines):
            whole += _refuse_long(name, line, len(whole)) + b"\n"
        yield from _unwrapped(name, bytes(whole))


def _bare(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _refuse_long(name: str, part: bytes, before: int = 0) -> bytes:
    """*part* of a document, of which so many bytes were *before*."""
    if before + len(part) > LARGEST_DOCUMENT:
        raise ChainError(
            FailureKind.NOT_JSON,
            f"{name} has a document of more than {LARGEST_DOCUMENT:,} bytes",
            hint="Split it into several files.",
        )
    return part


def _numbered_lines(name: str, file: Plain) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(iter(lambda: file.readline(LARGEST_DOCUMENT + 1), b""), 1):
        _refuse_long(name, line)
        stripped = line.removeprefix(BYTE_ORDER_MARK).strip()
        if stripped:
            yield number, stripped


def _is_one_a_line(name: str, first: bytes, second: bytes) -> bool:
    """Whether every line is a document; a crash may have truncated the first."""
    if _bare(name).endswith(LINES):
        return True
    torn = first.startswith(b"{") and len(first) > 1
    return _is_document(first) or (torn and _is_document(second))


def _is_document(line: bytes) -> bool:
    if not line.startswith((b"{", b"[")):
        return False
    try:
        parse_json(line)
    except ChainError:
        return False
    return True


def _unwrapped(name: str, text: bytes) -> Iterator[CapturedDocument]:
    """The documents in *text*: one, or those of a list of them."""
    try:
        document = parse_json(text)
    except ChainError:
        yield CapturedDocument(name, None, text)
        return
    if isinstance(document, list) and document and all(map(_is_wrapper_or_body, document)):
        for number, one in enumerate(document, 1):
            yield _without_wrappers(f"{name}#{number}", one)
    else:
        yield _without_wrappers(name, document)


def _is_wrapper_or_body(document: Any) -> bool:
    return isinstance(document, dict) and (_is_body(document) or _inner(document) is not None)


def _without_wrappers(name: str, document: Any) -> CapturedDocument:
    """The body without the wrappers that a collector put around it."""
    time_fields: list[tuple[str, object]] = []
    for _ in range(DEEPEST):
        if not isinstance(document, dict):
            break
        time_fields += _times_in(document)
        inner = None if _is_body(document) else _inner(document)
        if inner is None:
            break
        document = _body_of(inner)
    return CapturedDocument(name, _captured_at(time_fields, document), document)


def _is_body(document: Mapping[str, Any]) -> bool:
    return "records" in document or _has(document.get("data"), NSE_SIDES | UPSTOX_SIDES)


def _inner(document: Mapping[str, Any]) -> Any:
    """The contents of *document*, if it is a wrapper."""
    for name in WRAPPED_IN:
        value = document.get(name)
        if isinstance(value, dict | str) or (name != "data" and isinstance(value, list)):
            return value
    values = document.values()
    return next((value for value in values if isinstance(value, dict) and "records" in value), None)


def _body_of(inner: Any) -> Any:
    """The JSON of a body that was stored as text; its bytes if it holds none."""
    if not isinstance(inner, str):
        return inner
    text = inner.encode("utf-8", "replace")
    try:
        return parse_json(text)
    except ChainError:
        return text


def _times_in(document: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Members that may be the time of fetching. `timestamp` beside rows is the exchange's."""
    return [
        (name, document[name])
        for name in TIMES
        if name in document and not (name == "timestamp" and _has(document.get("data"), NSE_SIDES))
    ]


def _captured_at(time_fields: list[tuple[str, object]], body: Any) -> datetime | None:
    """The first usable time, outermost first."""
    stamp = _exchange_stamp(body)
    for name, value in time_fields:
        at = _instant_of(value, name, stamp)
        if at is not None:
            return at
    return None


def _instant_of(value: object, name: str, stamp: datetime | None) -> datetime | None:
    """An ISO text, seconds or milliseconds since 1970, or Mongo's form of either.

    A text without an offset is UTC if its name ends in ``_utc``, else Indian time. A body cannot be
    fetched before the exchange stamped it, so such a time is UTC as well.
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
        # A placeholder for an unknown time.
        return None
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if name.endswith("_utc"):
        return at.replace(tzinfo=UTC)
    indian = at.replace(tzinfo=IST).astimezone(UTC)
    too_early = stamp is not None and indian < stamp - CLOCKS_APART
    return at.replace(tzinfo=UTC) if too_early else indian


def _out_of_mongo(value: Mapping[str, Any]) -> object:
    """The value in ``{"$date": ...}``, ``{"$numberLong": ...}``, or one inside the other."""
    inner: Any = value.get("$date", value)
    return inner.get("$numberLong") if isinstance(inner, Mapping) else inner


def _since_1970(number: float) -> datetime | None:
    # Divided only if small enough: integers of JSON may be larger than any float.
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
    """NSE's own timestamp of *body*, if it has one."""
    members = body.get("records", body) if isinstance(body, dict) else None
    stamp = members.get("timestamp") if isinstance(members, dict) else None
    return _stamped(stamp) if isinstance(stamp, str) else None
