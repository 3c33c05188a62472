"""An archive of a store whose clock stands still, and ways to look at it."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from threading import Event

from archive_shelf import THURSDAY, TUESDAY
from sqlalchemy import func, select

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.archive.lifecycle import Retention, Step
from data_fetch.core.clock import SystemClock, VirtualClock
from data_fetch.services.archive_lifecycle import ArchiveLifecycle
from data_fetch.storage.archive_ledger import days_between, files_between
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_rows import stored_table


def evening(day: date) -> datetime:
    return datetime.combine(day, time(15, 5), UTC)


class Archive:
    """An archive of a store, and ways to look at it."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        hot_days: int = 1,
        day: date = THURSDAY,
        store_id: str = "this store",
    ) -> None:
        self.store = store
        self.folder = ArchiveFolder(folder)
        self.clock = VirtualClock(evening(day))
        self.said: list[str] = []
        self.catalog = Catalog(self.folder, store.world, store_id, SystemClock())
        self.lifecycle = ArchiveLifecycle(
            store=store,
            catalog=self.catalog,
            retention=Retention(
                hot_days=dict.fromkeys(Dataset, hot_days), confirmed_at=time(20, 0)
            ),
            now=lambda: self.clock.now(),
            report=self.said.append,
            stop=Event(),
        )

    def round(self) -> dict[Step, int]:
        report = self.lifecycle.round()
        assert report.problems == []
        return {step: report.count(step) for step in Step if report.count(step)}

    def catch_up(self) -> None:
        """Let its clock be at the last change that another process made at the days."""
        with self.store.reading() as connection:
            known = [
                day.changed_at
                for dataset in Dataset
                for day in days_between(connection, dataset, TUESDAY, THURSDAY)
            ]
        now = self.clock.now()
        self.clock.sleep(max(known, default=now) - now)

    def problems(self) -> list[str]:
        return self.lifecycle.round().problems

    def states(self, dataset: Dataset = Dataset.CHAINS) -> list[DayState]:
        with self.store.reading() as connection:
            return [day.state for day in days_between(connection, dataset, TUESDAY, THURSDAY)]

    def file(self, table: str, day: date) -> Path:
        with self.store.reading() as connection:
            [file] = files_between(connection, table, day, day)
        return self.folder.root / file.path

    def count(self, table: str) -> int:
        of = stored_table(table)
        with self.store.reading() as connection:
            return connection.scalar(select(func.count()).select_from(of)) or 0
