"""Files of archived days that are gone or damaged, and what to do about each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from data_fetch.archive.file_looks import FileLooks
from data_fetch.core.archive.days import TABLES, ArchivedFile, Dataset, DayState
from data_fetch.storage.archive_ledger import days_between, files_between

EVERY_DAY = (date.min, date.max)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file of the ledger that is gone or is not what was written, of a day in *state*, and what
    to do."""

    dataset: Dataset
    file: ArchivedFile
    state: DayState
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file.path}: {self.reason}. {self.fix}"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dataset": self.dataset.value,
            "table": self.file.table_name,
            "trading_date": self.file.trading_date.isoformat(),
            "path": self.file.path,
            "reason": self.reason,
            "fix": self.fix,
        }


def problem_with(
    root: Path, dataset: Dataset, file: ArchivedFile, state: DayState, reason: str
) -> FileProblem:
    """The problem with a file of the archive at *root*."""
    return FileProblem(dataset, file, state, reason, _fix(root, file, state))


def damaged_files(
    connection: Connection, dataset: Dataset, root: Path, looks: FileLooks
) -> Iterator[FileProblem]:
    """The files of *dataset* that a look finds damaged, oldest first in each table."""
    states = {one.trading_date: one.state for one in days_between(connection, dataset, *EVERY_DAY)}
    for name in TABLES[dataset]:
        for file in files_between(connection, name, *EVERY_DAY):
            reason = looks.flaw(file)
            if reason is not None:
                yield problem_with(root, dataset, file, states[file.trading_date], reason)


def _fix(root: Path, file: ArchivedFile, state: DayState) -> str:
    if state.in_files:
        return (
            f"Put the file back from a backup of the archive, as {root / file.path}: the store "
            f"does not have {file.trading_date} any more."
        )
    return "Run `data-fetch archive run --once`: the store has the day, and it is written anew."
