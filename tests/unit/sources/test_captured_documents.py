"""Captured files, whatever way they were kept, give up their documents one after the other."""

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nse_bodies import body
from nse_bodies import row as nse_row
from upstox_rows import contract
from upstox_rows import row as upstox_row

from data_fetch.core.chains.chains import ChainError, ChainSource
from data_fetch.core.failures import FailureKind
from data_fetch.sources import captured_chains
from data_fetch.sources.captured_chains import CapturedDocument, documents_in, read_document
from data_fetch.storage.database.types import DECIMAL_PLACES

NSE = body(nse_row())
UPSTOX = {"status": "success", "data": [upstox_row()]}
NOON = datetime(2026, 9, 11, 12, 0, tzinfo=UTC)


def text(document: Any) -> bytes:
    return json.dumps(document).encode()


def lines(*documents: Any) -> bytes:
    return b"".join(text(document) + b"\n" for document in documents)


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


Place = tuple[str | int, ...]


def places_in(result: Any, above: Place = ()) -> Iterator[Place]:
    """The way to everything in a document."""
    yield above
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(result, dict):
        inside = result.items()
    elif isinstance(result, list):
        inside = enumerate(result)
    for name, value in inside:
        yield from places_in(value, (*above, name))


def replaced(result: Any, place: Place, by: Any) -> Any:
    """A copy of *result* with *by* at *place*."""
    if not place:
        return by
    first, *rest = place
    copy = result.copy()
    copy[first] = replaced(result[first], tuple(rest), by)
    return copy


def found(folder: Path, name: str, content: bytes) -> list[CapturedDocument]:
    file = folder / name
    file.write_bytes(content)
    return list(documents_in(file))


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        pytest.param("a.json", text(NSE), ["a.json"], id="a body"),
        pytest.param("a.json", json.dumps(NSE, indent=2).encode(), ["a.json"], id="indented"),
        pytest.param("a.json", b"\xef\xbb\xbf" + text(NSE), ["a.json"], id="byte order mark"),
        pytest.param("a.json.gz", gzip.compress(text(NSE)), ["a.json.gz"], id="gzipped"),
        pytest.param("a.bin", gzip.compress(text(NSE)), ["a.bin"], id="gzipped by another name"),
        pytest.param("a.jsonl", lines(NSE, NSE), ["a.jsonl:1", "a.jsonl:2"], id="lines"),
        pytest.param("a.ndjson", b"\n" + lines(NSE) + b"\n", ["a.ndjson"], id="one line"),
        pytest.param("a.log", lines(NSE, NSE), ["a.log:1", "a.log:2"], id="lines by any name"),
        pytest.param(
            "a.jsonl.gz",
            gzip.compress(lines(NSE)) + gzip.compress(lines(NSE)),
            ["a.jsonl.gz:1", "a.jsonl.gz:2"],
            id="gzipped bit by bit",
        ),
        pytest.param(
            "a.tar",
            tar({"x/b.json": text(NSE), "x/c.json.gz": gzip.compress(text(NSE))}),
            ["a.tar/x/b.json", "a.tar/x/c.json.gz"],
            id="archive",
        ),
        pytest.param(
            "a.tar.gz",
            tar({"b.jsonl": lines(NSE, NSE)}, "w:gz"),
            ["a.tar.gz/b.jsonl:1", "a.tar.gz/b.jsonl:2"],
            id="gzipped archive of lines",
        ),
        pytest.param("a.tgz", tar({"._b.json": b"x"}, "w:gz"), [], id="only a hidden file"),
        pytest.param("a.json", text([NSE, NSE]), ["a.json#1", "a.json#2"], id="a list of bodies"),
    ],
)
def test_the_documents_of_a_file(
    tmp_path: Path, name: str, content: bytes, names: list[str]
) -> None:
    documents = found(tmp_path, name, content)
    assert [document.name for document in documents] == names
    assert all(document.body == NSE for document in documents)


def test_a_line_that_was_torn_costs_itself_only(tmp_path: Path) -> None:
    documents = found(tmp_path, "a.log", text(NSE)[:100] + b"\n" + lines(NSE, NSE))
    assert [document.body == NSE for document in documents] == [False, True, True]
    with pytest.raises(ChainError) as refused:
        read_document(documents[0])
    assert refused.value.kind is FailureKind.NOT_JSON


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(("a.json.gz", gzip.compress(text(NSE))[:-20]), id="gzip truncated"),
        pytest.param(("a.json.gz", gzip.compress(text(NSE))[:-4] + b"1234"), id="wrong length"),
        pytest.param(("a.tar", b"no archive"), id="no archive"),
        pytest.param(("a.tar.gz", tar({"b": text(NSE)}, "w:gz")[:200]), id="archive truncated"),
    ],
)
def test_damaged_files_say_so(tmp_path: Path, damaged: tuple[str, bytes]) -> None:
    with pytest.raises(ChainError, match="truncated or damaged"):
        found(tmp_path, *damaged)


def test_a_missing_file_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(documents_in(tmp_path / "a.json"))


def test_a_long_file_of_lines_is_never_whole_in_memory(tmp_path: Path) -> None:
    big = body(*[nse_row(strike) for strike in range(15000, 17000, 100)])
    size = (tmp_path / "a.jsonl").write_bytes(lines(*[big] * 500))
    tracemalloc.start()
    count = sum(1 for _ in documents_in(tmp_path / "a.jsonl"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 500
    assert most < size / 20


INDIAN_NOON = datetime(2026, 9, 11, 6, 30, tzinfo=UTC)
LATER = body(nse_row(), timestamp="11-Sep-2026 09:20:00")


@pytest.mark.parametrize(
    ("wrapper", "captured_at"),
    [
        pytest.param({"time": "2026-09-11T12:00:00+00:00"}, NOON, id="with an offset"),
        pytest.param({"time": "2026-09-11T12:00:00Z"}, NOON, id="Z"),
        pytest.param({"captured_at": "2026-09-11 17:30:00+05:30"}, NOON, id="Indian offset"),
        pytest.param({"captured_at_utc": "2026-09-11 12:00:00"}, NOON, id="UTC by its name"),
        pytest.param({"fetched_at": "2026-09-11 12:00:00"}, INDIAN_NOON, id="Indian by default"),
        pytest.param({"received_at": 1789128000}, NOON, id="seconds"),
        pytest.param({"timestamp": 1789128000000}, NOON, id="milliseconds"),
        pytest.param({"timestamp": "1789128000.0"}, NOON, id="seconds in text"),
        pytest.param({"time": {"$date": "2026-09-11T12:00:00Z"}}, NOON, id="Mongo's text"),
        pytest.param({"time": {"$date": 1789128000000}}, NOON, id="Mongo's number"),
        pytest.param(
            {"time": {"$date": {"$numberLong": "1789128000000"}}}, NOON, id="Mongo's long"
        ),
        pytest.param({"time": "11-Sep-2026 12:00:00"}, INDIAN_NOON, id="as NSE writes it"),
        pytest.param({"time": "noon"}, None, id="words"),
        pytest.param({"time": 5}, None, id="another number"),
        pytest.param({"time": "0001-01-01T00:00:00+05:30"}, None, id="before all time"),
        pytest.param({"time": "9999-12-31T23:59:59-05:30"}, None, id="after all time"),
        pytest.param({"time": "0001-01-01 00:00:00"}, None, id="what stands for not known"),
        pytest.param({"time": 10**400, "x": float("nan")}, None, id="beyond all floats"),
        pytest.param({"time": 500_000_000_000}, None, id="milliseconds of 1985"),
        pytest.param({"time": {"$date": {"$date": 1789128000000}}}, None, id="not Mongo's"),
        pytest.param({"symbol": "NIFTY"}, None, id="no time"),
    ],
)
def test_when_a_body_was_fetched(
    tmp_path: Path, wrapper: dict[str, Any], captured_at: datetime | None
) -> None:
    (document,) = found(tmp_path, "a.json", text({**wrapper, "data": LATER}))
    assert (document.captured_at, document.body) == (captured_at, LATER)


def test_a_time_before_the_stamp_of_the_body_must_be_utc(tmp_path: Path) -> None:
    """As in a public capture: `time` 12:07 beside a body that NSE has stamped 15:40."""
    (document,) = found(tmp_path, "a.json", text({"time": "2026-09-11 12:00:00", "data": NSE}))
    assert document.captured_at == NOON


def test_the_exchanges_own_stamp_is_no_time_of_fetching(tmp_path: Path) -> None:
    (document,) = found(tmp_path, "a.json", text(NSE["records"]))
    assert document.captured_at is None


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda inner: {"data": inner}, id="data"),
        pytest.param(lambda inner: {"response": inner, "status": 200}, id="response"),
        pytest.param(lambda inner: {"body": json.dumps(inner)}, id="text of a body"),
        pytest.param(lambda inner: {"payload": {"data": inner}}, id="twice"),
    ],
)
@pytest.mark.parametrize("inner", [NSE, UPSTOX], ids=["nse", "upstox"])
def test_wrappers_are_peeled(tmp_path: Path, wrap: Callable[[Any], Any], inner: Any) -> None:
    whole = {**wrap(inner), "time": "2026-09-11T12:00:00Z"}
    (document,) = found(tmp_path, "a.json", text(whole))
    assert (document.body, document.captured_at) == (inner, NOON)


def test_a_body_under_another_name_is_known_by_its_records(tmp_path: Path) -> None:
    (document,) = found(tmp_path, "a.json", text({"_id": 7, "chain": NSE}))
    assert document.body == NSE


@pytest.mark.parametrize(
    ("result", "source"),
    [
        pytest.param(NSE, ChainSource.NSE, id="NSE"),
        pytest.param(NSE["records"], ChainSource.NSE, id="NSE without records"),
        pytest.param(NSE["records"]["data"], ChainSource.NSE, id="NSE's rows"),
        pytest.param(UPSTOX, ChainSource.UPSTOX, id="Upstox"),
        pytest.param(UPSTOX["data"], ChainSource.UPSTOX, id="Upstox's rows"),
        pytest.param(text(UPSTOX), ChainSource.UPSTOX, id="bytes"),
    ],
)
def test_a_document_is_known_by_its_rows(result: Any, source: ChainSource) -> None:
    assert read_document(CapturedDocument("a", None, result)).chains[0].source is source


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        pytest.param({}, FailureKind.EMPTY_OBJECT, id="empty object"),
        pytest.param([], FailureKind.EMPTY_LIST, id="empty list"),
        pytest.param({"status": "success", "data": []}, FailureKind.EMPTY_LIST, id="no rows"),
        pytest.param(b"", FailureKind.EMPTY_BODY, id="nothing"),
        pytest.param(b"<html>Access Denied</html>", FailureKind.HTML, id="a page"),
        pytest.param(text(NSE)[:-9], FailureKind.NOT_JSON, id="truncated"),
        pytest.param(
            {"status": "error", "errors": [{"errorCode": "UDAPI10005"}]},
            FailureKind.REFUSED,
            id="error",
        ),
        pytest.param(
            {"status": "success", "data": {"candles": []}}, FailureKind.NOT_A_CHAIN, id="candles"
        ),
        pytest.param(
            {"status": "success", "data": [contract()]}, FailureKind.NOT_A_CHAIN, id="contracts"
        ),
        pytest.param(
            {"expiryDates": ["15-Sep-2026"]}, FailureKind.NOT_A_CHAIN, id="NSE's contracts"
        ),
        pytest.param(
            {"captured_at_utc": "2026-09-11", "note": "x"}, FailureKind.NOT_A_CHAIN, id="meta"
        ),
        pytest.param({"symbols": {"NIFTY": {"rows": []}}}, FailureKind.NOT_A_CHAIN, id="reshaped"),
        pytest.param(7, FailureKind.NOT_A_CHAIN, id="a number"),
    ],
)
def test_other_documents_are_refused_by_name(result: Any, kind: FailureKind) -> None:
    with pytest.raises(ChainError) as refused:
        read_document(CapturedDocument("a", None, result))
    assert refused.value.kind is kind


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("NIFTY")
)
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "records", "filtered", "CE", "call_options", "status", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)
STRIKES = (22600, 22650, 22700)
TOTALS = {"totOI": 3000, "totVol": 15000}
WHOLE = {
    "nse": body(*map(nse_row, STRIKES)) | {"filtered": {"CE": TOTALS, "PE": TOTALS}},
    "upstox": {"status": "success", "data": [upstox_row(strike) for strike in STRIKES]},
}
PLACES = [(shape, place) for shape, whole in WHOLE.items() for place in places_in(whole)]


def checked(result: Any) -> None:
    """Read *result*: only ChainError is raised, and what is read the store can hold."""
    try:
        read = read_document(CapturedDocument("a", None, result))
    except ChainError:
        return
    for chain in read.chains:
        assert chain.underlying.isprintable()
        for leg in chain.legs:
            assert 0 < leg.strike < 10**9
            assert leg.strike == round(leg.strike, DECIMAL_PLACES)
            assert all(-(2**63) <= count < 2**63 for count in leg if isinstance(count, int))
            assert all(isfinite(number) for number in leg if isinstance(number, float))


@settings(max_examples=300)
@given(result=DOCUMENTS)
def test_whatever_is_read_only_chain_faults_are_raised(result: Any) -> None:
    checked(result)


@settings(max_examples=600)
@given(place=st.sampled_from(PLACES), value=DOCUMENTS)
def test_any_one_member_may_be_anything(place: tuple[str, Place], value: Any) -> None:
    shape, path = place
    checked(replaced(WHOLE[shape], path, value))


@pytest.mark.parametrize(
    "extreme",
    [
        pytest.param(10**400, id="beyond all floats"),
        pytest.param(10**19, id="beyond 64 bits"),
        pytest.param(2**63 - 1, id="the last of 64 bits"),
        pytest.param(-(10**400), id="below all floats"),
        pytest.param(1.5e300, id="huge"),
        pytest.param(5e-324, id="tiny"),
        pytest.param(22650.00005, id="many places"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(float("nan"), id="no number"),
        pytest.param("9" * 400, id="digits"),
        pytest.param("\0", id="NUL"),
        pytest.param("OPTIDXNIFTY31-02-2026CE22650.00", id="no such day"),
        pytest.param([[]], id="list"),
        pytest.param({"CE": {}}, id="object"),
    ],
)
def test_each_member_may_be_beyond_all_measure(extreme: Any) -> None:
    for shape, path in PLACES:
        checked(replaced(WHOLE[shape], path, extreme))


def test_rows_that_are_nested_without_end_are_no_chain() -> None:
    """Deeper than Python compares two of them, though not deeper than a parser goes."""
    nested = b"[" * 1_000 + b"]" * 1_000
    row = text(nse_row())[:-1] + b',"x":' + nested + b"}"
    with pytest.raises(ChainError):
        read_document(CapturedDocument("a", None, b'{"data":[' + row + b"," + row + b"]}"))


def test_a_time_that_is_nested_without_end_is_none(tmp_path: Path) -> None:
    nested = b'{"$date":' * 1_000 + b"1" + b"}" * 1_000
    (document,) = found(tmp_path, "a.json", b'{"time":' + nested + b',"data":' + text(NSE) + b"}")
    assert (document.captured_at, document.body) == (None, NSE)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b"[NaN," * 50_000, id="nested, and no JSON"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="nested deeply"),
        pytest.param(b"9" * 50_000, id="a number as long as a book"),
        pytest.param(b'{"NaN": ' + b"9" * 50_000 + b"}", id="the same beside a NaN"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
    ],
)
def test_bytes_that_hold_no_chain_are_refused(content: bytes) -> None:
    with pytest.raises(ChainError):
        read_document(CapturedDocument("a", None, content))


def test_a_page_is_a_document(tmp_path: Path) -> None:
    (document,) = found(tmp_path, "a.html", b"<html>\n<b>{}</b>\n</html>")
    assert document.body == b"<html>\n<b>{}</b>\n</html>"


def test_a_number_that_is_none_costs_itself_only() -> None:
    """Collectors written in Python store NaN, which no JSON parser has to take."""
    torn = text(body(*[nse_row(k) for k in range(15000, 17000, 100)]))
    result = read_document(
        CapturedDocument("a", None, torn.replace(b'"lastPrice": 120.5', b'"lastPrice": NaN', 1))
    )
    assert result.rejected == ()
    assert "lastPrice is nan: left out in 1 leg" in result.remarks


@pytest.mark.parametrize("name", ["chain.json.gz", "chains.jsonl.gz", "page.html.gz"])
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captured_chains, "LARGEST_DOCUMENT", 1_000)
    file = tmp_path / name
    file.write_bytes(gzip.compress(b'{"data":\n' + b"[0,\n" * 1_000))
    if name.endswith(".jsonl.gz"):
        file.write_bytes(gzip.compress(b"{}\n" + b"0" * 4_000))

    with pytest.raises(ChainError, match="more than 1,000 bytes"):
        list(documents_in(file))
