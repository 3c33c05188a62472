"""Recordings of the feed: every message by its minute, and the same ticks when read again."""

import gzip
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from feed_stub import NIFTY, RELIANCE, live_prices, snapshot
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.archive.feed_recordings import (
    FeedRecorder,
    RecordedMessage,
    prune_recordings,
    read_recordings,
    recorded_days,
    recording_files,
)
from data_fetch.core.feed.recorder import RecordingStatus
from data_fetch.core.feed.ticks import Tick, TickBook
from data_fetch.core.files import HAS_MODES
from data_fetch.sources.upstox.feed_messages import read_message
from data_fetch.sources.upstox.feed_replay import replayed

# 10:30 IST.
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
DAY = timedelta(days=1)


def recorded(folder: Path, messages: Sequence[RecordedMessage]) -> list[RecordedMessage]:
    """What is read after *messages* were recorded."""
    recorder = FeedRecorder(folder)
    for each in messages:
        recorder.add(each.message, each.received_at)
    recorder.close()
    assert recorder.status().failed == 0
    return list(read_recordings(recording_files(folder)))


MESSAGES = st.lists(
    st.builds(
        RecordedMessage,
        st.integers(0, 86_400_000_000).map(lambda n: START + n * MICROSECOND),
        st.binary(max_size=30) | st.text(max_size=10),
    ),
    max_size=20,
)


@given(messages=MESSAGES)
def test_all_that_was_recorded_is_read(
    messages: list[RecordedMessage], tmp_path_factory: pytest.TempPathFactory
) -> None:
    messages.sort(key=lambda each: each.received_at)

    assert recorded(tmp_path_factory.mktemp("feed"), messages) == messages


def test_a_minute_has_a_file_and_after_a_restart_another_one(tmp_path: Path) -> None:
    for second in (0, 59, 60, 61):
        recorded(tmp_path, [RecordedMessage(START + second * SECOND, b"x")])

    assert [str(path.relative_to(tmp_path)) for path in recording_files(tmp_path)] == [
        "2026-09-16/1030.feed.gz",
        "2026-09-16/1030-2.feed.gz",
        "2026-09-16/1031.feed.gz",
        "2026-09-16/1031-2.feed.gz",
    ]


def test_a_running_minute_has_no_name_yet(tmp_path: Path) -> None:
    recorder = FeedRecorder(tmp_path)
    recorder.add(b"x", START)
    assert recording_files(tmp_path) == []

    recorder.add(b"y", START + 60 * SECOND)
    assert len(recording_files(tmp_path)) == 1
    recorder.close()


def test_a_folder_that_cannot_be_written_ends_no_feed(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    recorder = FeedRecorder(blocked)

    recorder.add(b"x", START)
    assert recorder.status().problem.startswith("the feed is not recorded: ")

    blocked.unlink()
    recorder.add(b"y", START + SECOND)
    recorder.add(b"z", START + 60 * SECOND)
    recorder.close()
    assert [each.message for each in read_recordings(recording_files(blocked))] == [b"z"]
    assert recorder.status() == RecordingStatus(files=1, failed=1, problem="")


def test_a_minute_whose_file_is_removed_is_one_that_failed(tmp_path: Path) -> None:
    recorder = FeedRecorder(tmp_path)
    recorder.add(b"x", START)
    shutil.rmtree(tmp_path / "2026-09-16")

    recorder.add(b"y", START + 60 * SECOND)
    recorder.close()

    assert [each.message for each in read_recordings(recording_files(tmp_path))] == [b"y"]
    assert recorder.status() == RecordingStatus(files=1, failed=1, problem="")


def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path) -> None:
    recorder = FeedRecorder(tmp_path, reserved=shutil.disk_usage(tmp_path).total + 1)
    recorder.add(b"x", START)
    recorder.close()

    assert recording_files(tmp_path) == []
    assert recorder.status() == RecordingStatus(
        failed=1, problem="the feed is not recorded: No space left on device"
    )


def test_what_a_killed_program_has_of_a_minute_is_not_overwritten(tmp_path: Path) -> None:
    FeedRecorder(tmp_path).add(b"x", START)

    recorded(tmp_path, [RecordedMessage(START + SECOND, b"y")])

    assert sorted(each.name for each in (tmp_path / "2026-09-16").iterdir()) == [
        "1030-2.feed.gz",
        "1030.feed.gz.unfinished",
    ]


@pytest.mark.skipif(not HAS_MODES, reason="there are no modes of files here")
def test_only_the_owner_can_read_a_recording(tmp_path: Path) -> None:
    recorded(tmp_path / "feed", [RecordedMessage(START, b"x")])

    assert [path for path in (tmp_path / "feed").rglob("*") if path.stat().st_mode & 0o077] == []


def test_days_before_the_first_that_is_kept_are_removed(tmp_path: Path) -> None:
    recorded(tmp_path, [RecordedMessage(START + n * DAY, b"x") for n in range(4)])
    (tmp_path / "notes").mkdir()
    whole = recorded_days(tmp_path)

    removed = prune_recordings(tmp_path, before=date(2026, 9, 18))

    assert removed == whole[:2] == [date(2026, 9, 16), date(2026, 9, 17)]
    assert recorded_days(tmp_path) == whole[2:]
    assert (tmp_path / "notes").is_dir()
    assert prune_recordings(tmp_path / "nothing", before=date(2026, 9, 18)) == []


def test_a_damaged_file_ends_where_it_cannot_be_read(tmp_path: Path) -> None:
    recorded(tmp_path, [RecordedMessage(START + n * SECOND, bytes([n]) * 1000) for n in range(9)])
    [file] = recording_files(tmp_path)
    whole = file.read_bytes()
    for end in range(7, len(whole), 7):
        file.write_bytes(whole[:end])
        damaged = list[Path]()
        read = list(read_recordings([file], damaged.append))
        assert [each.message for each in read] == [bytes([n]) * 1000 for n in range(len(read))]
        assert damaged == [file]


def test_a_length_beyond_any_message_is_damage(tmp_path: Path) -> None:
    file, damaged = tmp_path / "1030.feed.gz", list[Path]()
    file.write_bytes(gzip.compress(b"\xff" * 100))

    assert list(read_recordings([file], damaged.append)) == []
    assert damaged == [file]


def digest(ticks: Sequence[Tick]) -> str:
    return sha256("\n".join(map(repr, ticks)).encode()).hexdigest()


def test_a_recording_has_the_ticks_that_the_feed_had(tmp_path: Path) -> None:
    messages = [snapshot({NIFTY: 25_000.0, RELIANCE: 1_400.0}, START)]
    messages += [live_prices({NIFTY: 25_000.0 + n}, START + n * SECOND) for n in range(1, 90)]
    messages.insert(5, b"\xff junk")
    keys, book, taken = {NIFTY, RELIANCE}, TickBook(), list[Tick]()
    book.request(keys)
    recorder = FeedRecorder(tmp_path)
    for number, message in enumerate(messages):
        received_at = START + number * SECOND
        recorder.add(message, received_at)
        if number != 5:
            taken += read_message(message, received_at, book).ticks.values()
    recorder.close()

    again = list(replayed(read_recordings(recording_files(tmp_path)), keys))

    assert len(again) == 91
    assert digest(again) == digest(taken)
