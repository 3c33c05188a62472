"""The store returns every body that was written completely, whatever happened to its writers."""

import gzip
import json
import multiprocessing
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.archive.raw_responses import RawResponseStore, StoredResponse
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import BadRecord

# 09:15 in India.
OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
TODAY = date(2026, 9, 16)
EXPIRY = date(2026, 9, 22)
FILE = f"{TODAY}/nse.jsonl.gz"
LONG_BODY = json.dumps([{"strike": n, "oi": n * 75} for n in range(2_000)]).encode()


def response(
    second: float,
    body: bytes = b"{}",
    source: str = "nse",
    underlying: str = "NIFTY",
    expiry: date | None = EXPIRY,
) -> StoredResponse:
    at = OPENS + timedelta(seconds=second)
    return StoredResponse(source, underlying, expiry, RawResponse(at, 200, body))


def found(raw_store: RawResponseStore, **wanted: str) -> list[StoredResponse]:
    return list(raw_store.raw_responses(TODAY, TODAY, **wanted))


@pytest.fixture
def raw_store(tmp_path: Path) -> RawResponseStore:
    return RawResponseStore(tmp_path, keep_days=3)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full soon."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize("room", [0, 40], ids=["not a byte", "a torn record"])
def test_after_a_write_that_failed_nothing_refers_to_it(
    raw_store: RawResponseStore, tmp_path: Path, room: int
) -> None:
    raw_store.append([response(0)])
    with (
        files_no_larger_than((tmp_path / FILE).stat().st_size + room),
        pytest.raises(OSError, match="too large"),
    ):
        raw_store.append([response(1, LONG_BODY)])

    raw_store.append([response(2, LONG_BODY)])
    raw_store.append([response(3, LONG_BODY)])

    assert found(raw_store) == [response(0), response(2, LONG_BODY), response(3, LONG_BODY)]


@pytest.mark.parametrize(
    "clear", [Path.unlink, lambda file: rmtree(file.parent)], ids=["a file", "a day"]
)
def test_a_body_that_was_removed_is_stored_again(
    raw_store: RawResponseStore, tmp_path: Path, clear: Callable[[Path], None]
) -> None:
    raw_store.append([response(0, LONG_BODY)])
    clear(tmp_path / FILE)
    again = [response(1, LONG_BODY), response(2, LONG_BODY)]

    raw_store.append(again)

    assert found(raw_store) == again


def test_an_empty_store_has_nothing(raw_store: RawResponseStore, tmp_path: Path) -> None:
    assert found(raw_store) == []
    assert raw_store.prune(TODAY) == []
    assert found(RawResponseStore(tmp_path / "nowhere", 3)) == []


bodies = st.binary(max_size=40) | st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode)
histories = st.lists(
    st.tuples(
        st.sampled_from(["nse", "upstox"]),
        st.sampled_from(["NIFTY", "M&M", "NSE_INDEX|Nifty 50"]),
        st.none() | st.just(EXPIRY),
        st.builds(RawResponse, st.just(OPENS), st.sampled_from([200, 403]), bodies),
    ).map(lambda result: StoredResponse(*result)),
    max_size=12,
)


@given(history=histories, calls=st.integers(1, 4))
def test_what_was_stored_comes_back_in_order_of_receipt(
    history: list[StoredResponse], calls: int
) -> None:
    timed = [
        one._replace(
            raw_response=RawResponse(OPENS + timedelta(seconds=n), *_rest(one.raw_response))
        )
        for n, one in enumerate(history)
    ]
    with TemporaryDirectory() as folder:
        for first in range(calls):
            RawResponseStore(Path(folder), 3).append(timed[first::calls])

        assert found(RawResponseStore(Path(folder), 3)) == timed


def _rest(raw_response: RawResponse) -> tuple[int, bytes]:
    return raw_response.status, raw_response.body


def test_a_file_is_lines_of_json_that_any_gzip_reads(
    raw_store: RawResponseStore, tmp_path: Path
) -> None:
    raw_store.append([response(0, '{"a": "ü"}'.encode()), response(1, b"\xff", expiry=None)])

    with gzip.open(tmp_path / FILE, "rt", encoding="utf-8") as lines:
        first, second = map(json.loads, lines)
    assert first == {
        "source": "nse",
        "underlying": "NIFTY",
        "expiry": "2026-09-22",
        "received_at": "2026-09-16T03:45:00+00:00",
        "status": 200,
        "body": '{"a": "ü"}',
    }
    assert (second["expiry"], second["body_base64"]) == (None, "/w==")


def test_a_body_that_stays_the_same_is_stored_once(
    raw_store: RawResponseStore, tmp_path: Path
) -> None:
    raw_store.append([response(0, LONG_BODY)])
    once = (tmp_path / FILE).stat().st_size

    for second in range(1, 37):
        raw_store.append([response(second, LONG_BODY)])

    assert (tmp_path / FILE).stat().st_size < once + 36 * 250
    assert [one.raw_response.body for one in found(raw_store)] == [LONG_BODY] * 37


def test_a_body_is_compared_with_its_own_series(raw_store: RawResponseStore) -> None:
    of_file = [
        response(0, b"1"),
        response(1, b"2", underlying="TCS"),
        response(2, b"1"),
        response(3, b"2"),
    ]

    raw_store.append(of_file)

    assert found(raw_store) == of_file


def test_days_are_india_s(raw_store: RawResponseStore, tmp_path: Path) -> None:
    """18:30 UTC is midnight there."""
    raw_store.append([response(hours * 3600) for hours in (0, 14.74, 14.75)])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-09-16", "2026-09-17"]
    assert len(found(raw_store)) == 2


def test_one_underlying_or_source_can_be_requested(raw_store: RawResponseStore) -> None:
    responses = [response(0), response(1, source="upstox"), response(2, underlying="TCS")]
    raw_store.append(responses)

    assert found(raw_store, underlying="NIFTY") == responses[:2]
    assert found(raw_store, source="nse") == [responses[0], responses[2]]
    assert found(raw_store, underlying="TCS", source="upstox") == []


def test_old_days_are_removed_and_nothing_else(raw_store: RawResponseStore, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    raw_store.append([response(day * 86_400) for day in range(-5, 1)])

    assert raw_store.prune(TODAY) == [date(2026, 9, 11), date(2026, 9, 12)]

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["2026-09-13", "2026-09-14", "2026-09-15", "2026-09-16", "notes"]


def test_a_receive_time_without_a_zone_is_refused(raw_store: RawResponseStore) -> None:
    with pytest.raises(BadRecord, match="no time zone"):
        raw_store.append(
            [("nse", "NIFTY", None, RawResponse(OPENS.replace(tzinfo=None), 200, b""))]
        )


@pytest.mark.parametrize("left", [1, 9, 20, 60, -1], ids=lambda left: f"{left} bytes of it there")
def test_half_a_record_at_the_end_hides_no_other(
    raw_store: RawResponseStore, tmp_path: Path, left: int
) -> None:
    """A writer was killed; another one carries on."""
    raw_store.append([response(0, b"1"), response(1, b"2")])
    whole = (tmp_path / FILE).read_bytes()
    raw_store.append([response(2, b"lost")])
    torn = (tmp_path / FILE).read_bytes()[len(whole) :][:left]
    (tmp_path / FILE).write_bytes(whole + torn)
    remarks: list[str] = []

    RawResponseStore(tmp_path, 3).append([response(3, b"3")])
    raw_store.append([response(4, b"4")])
    read = list(raw_store.raw_responses(TODAY, TODAY, report=remarks.append))

    assert [one.raw_response.body for one in read] == [b"1", b"2", b"3", b"4"]
    [remark] = remarks
    assert f"an incomplete record, at byte {len(whole)}" in remark


def test_a_record_that_was_damaged_hides_no_other(
    raw_store: RawResponseStore, tmp_path: Path
) -> None:
    for second in range(3):
        raw_store.append([response(second, b"body %d" % second)])
    stored = bytearray((tmp_path / FILE).read_bytes())
    stored[len(stored) // 2] ^= 0xFF
    (tmp_path / FILE).write_bytes(stored)
    remarks: list[str] = []

    read = list(raw_store.raw_responses(TODAY, TODAY, report=remarks.append))

    assert [one.raw_response.body for one in read] == [b"body 0", b"body 2"]
    assert len(remarks) == 1


SIZE_FIELD = slice(16, 24)


@pytest.mark.parametrize(
    ("place", "by"),
    [
        pytest.param(slice(0, 4), bytes(4), id="the header is gone"),
        pytest.param(SIZE_FIELD, (7).to_bytes(8, "little"), id="the size is too small"),
        pytest.param(SIZE_FIELD, (90).to_bytes(8, "little"), id="the size ends in the middle"),
        pytest.param(SIZE_FIELD, (10**9).to_bytes(8, "little"), id="the size is beyond the file"),
        pytest.param(SIZE_FIELD, b"\xff" * 8, id="the size is negative"),
        pytest.param(slice(0, 70), bytes(70), id="the beginning is zeros"),
    ],
)
def test_reading_goes_on_after_damage(
    raw_store: RawResponseStore, tmp_path: Path, place: slice, by: bytes
) -> None:
    """One member of five cannot be found any more."""
    starts = []
    for second in range(5):
        file = tmp_path / FILE
        starts.append(file.stat().st_size if file.exists() else 0)
        raw_store.append([response(second, b"body %d" % second)])
    stored = bytearray((tmp_path / FILE).read_bytes())
    member = memoryview(stored)[starts[2] : starts[3]]
    member[place] = by
    del member
    (tmp_path / FILE).write_bytes(stored)
    remarks: list[str] = []

    RawResponseStore(tmp_path, 3).append([response(5, b"body 5")])
    read = list(raw_store.raw_responses(TODAY, TODAY, report=remarks.append))

    kept = [one.raw_response.body for one in read]
    assert kept == [b"body 0", b"body 1", b"body 3", b"body 4", b"body 5"]
    [remark] = remarks
    assert f"is damaged from byte {starts[2]} to byte {starts[3]}" in remark


def keep_many(folder: Path, name: str, count: int) -> None:
    raw_store = RawResponseStore(folder, 3)
    for second in range(count):
        raw_store.append([response(second, f"{name} {second // 3}".encode(), underlying=name)])


def test_several_processes_and_threads_write_one_file(tmp_path: Path) -> None:
    names, count = ["A", "B", "C", "D"], 40
    context = multiprocessing.get_context("spawn")
    workers = [
        *(context.Process(target=keep_many, args=(tmp_path, name, count)) for name in names[:2]),
        *(Thread(target=keep_many, args=(tmp_path, name, count)) for name in names[2:]),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    read = found(RawResponseStore(tmp_path, 3))
    for name in names:
        result = [one.raw_response.body.decode() for one in read if one.underlying == name]
        assert result == [f"{name} {second // 3}" for second in range(count)]
    assert (tmp_path / FILE).is_file()
    assert not (tmp_path / f"{TODAY}/nse-2.jsonl.gz").exists()
