"""Recordings of the feed: every message by its minute, and the same ticks when read again."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from feed_folders import patient_recorder, record
from feed_stub import NIFTY, RELIANCE, live_prices, snapshot, until
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from data_fetch.archive.feed_recorder import GROUP_BYTES, MESSAGE_BYTES
from data_fetch.archive.feed_recordings import (
    LARGEST_GROUP_BYTES,
    MESSAGES,
    MOST_ROWS_IN_A_GROUP,
    read_recordings,
    write_minute,
)
from data_fetch.archive.parquet_files import facts_of
from data_fetch.archive.recording_folder import prune_recordings, recorded_days, recording_files
from data_fetch.archive.tick_files import write_ticks
from data_fetch.core.feed.recorder import RecordedMessage, RecordingStatus
from data_fetch.core.feed.ticks import Tick, TickBook
from data_fetch.core.files import HAS_MODES
from data_fetch.sources.upstox.feed_doors import LARGEST_MESSAGE
from data_fetch.sources.upstox.feed_messages import read_message
from data_fetch.sources.upstox.feed_replay import replayed

# 10:30 IST.
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
DAY = timedelta(days=1)


def at(moment: datetime, message: bytes | str = b"x") -> RecordedMessage:
    return RecordedMessage(moment, message)


def recorded(folder: Path, messages: Sequence[RecordedMessage]) -> list[RecordedMessage]:
    """What is read after *messages* were recorded."""
    record(folder, messages)
    return list(read_recordings(recording_files(folder)))


INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - they get one
RECEIVED = st.lists(
    st.builds(RecordedMessage, INSTANTS, st.binary(max_size=30) | st.text(max_size=10)), max_size=9
)


@given(messages=RECEIVED)
def test_all_that_was_recorded_is_read(
    messages: list[RecordedMessage], tmp_path_factory: pytest.TempPathFactory
) -> None:
    messages.sort(key=lambda each: each.received_at)

    assert recorded(tmp_path_factory.mktemp("feed"), messages) == messages


@given(groups=st.lists(RECEIVED.filter(bool), max_size=5))
def test_a_file_has_its_messages_in_the_order_of_receipt(
    groups: list[list[RecordedMessage]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where the clock was set back."""
    file = write_minute(tmp_path_factory.mktemp("feed"), START, groups)

    assert list(read_recordings([file])) == [each for group in groups for each in group]


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    record(tmp_path, [at(START, b"\xff"), at(START + SECOND, "a text")])
    [path] = recording_files(tmp_path)

    with pq.ParquetFile(path) as file:
        facts, columns = facts_of(file), file.schema_arrow
    assert (facts["table"], facts["schema_version"], facts["rows"]) == ("feed_messages", "1", "2")
    assert columns.equals(MESSAGES.arrow)


def test_messages_can_be_queried(tmp_path: Path) -> None:
    record(tmp_path, [at(START + n * SECOND / 2, bytes(n)) for n in range(3)])

    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT date_trunc('second', received_at) AS second, count(*), "
            "sum(octet_length(message)) FROM read_parquet(?) GROUP BY second ORDER BY second",
            [f"{tmp_path}/2026-09-16/*.parquet"],
        ).fetchall()

    assert [(second.astimezone(UTC), *rest) for second, *rest in rows] == [
        (START, 2, 1),
        (START + SECOND, 1, 2),
    ]


def test_a_minute_has_a_file_and_after_a_restart_another_one(tmp_path: Path) -> None:
    for second in (0, 59, 60, 61):
        record(tmp_path, [at(START + second * SECOND)])

    assert [str(path.relative_to(tmp_path)) for path in recording_files(tmp_path)] == [
        "2026-09-16/1030.parquet",
        "2026-09-16/1030-2.parquet",
        "2026-09-16/1031.parquet",
        "2026-09-16/1031-2.parquet",
    ]


def test_a_running_minute_has_no_name_yet(tmp_path: Path) -> None:
    recorder = patient_recorder(tmp_path)
    recorder.add(b"x", START)
    until((tmp_path / "2026-09-16" / "1030.parquet.unfinished").exists)
    assert recording_files(tmp_path) == []

    recorder.add(b"y", START + MINUTE)
    until(lambda: len(recording_files(tmp_path)) == 1)
    recorder.close()


def test_a_folder_that_cannot_be_written_ends_no_feed(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    recorder = patient_recorder(blocked)

    recorder.add(b"x", START)
    until(lambda: recorder.status().problem.startswith("the feed is not recorded: "))

    blocked.unlink()
    recorder.add(b"y", START + SECOND)
    recorder.add(b"z", START + MINUTE)
    recorder.close()
    assert [each.message for each in read_recordings(recording_files(blocked))] == [b"z"]
    assert recorder.status() == RecordingStatus(files=1, failed=1, problem="")


def test_a_minute_whose_file_is_removed_is_one_that_failed(tmp_path: Path) -> None:
    recorder = patient_recorder(tmp_path)
    recorder.add(b"x", START)
    until((tmp_path / "2026-09-16" / "1030.parquet.unfinished").exists)
    shutil.rmtree(tmp_path / "2026-09-16")

    recorder.add(b"y", START + MINUTE)
    recorder.close()

    assert [each.message for each in read_recordings(recording_files(tmp_path))] == [b"y"]
    assert recorder.status() == RecordingStatus(files=1, failed=1, problem="")


def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path) -> None:
    recorder = patient_recorder(tmp_path, reserved=shutil.disk_usage(tmp_path).total + 1)
    recorder.add(b"x", START)
    recorder.close()

    assert recording_files(tmp_path) == []
    assert recorder.status() == RecordingStatus(
        failed=1, problem="the feed is not recorded: No space left on device"
    )


def test_what_a_killed_program_has_of_a_minute_is_not_overwritten(tmp_path: Path) -> None:
    day = tmp_path / "2026-09-16"
    day.mkdir()
    (day / "1030.parquet.unfinished").write_bytes(b"PAR1")

    record(tmp_path, [at(START + SECOND)])

    assert (day / "1030.parquet.unfinished").read_bytes() == b"PAR1"
    assert recording_files(tmp_path) == [day / "1030-2.parquet"]


@pytest.mark.skipif(not HAS_MODES, reason="there are no modes of files here")
def test_only_the_owner_can_read_a_recording(tmp_path: Path) -> None:
    recorder = patient_recorder(tmp_path / "feed")
    recorder.add(b"x", START)
    until((tmp_path / "feed" / "2026-09-16" / "1030.parquet.unfinished").exists)
    begun = list((tmp_path / "feed").rglob("*"))
    assert [path for path in begun if path.stat().st_mode & 0o077] == []
    recorder.close()

    assert [path for path in (tmp_path / "feed").rglob("*") if path.stat().st_mode & 0o077] == []


def test_days_before_the_first_that_is_kept_are_removed(tmp_path: Path) -> None:
    record(tmp_path, [at(START + n * DAY) for n in range(4)])
    (tmp_path / "notes").mkdir()
    whole = recorded_days(tmp_path)

    removed = prune_recordings(tmp_path, before=date(2026, 9, 18))

    assert removed == whole[:2] == [date(2026, 9, 16), date(2026, 9, 17)]
    assert recorded_days(tmp_path) == whole[2:]
    assert (tmp_path / "notes").is_dir()
    assert prune_recordings(tmp_path / "nothing", before=date(2026, 9, 18)) == []


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    record(tmp_path, [at(START + n * SECOND, bytes([n]) * 1000) for n in range(9)])
    [file] = recording_files(tmp_path)
    whole = file.read_bytes()
    for end in range(0, len(whole), 7):
        file.write_bytes(whole[:end])
        damaged = list[Path]()
        assert list(read_recordings([file], damaged.append)) == []
        assert damaged == [file]


def test_a_damaged_file_has_the_groups_before_its_damage(tmp_path: Path) -> None:
    groups = [[at(START, bytes([n]) * 1000)] for n in range(9)]
    file = write_minute(tmp_path, START, groups)
    whole = file.read_bytes()
    for begin in range(4, len(whole) - 8, 11):
        file.write_bytes(whole[:begin] + bytes([whole[begin] ^ 0xFF]) + whole[begin + 1 :])
        damaged = list[Path]()
        read = list(read_recordings([file], damaged.append))
        assert read == [each for [each] in groups[: len(read)]]
        assert damaged == [file] or len(read) == 9


def test_a_file_that_is_gone_is_among_the_damaged(tmp_path: Path) -> None:
    gone, damaged = tmp_path / "1030.parquet", list[Path]()

    assert list(read_recordings([gone], damaged.append)) == []
    assert damaged == [gone]


def table(**other: pa.Array) -> pa.Table:
    """Rows of a recording, with *other* columns in the place of its own."""
    columns = {
        "received_at": pa.array([START], pa.timestamp("us", "UTC")),
        "message": pa.array([b"x"], pa.binary()),
        "is_text": pa.array([False]),
    }
    return pa.table({**columns, **other})


def described(columns: pa.Table, **facts: str) -> pa.Table:
    """*columns*, with the description of a recording."""
    own = {"table": "feed_messages", "schema_version": "1", "rows": str(columns.num_rows)}
    named = {f"data_fetch.{name}": value for name, value in {**own, **facts}.items()}
    fields = [pa.field(each.name, each.type, nullable=False) for each in columns.schema]
    return columns.cast(pa.schema(fields, named))


REPEATED = table(
    **{
        name: pa.array([value] * (MOST_ROWS_IN_A_GROUP + 1), kind)
        for name, value, kind in (
            ("received_at", START, pa.timestamp("us", "UTC")),
            ("message", b"x", pa.binary()),
            ("is_text", False, pa.bool_()),
        )
    }
)
FOREIGN = {
    "of another program": table(),
    "of another table": described(table(), table="chain_summary"),
    "of a later version": described(table(), schema_version="2"),
    "with other columns": described(table(message=pa.array(["x"]))),
    "with a column more": described(table(more=pa.array([1]))),
    "with fewer rows than it says": described(table(), rows="2"),
    "with a text that is none": described(
        table(message=pa.array([b"\xff"], pa.binary()), is_text=pa.array([True]))
    ),
    "of a time that no calendar has": described(
        table(received_at=pa.array([2**63 - 1], pa.int64()).cast(pa.timestamp("us", "UTC")))
    ),
    "with more rows in a group than are ever written": described(REPEATED),
    "with more bytes in a group than are ever written": described(
        table(message=pa.array([bytes(LARGEST_GROUP_BYTES)], pa.binary()))
    ),
}


@pytest.mark.parametrize("rows", FOREIGN.values(), ids=FOREIGN)
def test_a_parquet_file_of_something_else_is_damaged(rows: pa.Table, tmp_path: Path) -> None:
    file, damaged = tmp_path / "1030.parquet", list[Path]()
    pq.write_table(rows, file)

    assert list(read_recordings([file], damaged.append)) == []
    assert damaged == [file]


def test_what_the_tables_of_foreign_files_are_made_of_is_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "1030.parquet"
    pq.write_table(described(table()), file)

    assert list(read_recordings([file])) == [at(START)]


def test_a_file_of_ticks_is_no_recording(tmp_path: Path) -> None:
    message = snapshot({NIFTY: 25_000.0}, START)
    [ticks] = write_ticks(replayed([(START, message)], {NIFTY}), tmp_path)
    damaged = list[Path]()

    assert list(read_recordings(recording_files(tmp_path), damaged.append)) == []
    assert damaged == [ticks.path]


def test_a_file_that_is_larger_in_memory_than_on_disk_is_read_bit_by_bit(tmp_path: Path) -> None:
    """40 GB of messages in a file of 50 kB."""
    file, rows = tmp_path / "1030.parquet", GROUP_BYTES // MESSAGE_BYTES
    often = pa.DictionaryArray.from_arrays(
        pa.array([0] * rows, pa.int32()), pa.array([bytes(2**20)], pa.binary())
    )
    columns = described(
        table(
            received_at=pa.array([START] * rows, pa.timestamp("us", "UTC")),
            message=often,
            is_text=pa.array([False] * rows),
        )
    )
    with pq.ParquetWriter(file, columns.schema, store_schema=False) as writer:
        writer.write_table(columns)
        writer.add_key_value_metadata(columns.schema.metadata)
    before = pa.total_allocated_bytes()

    with closing(read_recordings([file])) as messages:
        first = next(messages)
        taken = pa.total_allocated_bytes() - before

    assert first == at(START, bytes(2**20))
    assert taken < 64 * 2**20


def test_the_largest_group_that_is_recorded_is_read(tmp_path: Path) -> None:
    largest = [
        [at(START, bytes(GROUP_BYTES - MESSAGE_BYTES - 1)), at(START, bytes(LARGEST_MESSAGE))]
    ]
    most = [[at(START, b"")] * (GROUP_BYTES // MESSAGE_BYTES)]
    for groups in (largest, most):
        file, damaged = write_minute(tmp_path, START, groups), list[Path]()
        assert sum(1 for _ in read_recordings([file], damaged.append)) == len(groups[0])
        assert damaged == []


def digest(ticks: Sequence[Tick]) -> str:
    return sha256("\n".join(map(repr, ticks)).encode()).hexdigest()


def test_a_recording_has_the_ticks_that_the_feed_had(tmp_path: Path) -> None:
    messages = [snapshot({NIFTY: 25_000.0, RELIANCE: 1_400.0}, START)]
    messages += [live_prices({NIFTY: 25_000.0 + n}, START + n * SECOND) for n in range(1, 90)]
    messages.insert(5, b"\xff junk")
    keys, book, taken = {NIFTY, RELIANCE}, TickBook(), list[Tick]()
    book.request(keys)
    recorder = patient_recorder(tmp_path)
    for number, message in enumerate(messages):
        received_at = START + number * SECOND
        recorder.add(message, received_at)
        if number != 5:
            taken += read_message(message, received_at, book).ticks.values()
    recorder.close()

    again = list(replayed(read_recordings(recording_files(tmp_path)), keys))

    assert len(again) == 91
    assert digest(again) == digest(taken)
