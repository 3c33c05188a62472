"""Recordings of the market data feed: which there are, and what one contains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from data_fetch.archive.feed_recordings import read_recordings
from data_fetch.archive.recording_folder import minute_name, recorded_days, recording_files
from data_fetch.core.errors import SetupError
from data_fetch.core.feed.tick_summary import TickSummary
from data_fetch.core.feed.ticks import Tick, TickCounts
from data_fetch.core.settings import Settings
from data_fetch.paper_exchange.feed.recording import FRAMES_SUFFIX, read_frames
from data_fetch.reading.instants import exact_text
from data_fetch.sources.upstox.feed_replay import EveryKey, FeedReplay
from data_fetch.sources.upstox.feed_state import FeedCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDay:
    """One Indian day: *minutes* with a file, the messages in them, and *bytes* on disk. *damaged*
    are files that end where they cannot be read."""

    day: date
    minutes: int
    messages: int
    bytes: int
    damaged: Sequence[Path]

    def document(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "minutes": self.minutes,
            "messages": self.messages,
            "bytes": self.bytes,
            "damaged_files": [str(each) for each in self.damaged],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedRecording:
    """What *files* contain: *messages* are counted as they were received, *ticks* as they were
    taken or dropped, *by_key* are those that were taken.

    *first* and *last* are when the first and the last of them were received (UTC). Equal *digest*:
    equal ticks, in the same order.
    """

    files: Sequence[Path]
    damaged: Sequence[Path]
    messages: FeedCounts
    ticks: TickCounts
    by_key: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    digest: str

    @property
    def dropped(self) -> dict[str, int]:
        """The packets that were not taken, by reason; *zero_prices* may be among the taken."""
        counts = asdict(self.ticks)
        del counts["ticks"]
        return counts

    def document(self) -> dict[str, Any]:
        return {
            "files": len(self.files),
            "damaged_files": [str(each) for each in self.damaged],
            "messages": self.messages.messages,
            "bytes": self.messages.bytes,
            "junk": self.messages.junk,
            "refusals": self.messages.refusals,
            "unknown_fields": self.messages.unknown_fields,
            "unknown_words": self.messages.unknown_words,
            "ticks": self.ticks.ticks,
            "keys": dict(self.by_key),
            "dropped": self.dropped,
            "first": exact_text(self.first),
            "last": exact_text(self.last),
            "digest": self.digest,
        }


def recorded_feed_days(settings: Settings) -> list[RecordedDay]:
    """The days that a collector has recorded, oldest first. Reads every file."""
    folder = settings.feed_folder
    return [_recorded_day(folder / day.isoformat(), day) for day in recorded_days(folder)]


def _recorded_day(folder: Path, day: date) -> RecordedDay:
    files, damaged = recording_files(folder), list[Path]()
    return RecordedDay(
        day=day,
        minutes=len({minute_name(file) for file in files}),
        messages=sum(1 for _ in read_recordings(files, damaged.append)),
        # One that is removed meanwhile is among the damaged.
        bytes=sum(file.stat().st_size for file in files if file.exists()),
        damaged=damaged,
    )


def replayed_recording(settings: Settings, place: str) -> ReplayedRecording:
    """What the recording at *place* contains: a recorded day (YYYY-MM-DD), a folder with
    recordings, or one file, also of a paper exchange. Raises SetupError if there is none."""
    files, damaged = _files_at(settings, place), list[Path]()
    replay, summary = FeedReplay(EveryKey()), TickSummary()
    for tick in replay.ticks(_messages(files, damaged.append)):
        summary.add(tick)
    return ReplayedRecording(
        files=files,
        damaged=damaged,
        messages=replay.counts,
        ticks=replay.tick_counts,
        by_key=dict(sorted(summary.by_key.items())),
        first=summary.first,
        last=summary.last,
        digest=summary.digest,
    )


@dataclass(frozen=True, slots=True)
class RecordedTicks:
    """The *ticks* of a recording, read as they are taken; *damaged* are the files that turned out
    to end where they cannot be read."""

    ticks: Iterator[Tick]
    damaged: Sequence[Path]


def recorded_ticks(settings: Settings, place: str) -> RecordedTicks:
    """The ticks of the recording at *place*, which is named and refused as by
    `replayed_recording`."""
    files, damaged = _files_at(settings, place), list[Path]()
    return RecordedTicks(FeedReplay(EveryKey()).ticks(_messages(files, damaged.append)), damaged)


def _files_at(settings: Settings, place: str) -> Sequence[Path]:
    day = _day(place)
    path = Path(place) if day is None else settings.feed_folder / day.isoformat()
    files = [path] if path.is_file() else recording_files(path)
    if not files:
        raise SetupError(
            f"there is no recording of the feed at {path}",
            hint="See which days there are: data-fetch feed recordings. Of a paper exchange, name "
            "one file: each has one connection.",
        )
    return files


def _day(place: str) -> date | None:
    try:
        return date.fromisoformat(place)
    except ValueError:
        return None


def _messages(
    files: Sequence[Path], damaged: Callable[[Path], object]
) -> Iterator[tuple[datetime, bytes | str]]:
    for file in files:
        if file.suffix == FRAMES_SUFFIX:
            yield from read_frames(file, damaged)
        else:
            yield from read_recordings([file], damaged)
