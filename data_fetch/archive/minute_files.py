"""The minute files of a day: which are there, and from which state of the store each was written.

Files with other names are left alone: the folder may have those of another program.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow as pa

from data_fetch.archive.folder import DAY_FORMAT, ArchiveFolder
from data_fetch.archive.parquet_files import (
    BadFile,
    facts_of,
    quarantine,
    read_checked,
    write_table_file,
)
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import day_of
from data_fetch.core.archive.minutes import MINUTE_TABLES, TableMinute
from data_fetch.core.clock import IST
from data_fetch.core.world import World

NAME = re.compile(rf"(\d\d)(\d\d)\.({'|'.join(MINUTE_TABLES)})\.parquet")
STATE = "state"


@dataclass(frozen=True, slots=True)
class _Known:
    """A file as it was when its footer was read."""

    changed_at: int
    size: int
    state: str


class MinuteFiles:
    """The minute files under *folder*.

    Each footer is read once. A file that cannot be used is moved into the quarantine, *report*
    gets a line about it, and its minute counts as not written.
    """

    def __init__(self, folder: ArchiveFolder, world: World, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._world = world
        self._report = report
        self._known: dict[Path, _Known] = {}

    def days(self) -> list[date]:
        """The days that have a folder, oldest first."""
        root = self._folder.minutes
        names = [each.name for each in root.iterdir()] if root.is_dir() else []
        return sorted(day for name in names if (day := _day(name)) is not None)

    def states(self, day: date) -> dict[TableMinute, str]:
        """The state of the store from which each file of *day* was written."""
        found = {}
        for path, of in self._paths(day):
            state = self._state(path, of)
            if state is not None:
                found[of] = state
        return found

    def write(self, of: TableMinute, state: str, rows: pa.Table) -> Path:
        """Write the rows of a table and minute, in the order of its key. Raises OSError."""
        path = self._folder.minute_file(of.table, of.minute)
        write_table_file(
            path,
            ARCHIVE_SCHEMAS[of.table],
            [rows],
            world=self._world,
            trading_date=day_of(of.minute),
            facts={STATE: state},
        )
        return path

    def remove(self, of: TableMinute) -> None:
        """Remove the file of a table and minute."""
        self._folder.minute_file(of.table, of.minute).unlink(missing_ok=True)

    def remove_table(self, table: str, day: date) -> None:
        """Remove the files of *table* of a day, which is sealed; the folder, if it is empty."""
        for path, of in list(self._paths(day)):
            if of.table == table:
                path.unlink(missing_ok=True)
                self._known.pop(path, None)
        folder = self._folder.minutes_of(day)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def rows(self, of: TableMinute) -> pa.Table | None:
        """The rows of a table and minute, every page checked; None if the file cannot be used."""
        path = self._folder.minute_file(of.table, of.minute)
        try:
            with read_checked(path, ARCHIVE_SCHEMAS[of.table], world=self._world) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except BadFile as problem:
            self._set_apart(path, problem.reason)
        except (OSError, pa.ArrowException) as problem:
            self._set_apart(path, f"damaged ({problem})")
        return None

    def _paths(self, day: date) -> Iterator[tuple[Path, TableMinute]]:
        folder = self._folder.minutes_of(day)
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            named = NAME.fullmatch(path.name)
            if named is not None and int(named[1]) < 24 and int(named[2]) < 60:
                local = datetime.combine(day, time(int(named[1]), int(named[2])), IST).astimezone(
                    UTC
                )
                yield path, TableMinute(local, named[3])

    def _state(self, path: Path, of: TableMinute) -> str | None:
        try:
            facts = path.stat()
            known = self._known.get(path)
            if known is None or (known.changed_at, known.size) != (
                facts.st_mtime_ns,
                facts.st_size,
            ):
                state = self._read_state(path, of)
                known = _Known(facts.st_mtime_ns, facts.st_size, state)
                self._known[path] = known
        except FileNotFoundError:
            # The other worker has moved it meanwhile.
            return None
        except BadFile as problem:
            self._set_apart(path, problem.reason)
            return None
        return known.state

    def _read_state(self, path: Path, of: TableMinute) -> str:
        with read_checked(path, ARCHIVE_SCHEMAS[of.table], world=self._world) as file:
            return facts_of(file).get(STATE, "")

    def _set_apart(self, path: Path, reason: str) -> None:
        self._known.pop(path, None)
        try:
            where = quarantine(path, reason, self._folder.quarantine)
        except FileNotFoundError:
            # The other worker was first.
            return
        self._report(f"{path} is not used: {reason}. It is kept as {where}.")


def _day(name: str) -> date | None:
    try:
        return datetime.strptime(name, DAY_FORMAT).replace(tzinfo=IST).date()
    except ValueError:
        return None
