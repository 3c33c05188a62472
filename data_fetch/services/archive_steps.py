"""One step of a day between the store and its files: sealed, compared, dropped, cleared, restored.

Each may end anywhere and is then taken again. Nothing is dropped that is not, at that moment, in
files with the bytes that were compared.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

import pyarrow as pa
from sqlalchemy import Connection

from data_fetch.analytics.row_digests import digest_of
from data_fetch.archive.day_files import DayFiles
from data_fetch.archive.parquet_files import BadFile
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import TABLES, ArchivedDay, ArchivedFile, Dataset, DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.core.errors import OutsideError, SetupError, StoreUnreachable
from data_fetch.core.runs import SyncRun
from data_fetch.storage.archive_ledger import day_in_ledger, files_between, record_day
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_changes import DECISIVE, changing, delete_heads, dropping
from data_fetch.storage.day_rows import (
    Begin,
    add_rows,
    chain_series,
    day_portions,
    delete_rows,
    stored_table,
)

log = logging.getLogger(__name__)

ATTEMPTS_TO_DROP, PAUSE_SECONDS = 5, 0.2


class DayLost(SetupError):
    """A day is in no file that can be used, and the store does not have it any more."""

    def __init__(self, known: ArchivedDay, problem: BadFile) -> None:
        super().__init__(
            f"{known.dataset} of {known.trading_date} cannot be brought back: {problem}",
            hint="Put that file back from a backup, then run the command again.",
        )


class Taken(NamedTuple):
    """What was done with a day, and the rows of it."""

    step: Step
    rows: int


class DaySteps:
    """The steps of the days of *store*, whose sealed files are *files*; *now* is the time of the
    market. Only one program at a time may take steps."""

    def __init__(self, store: Store, files: DayFiles, now: Callable[[], datetime]) -> None:
        self._store = store
        self._files = files
        self._now = now
        self._steps: Mapping[Step, Callable[[Dataset, date, SyncRun], Taken]] = {
            Step.SEAL: self._seal,
            Step.VERIFY: self._verify,
            Step.DROP: self._drop,
            Step.CLEAR: self._clear,
            Step.RESTORE: self._restore,
        }

    def take(self, step: Step, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Take *step*; the ledger has *run* for it. A day that has changed when it is compared or
        dropped is sealed anew instead.

        Raises DayLost for a day without a usable file; DayChanged, BadFile, OSError, and as a
        query does.
        """
        return self._steps[step](dataset, day, run)

    def compare_anew(self, known: ArchivedDay, run: SyncRun) -> None:
        """Let the files of a day that is stored be compared once more. Raises as `take` does."""
        with changing(self._store, known) as connection:
            record_day(connection, self._changed(known, DayState.ARCHIVED, run))

    def _seal(self, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Write the files of the day as the store has it now."""
        known, now = self._day(dataset, day), self._now()
        generation = known.generation + 1 if known else 1
        files = [
            self._files.write(name, day, generation, self._stored(name, day), now)
            for name in TABLES[dataset]
        ]
        series = chain_series(self._store.reading, day) if dataset is Dataset.CHAINS else []
        sealed = ArchivedDay(
            dataset=dataset,
            trading_date=day,
            state=DayState.ARCHIVED,
            generation=generation,
            changed_at=now,
            run_id=run.run_id,
        )
        with self._store.writing() as connection:
            record_day(connection, sealed, files, series)
        return Taken(Step.SEAL, sum(file.rows for file in files))

    def _verify(self, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Compare the files with the store; seal the day anew if they differ."""
        known = self._day(dataset, day)
        assert known is not None
        files = self._files_of(dataset, day)
        if not (self._all_usable(files) and all(map(self._agrees, files))):
            return self._seal(dataset, day, run)
        with changing(self._store, known) as connection:
            record_day(connection, self._changed(known, DayState.VERIFIED, run))
        return Taken(Step.VERIFY, sum(file.rows for file in files))

    def _agrees(self, file: ArchivedFile) -> bool:
        stored = digest_of(self._stored(file.table_name, file.trading_date))
        in_file = digest_of(self._files.portions(file))
        found = {(each.rows, each.value) for each in (stored, in_file)}
        return found == {(file.rows, file.digest)}

    def _all_usable(self, files: Sequence[ArchivedFile]) -> bool:
        """Whether the files are as they were written; one that is not is set apart."""
        for file in files:
            try:
                self._files.check(file)
            except BadFile as problem:
                log.warning("archive_file_bad", extra={"file": file.path, "why": problem.reason})
                self._files.set_apart(file, problem.reason)
                return False
        return True

    def _drop(self, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Read the day from its files from now on; seal it anew if it has changed since."""
        known = self._day(dataset, day)
        assert known is not None
        files = self._files_of(dataset, day)
        if not (self._all_usable(files) and self._drop_unchanged(known, files, run)):
            return self._seal(dataset, day, run)
        return Taken(Step.DROP, sum(file.rows for file in files))

    def _drop_unchanged(
        self, known: ArchivedDay, files: Sequence[ArchivedFile], run: SyncRun
    ) -> bool:
        """Whether the day was as it was compared, and now is dropped.

        On SQLite it fails when another program has written meanwhile, and is tried again.
        """
        for attempt in range(ATTEMPTS_TO_DROP):
            try:
                with dropping(self._store, known) as connection:
                    begin = _inside(connection)
                    if not all(
                        self._is_unchanged(file, begin)
                        for file in files
                        if file.table_name in DECISIVE[known.dataset]
                    ):
                        return False
                    if known.dataset is Dataset.CHAINS:
                        delete_heads(connection, known)
                    record_day(connection, self._changed(known, DayState.DROPPED, run))
                    return True
            except StoreUnreachable:
                if attempt == ATTEMPTS_TO_DROP - 1:
                    raise
                time.sleep(PAUSE_SECONDS)
        raise AssertionError

    def _is_unchanged(self, file: ArchivedFile, begin: Begin) -> bool:
        found = digest_of(self._stored(file.table_name, file.trading_date, begin))
        return (found.rows, found.value) == (file.rows, file.digest)

    def _clear(self, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Delete what the store has of a day that is read from its files."""
        known = self._day(dataset, day)
        assert known is not None
        deleted = self._delete(known)
        with changing(self._store, known) as connection:
            record_day(connection, self._changed(known, DayState.CLEARED, run))
        return Taken(Step.CLEAR, deleted)

    def _delete(self, known: ArchivedDay) -> int:
        begin = partial(changing, self._store, known)
        return sum(
            delete_rows(begin, stored_table(name), known.trading_date)
            for name in TABLES[known.dataset]
        )

    def _restore(self, dataset: Dataset, day: date, run: SyncRun) -> Taken:
        """Load the day from its files, compare, and read it from the store from then on."""
        known = self._day(dataset, day)
        assert known is not None
        files = self._files_of(dataset, day)
        for file in files:
            try:
                self._files.check(file)
            except BadFile as problem:
                raise DayLost(known, problem) from problem
        restoring = self._changed(known, DayState.RESTORING, run)
        with changing(self._store, known) as connection:
            record_day(connection, restoring)
        self._delete(restoring)
        begin = partial(changing, self._store, restoring)
        for file in files:
            add_rows(begin, stored_table(file.table_name), day, self._tables_of(file))
        for file in files:
            if not self._is_unchanged(file, self._store.reading):
                raise OutsideError(
                    f"{self._store.name} has other rows of {file.table_name} on {day} than were "
                    "restored",
                    hint="Run the command again.",
                )
        with changing(self._store, restoring) as connection:
            record_day(connection, self._changed(restoring, DayState.RESTORED, run))
        return Taken(Step.RESTORE, sum(file.rows for file in files))

    def _day(self, dataset: Dataset, day: date) -> ArchivedDay | None:
        with self._store.reading() as connection:
            return day_in_ledger(connection, dataset, day)

    def _stored(self, name: str, day: date, begin: Begin | None = None) -> Iterator[pa.Table]:
        schema = ARCHIVE_SCHEMAS[name]
        read = begin or self._store.reading
        return day_portions(read, stored_table(name), day, schema.arrow, schema.key)

    def _tables_of(self, file: ArchivedFile) -> Iterator[pa.Table]:
        return (pa.Table.from_batches([batch]) for batch in self._files.portions(file))

    def _files_of(self, dataset: Dataset, day: date) -> list[ArchivedFile]:
        with self._store.reading() as connection:
            return [
                file
                for name in TABLES[dataset]
                for file in files_between(connection, name, day, day)
            ]

    def _changed(self, known: ArchivedDay, state: DayState, run: SyncRun) -> ArchivedDay:
        return replace(known, state=state, changed_at=self._now(), run_id=run.run_id)


def _inside(connection: Connection) -> Begin:
    """Reads in the transaction that has begun."""
    return lambda: nullcontext(connection)
