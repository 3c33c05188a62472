"""The folder of recordings of the feed: a folder for each Indian day, a file for each minute.

``folder/2026-09-16/0915.parquet`` is of the messages that were received from 09:15 IST on; a second
file of one minute, after a restart, is ``0915-2.parquet``.
"""

import shutil
from collections.abc import Iterator
from datetime import date, datetime
from itertools import count
from pathlib import Path

from data_fetch.core.clock import IST

SUFFIX = ".parquet"


def minute_paths(folder: Path, minute: datetime) -> Iterator[Path]:
    """The names that files of *minute* have in *folder*: of the first one, the second one, ..."""
    local = minute.astimezone(IST)
    names = (f"{local:%H%M}" if number == 1 else f"{local:%H%M}-{number}" for number in count(1))
    return (folder / local.date().isoformat() / f"{name}{SUFFIX}" for name in names)


def recorded_days(folder: Path) -> list[date]:
    """The Indian days in *folder* with recordings, oldest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(day for each in found if (day := _day(each.name)) is not None)


def prune_recordings(folder: Path, before: date) -> list[date]:
    """Remove the days in *folder* that are earlier than *before*; return them. Raises OSError."""
    old = [day for day in recorded_days(folder) if day < before]
    for day in old:
        shutil.rmtree(folder / day.isoformat())
    return old


def recording_files(folder: Path) -> list[Path]:
    """The complete recordings in *folder*, of one day or of several, in the order of their
    minutes. Other Parquet files in it are among them."""
    return sorted(folder.rglob(f"*{SUFFIX}"), key=_place)


def minute_name(file: Path) -> str:
    """The minute of a recording, as in ``0915``."""
    return _place(file)[1]


def _place(file: Path) -> tuple[str, str, int]:
    minute, _, number = file.name.removesuffix(SUFFIX).partition("-")
    return file.parent.name, minute, int(number) if number.isdecimal() else 1


def _day(name: str) -> date | None:
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    # Other ways to write a date are no folders of ours.
    return day if day.isoformat() == name else None
