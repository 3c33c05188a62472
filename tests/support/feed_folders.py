"""Recordings of the feed in a folder, on a machine however slow."""

from collections.abc import Iterable
from pathlib import Path

from effort import PATIENCE_SECONDS

from data_fetch.archive.feed_recorder import FeedRecorder
from data_fetch.archive.feed_recordings import recorder_in
from data_fetch.core.feed.recorder import RecordedMessage


def patient_recorder(folder: Path, reserved: int = 0) -> FeedRecorder:
    """A recorder that has written everything when it is closed."""
    return recorder_in(folder, reserved=reserved, patience=PATIENCE_SECONDS)


def record(folder: Path, messages: Iterable[RecordedMessage]) -> None:
    """Record *messages* into *folder*."""
    recorder = patient_recorder(folder)
    for each in messages:
        recorder.add(each.message, each.received_at)
    recorder.close()
    assert recorder.status().failed == 0
