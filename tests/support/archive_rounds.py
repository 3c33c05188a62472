"""The workers of an archive at a store, on a clock of the test's own; and what readers see."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from archive_shelf import digests, opening

from data_fetch.analytics.row_digests import digest_of
from data_fetch.archive.catalog import Catalog
from data_fetch.archive.folder import ArchiveFolder
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.manifest import Manifest
from data_fetch.core.clock import SystemClock
from data_fetch.services.archive_loader import ArchiveLoader, LoaderRound
from data_fetch.services.archive_minutes import MinuteRound, MinuteWriter
from data_fetch.storage.database.store import Store

STORE_ID = "the store of the test"
EVERY_MINUTE = ("ltp_data", "option_chain_data", "chain_summary", "chain_snapshots")


@dataclass
class Rounds:
    """A minute writer and a loader; *now* is the time of both."""

    store: Store
    root: Path
    now: datetime
    store_id: str = STORE_ID
    reports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = ArchiveFolder(self.root)
        self.restart()

    def restart(self) -> None:
        """Both anew, as in another process."""
        world, report = self.store.world, self.reports.append
        self.catalog = Catalog(self.folder, world, self.store_id, SystemClock())
        self.writer = MinuteWriter(
            self.store, self.catalog, MinuteFiles(self.folder, world, report), lambda: self.now
        )
        self.loader = ArchiveLoader(
            self.catalog, MinuteFiles(self.folder, world, report), lambda: self.now
        )

    def write(self) -> MinuteRound:
        return self.writer.round()

    def load(self) -> LoaderRound:
        return self.loader.round()

    def settle(self) -> None:
        """What one process does from its start: every round that is due now."""
        self.restart()
        self.loader.prepare()
        self.write()
        self.load()

    def minute_files(self) -> list[str]:
        """Of all days, as FOLDER/NAME."""
        found = self.folder.minutes.glob("*/*")
        return sorted(f"{each.parent.name}/{each.name}" for each in found)

    @property
    def manifest(self) -> Manifest:
        return self.catalog.read()

    def kinds(self, table: str) -> list[str]:
        return [str(file.kind) for file in self.manifest.files if file.table == table]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """As a reader that opens the DuckDB file."""
        with duckdb.connect(str(self.folder.database), read_only=True) as database:
            return database.execute(sql).fetchall()

    def visible(self, table: str, day: date) -> tuple[int, str]:
        """Rows and digest of a table and day in the view."""
        schema = ARCHIVE_SCHEMAS[table]
        first, end = (opening(each, -555) for each in (day, day + timedelta(days=1)))
        with duckdb.connect(str(self.folder.database), read_only=True) as database:
            database.execute("SET TimeZone = 'UTC'")
            rows = database.sql(
                f"SELECT * FROM {table} WHERE timestamp >= ? AND timestamp < ?",  # noqa: S608 - ours
                params=[first, end],
            ).to_arrow_table()
        found = digest_of([rows.cast(schema.arrow)])
        return found.rows, found.value

    def differences(
        self, days: Sequence[date], tables: Sequence[str] = EVERY_MINUTE
    ) -> list[tuple[str, date]]:
        """The tables and days that readers do not see as the store has them."""
        stored = digests(self.store, days)
        return [
            (table, day)
            for table in tables
            for day in days
            if stored[table, day] != self.visible(table, day)
        ]
