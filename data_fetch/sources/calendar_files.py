"""The calendar on disk: what a refresh has received, and the user's override file."""

import json
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import orjson

from data_fetch.core.errors import SetupError
from data_fetch.core.files import new_file
from data_fetch.core.market.calendar import LocalOverride, MarketCalendar, parse_override
from data_fetch.core.market.provider import LONG_AGO, ProviderCalendar, ProviderHours
from data_fetch.core.market.table import Segment, TradingWindow, in_order
from data_fetch.core.world import World

OVERRIDE_NAME = "calendar_override.toml"
# Where a day was published: in the list of its year, or in the timings of the day.
LISTED, TIMINGS = "list", "timings"
# The number of a file, when it was written, and its size.
FileState = tuple[int, int, int]


def load_calendar(data_folder: Path, world: World, override: Path | None) -> MarketCalendar:
    """The reviewed calendar with what was refreshed in *world* and what is overridden here.

    Without *override* the file `calendar_override.toml` in the working folder (beside the data
    folder) is taken if there is one. Raises SetupError, with the file and a hint.
    """
    places = (calendar_file(data_folder, world), override or data_folder.parent / OVERRIDE_NAME)
    return _calendar(data_folder, world, override, tuple(map(_state_of, places)))


@lru_cache(maxsize=16)
def _calendar(
    data_folder: Path, world: World, override: Path | None, _: tuple[FileState | None, ...]
) -> MarketCalendar:
    """The calendar of files in these states. It keeps its sessions: making them for a month takes
    as long as reading a day of minutes."""
    refreshed = read_calendar(calendar_file(data_folder, world))
    return MarketCalendar.reviewed().with_amendments(
        refreshed, read_override(data_folder, override)
    )


def _state_of(path: Path) -> FileState | None:
    """Another one after each writing; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_override(data_folder: Path, named: Path | None) -> LocalOverride:
    """The override file's days. Raises SetupError if it is malformed, or named and not there."""
    path = named or data_folder.parent / OVERRIDE_NAME
    if named is None and not path.exists():
        return LocalOverride()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise SetupError(
            f"the calendar override {path} cannot be read ({type(problem).__name__})",
            hint="Fix the file, or correct CALENDAR_OVERRIDE.",
        ) from None
    return LocalOverride(parse_override(text, str(path)))


def calendar_file(data_folder: Path, world: World) -> Path:
    return data_folder / f"calendar_{world}.json"


def read_calendar(path: Path) -> ProviderCalendar:
    """The refreshed calendar on disk, empty if there is none. Raises SetupError."""
    if not path.exists():
        return ProviderCalendar()
    try:
        stored = orjson.loads(path.read_bytes())
        rows: dict[str, dict[tuple[date, Segment], ProviderHours]] = {LISTED: {}, TIMINGS: {}}
        for row in stored["days"]:
            windows = in_order(*map(TradingWindow.parse, row["windows"]))
            # Files of earlier versions do not say; timings never say that a day is closed.
            published_in = row.get("in", TIMINGS if windows else LISTED)
            since = datetime.fromisoformat(row["since"]) if "since" in row else LONG_AGO
            key = date.fromisoformat(row["date"]), Segment(row["segment"])
            rows[published_in][key] = ProviderHours(windows, str(row["note"]), since)
        refreshed_at = stored.get("refreshed_at")
        return ProviderCalendar(
            rows[LISTED],
            rows[TIMINGS],
            frozenset(map(int, stored["years"])),
            None if refreshed_at is None else datetime.fromisoformat(refreshed_at),
        )
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise SetupError(
            f"the refreshed calendar {path} cannot be read ({type(problem).__name__}: {problem})",
            hint="Delete the file, then run 'data-fetch calendar refresh'.",
        ) from None


def save_calendar(path: Path, calendar: ProviderCalendar) -> None:
    """Write the file atomically: a reader never sees a part of a calendar."""
    rows = [
        {
            "date": day.isoformat(),
            "segment": str(segment),
            "windows": [str(window) for window in hours.windows],
            "note": hours.note,
            "in": published_in,
            "since": hours.since.isoformat(),
        }
        for published_in, days in ((LISTED, calendar.listed), (TIMINGS, calendar.timings))
        for (day, segment), hours in sorted(days.items())
    ]
    refreshed_at = calendar.refreshed_at
    document = {
        "years": sorted(calendar.years),
        "refreshed_at": None if refreshed_at is None else refreshed_at.isoformat(),
        "days": rows,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    with new_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
