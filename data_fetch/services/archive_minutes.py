"""Writes the minutes of the last days to files, from what the store has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.minute_files import MinuteFiles
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import TABLES, day_of
from data_fetch.core.archive.manifest import Manifest
from data_fetch.core.archive.minutes import States, TableMinute, minute_plan, watched_days
from data_fetch.core.runs import RunCounts
from data_fetch.storage.archive_ledger import days_in_files
from data_fetch.storage.database.store import Store
from data_fetch.storage.minute_rows import minute_rows, minute_states

# The days before today change rarely: they are compared in every fifth round.
ROUNDS_BETWEEN_LOOKS_BACK = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteRound:
    """What one round has done: files written and removed, and the rows written."""

    written: int = 0
    removed: int = 0
    rows: int = 0

    def counts(self) -> RunCounts:
        """The round for the audit; empty if there was nothing to do."""
        if not self.written and not self.removed:
            return {}
        details = {"rows": self.rows, "removed": self.removed}
        return {"requested": self.written, "stored": self.written, "details": details}


class MinuteWriter:
    """Keeps the minute files of *files* those of *store*.

    A round may end anywhere: the next one writes what is missing.
    """

    def __init__(
        self, store: Store, catalog: Catalog, files: MinuteFiles, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._files = files
        self._now = now
        self._rounds = 0

    def round(self) -> MinuteRound:
        """Write the minutes that are over and not in files as the store has them.

        Each file is written from a short transaction of its own. Raises OSError for the disk, and
        as a query does.
        """
        now = self._now()
        looks_back = self._rounds % ROUNDS_BETWEEN_LOOKS_BACK == 0
        manifest = self._catalog.read()
        written = removed = rows = 0
        for day in watched_days(now) if looks_back else [day_of(now)]:
            tables, stored = self._stored(day, manifest)
            there = {
                of: state for of, state in self._files.states(day).items() if of.table in tables
            }
            plan = minute_plan(stored, there, now)
            for of in plan.write:
                rows += self._write(of, stored[of])
            for of in plan.remove:
                self._files.remove(of)
            written, removed = written + len(plan.write), removed + len(plan.remove)
        self._rounds += 1
        return MinuteRound(written=written, removed=removed, rows=rows)

    def _stored(self, day: date, manifest: Manifest) -> tuple[frozenset[str], States]:
        """The tables whose day is read from the store and not sealed, and the states of their
        minutes."""
        with self._store.reading() as connection:
            hot = {
                table
                for dataset, tables in TABLES.items()
                if not days_in_files(connection, dataset, day, day)
                for table in tables
            }
            tables = frozenset(table for table in hot if not manifest.sealed(table, day))
            states = minute_states(connection, day)
        return tables, {of: state for of, state in states.items() if of.table in tables}

    def _write(self, of: TableMinute, state: str) -> int:
        schema = ARCHIVE_SCHEMAS[of.table]
        with self._store.reading() as connection:
            rows = minute_rows(connection, of, schema.arrow)
        self._files.write(of, state, rows.sort_by([(name, "ascending") for name in schema.key]))
        return int(rows.num_rows)
