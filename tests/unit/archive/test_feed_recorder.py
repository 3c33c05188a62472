"""The recorder of the feed: a disk that hangs, or fails, costs a recording and not the feed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from effort import PATIENCE_SECONDS
from feed_stub import until

from data_fetch.archive.feed_recorder import (
    FAILED,
    GROUP_BYTES,
    MESSAGE_BYTES,
    TOO_SLOW,
    FeedRecorder,
)
from data_fetch.core.feed.recorder import RecordedMessage, RecordingStatus

Groups = Iterable[Sequence[RecordedMessage]]
# 10:30 IST.
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MESSAGE = b"x" * 800
SIZE = MESSAGE_BYTES + len(MESSAGE)


class Disk:
    """Keeps what is written, by minute; it hangs while it does not answer."""

    def __init__(self) -> None:
        self.answers = Event()
        self.answers.set()
        self.begun: list[datetime] = []
        self.groups: dict[datetime, list[Sequence[RecordedMessage]]] = {}

    def write(self, minute: datetime, groups: Groups) -> None:
        self.begun.append(minute)
        self._wait()
        self.groups[minute] = []
        for group in groups:
            self._wait()
            self.groups[minute].append(group)

    def written(self) -> dict[datetime, int]:
        """How many messages of each minute are written."""
        return {minute: sum(map(len, groups)) for minute, groups in list(self.groups.items())}

    def _wait(self) -> None:
        assert self.answers.wait(PATIENCE_SECONDS)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.answers.set()


def recorder_of(disk: Disk, room_for: int = 1000) -> FeedRecorder:
    return FeedRecorder(disk.write, most_waiting=room_for * SIZE, patience=PATIENCE_SECONDS)


def failing(
    problem: OSError, when: Callable[[datetime], bool]
) -> Callable[[datetime, Groups], None]:
    """A disk on which minutes fail with their first group."""

    def write(minute: datetime, groups: Groups) -> None:
        for _ in groups:
            if when(minute):
                raise problem

    return write


def test_a_minute_is_written_in_the_order_of_receipt(disk: Disk) -> None:
    recorder = recorder_of(disk)
    messages: list[bytes | str] = [b"\xff", "a text", b"", b"\xff"]
    for number, message in enumerate(messages):
        recorder.add(message, START + number * SECOND)
    recorder.close()

    [[group]] = disk.groups.values()
    assert group == [RecordedMessage(START + n * SECOND, each) for n, each in enumerate(messages)]
    assert recorder.status() == RecordingStatus(files=1)


def test_a_large_minute_goes_to_the_disk_in_groups() -> None:
    disk = Disk()
    recorder = FeedRecorder(disk.write, patience=PATIENCE_SECONDS)
    half = bytes(GROUP_BYTES // 2)
    for _ in range(5):
        recorder.add(half, START)
    recorder.close()

    assert [len(group) for group in disk.groups[START]] == [2, 2, 1]


def test_a_disk_that_hangs_costs_what_has_no_room_and_the_feed_nothing(disk: Disk) -> None:
    """Every call returns while the disk does not answer: the test would not end otherwise."""
    recorder = recorder_of(disk, room_for=100)
    disk.answers.clear()
    for second in range(180):
        recorder.add(MESSAGE, START + second * SECOND)

    hanging = recorder.status()
    disk.answers.set()
    recorder.close()

    assert hanging == RecordingStatus(failed=2, problem=TOO_SLOW)
    assert disk.written() == {START: 60, START + MINUTE: 40}
    assert recorder.status().files == 1
    assert recorder.status().failed == 2


def test_the_rest_of_a_minute_with_a_loss_is_not_recorded(disk: Disk) -> None:
    recorder = recorder_of(disk, room_for=2)
    disk.answers.clear()
    for size in (len(MESSAGE), 5 * len(MESSAGE), 0):
        recorder.add(bytes(size), START)
    disk.answers.set()
    recorder.close()

    assert disk.written() == {START: 1}
    assert recorder.status() == RecordingStatus(failed=1, problem=TOO_SLOW)


def test_a_minute_without_room_is_no_file(disk: Disk) -> None:
    recorder = recorder_of(disk, room_for=1)
    disk.answers.clear()
    recorder.add(MESSAGE, START)
    recorder.add(MESSAGE, START + MINUTE)
    disk.answers.set()
    recorder.close()

    assert disk.begun == [START]
    assert recorder.status() == RecordingStatus(files=1, failed=1, problem=TOO_SLOW)


def test_a_disk_that_answers_again_is_recorded_to_again(disk: Disk) -> None:
    recorder = recorder_of(disk, room_for=10)
    disk.answers.clear()
    for _ in range(10):
        recorder.add(MESSAGE, START)
    recorder.add(MESSAGE, START + MINUTE)
    disk.answers.set()
    until(lambda: recorder.status().files)
    for _ in range(10):
        recorder.add(MESSAGE, START + 2 * MINUTE)
    recorder.close()

    assert disk.written() == {START: 10, START + 2 * MINUTE: 10}
    assert recorder.status() == RecordingStatus(files=2, failed=1, problem="")


def test_the_end_of_a_feed_does_not_wait_for_a_disk_that_hangs(disk: Disk) -> None:
    recorder = FeedRecorder(disk.write, patience=0.0)
    disk.answers.clear()
    recorder.add(MESSAGE, START)
    recorder.add(MESSAGE, START + MINUTE)
    recorder.close()

    assert recorder.status() == RecordingStatus(failed=2, problem=TOO_SLOW)
    disk.answers.set()
    until(lambda: len(disk.written()) == 2)
    assert recorder.status().failed == 2


def test_what_an_earlier_writer_holds_counts_for_the_next_one(disk: Disk) -> None:
    recorder = FeedRecorder(disk.write, most_waiting=2 * SIZE, patience=0.0)
    disk.answers.clear()
    recorder.add(MESSAGE, START)
    recorder.close()
    recorder.add(MESSAGE, START + MINUTE)
    recorder.add(MESSAGE, START + MINUTE)
    recorder.close()

    assert recorder.status() == RecordingStatus(failed=2, problem=TOO_SLOW)


def test_a_minute_that_fails_ends_and_the_next_one_is_tried() -> None:
    recorder = FeedRecorder(
        failing(OSError(5, "Input/output error"), lambda minute: minute == START),
        patience=PATIENCE_SECONDS,
    )
    half = bytes(GROUP_BYTES // 2)
    for _ in range(2):
        recorder.add(half, START)
    until(lambda: recorder.status().failed)
    failed = recorder.status()
    recorder.add(half, START)
    recorder.add(half, START + MINUTE)
    recorder.close()

    assert failed == RecordingStatus(
        failed=1, problem="the feed is not recorded: Input/output error"
    )
    assert recorder.status() == RecordingStatus(files=1, failed=1)


def test_an_error_of_the_recorder_costs_its_minute_and_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = FeedRecorder(
        failing(MemoryError(), lambda minute: minute == START), patience=PATIENCE_SECONDS
    )
    recorder.add(MESSAGE, START)
    recorder.close()
    failed = recorder.status()
    recorder.add(MESSAGE, START + MINUTE)
    recorder.close()

    assert failed == RecordingStatus(failed=1, problem=FAILED)
    assert recorder.status() == RecordingStatus(files=1, failed=1)
    [logged] = [each for each in caplog.records if each.message == "feed_recorder_failed"]
    assert logged.exc_info is not None


def test_what_failed_has_left_the_memory() -> None:
    recorder = FeedRecorder(
        failing(OSError("it broke"), lambda minute: minute < START + 5 * MINUTE),
        most_waiting=SIZE,
        patience=PATIENCE_SECONDS,
    )
    for number in range(6):
        recorder.add(MESSAGE, START + number * MINUTE)
        recorder.close()

    assert recorder.status() == RecordingStatus(files=1, failed=5)


def test_a_feed_that_goes_on_after_its_end_is_recorded_again(disk: Disk) -> None:
    recorder = recorder_of(disk)
    recorder.close()
    for number in range(2):
        recorder.add(MESSAGE, START + number * SECOND)
        recorder.close()
    recorder.close()

    assert disk.begun == [START, START]
    assert recorder.status() == RecordingStatus(files=2)
