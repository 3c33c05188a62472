"""Where the days of each dataset are: in the store, in files, or in both."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from data_fetch.archive.file_looks import FileLooks
from data_fetch.core.archive.days import TABLES, ArchivedDay, Dataset, DayState
from data_fetch.core.archive.lifecycle import Retention, Step, next_step
from data_fetch.core.clock import utc_text
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import ARCHIVE_DAYS
from data_fetch.runtime.archive import archive_folder_for, market_time, retention_of
from data_fetch.runtime.stores import store_to_look_at
from data_fetch.services.archive_damage import FileProblem, damaged_files
from data_fetch.storage.archive_ledger import days_between, files_between
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs
from data_fetch.storage.stored_days import stored_days

EVERY_DAY = (date.min, date.max)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatus:
    """The days of one dataset.

    *stored* counts the days in the store, *oldest_stored* is the first of them; *states* counts
    those with files, of which *rows* and *size_bytes* are the sums. *due* counts what the next
    round does. *hot_days* of 0: days stay in the store for ever.
    """

    dataset: Dataset
    hot_days: int
    stored: int
    oldest_stored: date | None
    states: Mapping[DayState, int]
    rows: int
    size_bytes: int
    due: Mapping[Step, int]

    def document(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.value,
            "hot_days": self.hot_days,
            "days_in_store": self.stored,
            "oldest_day_in_store": None
            if self.oldest_stored is None
            else self.oldest_stored.isoformat(),
            "days_by_state": {state.value: self.states.get(state, 0) for state in DayState},
            "archived_rows": self.rows,
            "archived_bytes": self.size_bytes,
            "due": {step.value: count for step, count in self.due.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveStatus:
    """The archive of a store. *free_bytes* is the space left on its disk; *last_run* the last
    round that did something, None before the first; *damaged* are the sealed files that are gone,
    cut off or unreadable."""

    enabled: bool
    folder: Path
    free_bytes: int
    datasets: Sequence[DatasetStatus]
    last_run: SyncRun | None
    damaged: Sequence[FileProblem]

    def document(self) -> dict[str, Any]:
        last = self.last_run
        return {
            "enabled": self.enabled,
            "folder": str(self.folder),
            "free_bytes": self.free_bytes,
            "datasets": [one.document() for one in self.datasets],
            "last_run": None
            if last is None
            else {
                "run_id": last.run_id,
                "finished_at": utc_text(last.finished_at),
                "outcome": last.outcome.value,
                "error": last.error,
            },
            "damaged_files": [one.document() for one in self.damaged],
        }


def archive_status(settings: Settings) -> ArchiveStatus:
    """What the ledger of the configured store says, and what is due."""
    folder = archive_folder_for(settings).root
    now, retention = market_time(settings)(), retention_of(settings)
    with closing(store_to_look_at(settings)) as store:
        return ArchiveStatus(
            enabled=settings.archive_enabled,
            folder=folder,
            free_bytes=_free_bytes(folder),
            datasets=[_dataset(store, dataset, retention, now) for dataset in Dataset],
            last_run=next(iter(recent_runs(store, 1, ARCHIVE_DAYS)), None),
            damaged=_damaged(store, folder),
        )


def _damaged(store: Store, folder: Path) -> list[FileProblem]:
    looks = FileLooks(folder)
    with store.reading() as connection:
        return [
            problem
            for dataset in Dataset
            for problem in damaged_files(connection, dataset, folder, looks)
        ]


def _dataset(store: Store, dataset: Dataset, retention: Retention, now: datetime) -> DatasetStatus:
    with store.reading() as connection:
        known = {one.trading_date: one for one in days_between(connection, dataset, *EVERY_DAY)}
        rows = stored_days(connection, dataset)
        files = [
            file for name in TABLES[dataset] for file in files_between(connection, name, *EVERY_DAY)
        ]
    stored = [day for day in rows if day not in known or not known[day].state.in_files]
    return DatasetStatus(
        dataset=dataset,
        hot_days=retention.hot_days[dataset],
        stored=len(stored),
        oldest_stored=stored[0] if stored else None,
        states=Counter(one.state for one in known.values()),
        rows=sum(file.rows for file in files),
        size_bytes=sum(file.size_bytes for file in files),
        due=_due(dataset, {*stored, *known}, known, max(rows, default=None), retention, now),
    )


def _due(
    dataset: Dataset,
    days: set[date],
    known: Mapping[date, ArchivedDay],
    newest: date | None,
    retention: Retention,
    now: datetime,
) -> Mapping[Step, int]:
    steps = (next_step(retention, dataset, day, known.get(day), newest or day, now) for day in days)
    return Counter(step for step in steps if step is not None)


def _free_bytes(folder: Path) -> int:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there.resolve()).free
