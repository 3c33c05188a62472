"""Which minute files are joined into which part, and when a day becomes one file."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from data_fetch.core.archive.days import bounds_of
from data_fetch.core.archive.manifest import FileKind, ManifestFile
from data_fetch.core.archive.minutes import TIME_TO_STORE
from data_fetch.core.clock import MINUTE

WINDOW = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A minute file has the candles that became final in the minute, whatever minute they are of. When
# they are corrected they are in two of them for a moment: so a day of candles is one part.
WHOLE_DAYS = frozenset({"candles"})
# The minute writer comes first with what arrives about midnight.
TIME_TO_WRITE = 2 * MINUTE + TIME_TO_STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """A part to write: the minutes of its *window*, and the digest of their states."""

    window: datetime
    minutes: tuple[datetime, ...]
    sources: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What makes the files of one table and day current.

    *kept* are the files that stay, *parts* those to write beside them; *whole* if all of them are
    to become one file of the day, with *sources*.
    """

    kept: tuple[ManifestFile, ...]
    parts: tuple[PartPlan, ...] = ()
    whole: bool = False
    sources: str = ""


def compaction(
    table: str,
    day: date,
    minutes: Mapping[datetime, str],
    published: Sequence[ManifestFile],
    now: datetime,
) -> Compaction:
    """The work on one table and day that has no sealed file.

    *minutes* are its minute files with their states. A window becomes a part when it is over, and
    again when a state in it is another one; a day that is over becomes one file. What was
    published once stays over: a clock that is set back takes no row out of sight.
    """
    whole = [file for file in published if file.kind is FileKind.DAY]
    parts = {file.window: file for file in published if file.kind is FileKind.PART}
    over = bool(whole) or now >= bounds_of(day)[1] + TIME_TO_WRITE
    all_sources = _digest(minutes.items())
    if over and [file.sources for file in whole] == [all_sources]:
        return Compaction(kept=tuple(whole))
    windows = {
        window: states
        for window, states in _windows(table, day, minutes).items()
        if over or window in parts or window + WINDOW + TIME_TO_STORE <= now
    }
    kept, missing = [], []
    for window, states in sorted(windows.items()):
        sources, known = _digest(states.items()), parts.get(window)
        if known is not None and known.sources == sources:
            kept.append(known)
        else:
            missing.append(PartPlan(window=window, minutes=tuple(sorted(states)), sources=sources))
    return Compaction(
        kept=tuple(kept),
        parts=tuple(missing),
        whole=over and bool(minutes),
        sources=all_sources,
    )


def _windows(
    table: str, day: date, minutes: Mapping[datetime, str]
) -> dict[datetime, dict[datetime, str]]:
    """The minutes of each window, with their states."""
    found: defaultdict[datetime, dict[datetime, str]] = defaultdict(dict)
    for minute, state in minutes.items():
        window = minute - (minute - EPOCH) % WINDOW
        found[bounds_of(day)[0] if table in WHOLE_DAYS else window][minute] = state
    return found


def _digest(states: Iterable[tuple[datetime, str]]) -> str:
    lines = (f"{minute.isoformat()} {state}\n" for minute, state in sorted(states))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:32]
