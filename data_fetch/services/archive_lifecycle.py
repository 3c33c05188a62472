"""Days on their way from the store into files, and back.

A day that is over is sealed: one file per table. Its files are compared with the store by count
and digest, and when the day is older than the hot window it is dropped: from then on it is read
from its files. Each step may end anywhere and is done again by the next round. Nothing is dropped
that is not, at that moment, in files with the bytes that were compared.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout
from sqlalchemy import Connection

from data_fetch.analytics.row_digests import digest_of
from data_fetch.archive.catalog import Catalog
from data_fetch.archive.day_files import DayFiles
from data_fetch.archive.parquet_files import BadFile
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import (
    TABLES,
    ArchivedDay,
    ArchivedFile,
    Dataset,
    DayState,
)
from data_fetch.core.archive.lifecycle import Retention, Step, next_step
from data_fetch.core.archive.manifest import FileKind, ManifestFile
from data_fetch.core.errors import OutsideError, SetupError, StoreRefused, StoreUnreachable
from data_fetch.core.files import OWNER_ONLY, make_folder
from data_fetch.core.runs import Outcome, RunCounts, SyncRun
from data_fetch.core.timetable import ARCHIVE_DAYS, ARCHIVE_RESTORE, ARCHIVE_VERIFY
from data_fetch.services.archive_damage import (
    EVERY_DAY,
    FileProblem,
    damaged_files,
    problem_with,
)
from data_fetch.storage.archive_ledger import (
    day_in_ledger,
    days_between,
    files_between,
    record_day,
)
from data_fetch.storage.database.partitions import drop_whole
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_changes import (
    DECISIVE,
    DayChanged,
    changing,
    delete_heads,
    dropping,
)
from data_fetch.storage.day_rows import (
    Begin,
    add_rows,
    chain_series,
    day_portions,
    delete_rows,
    stored_table,
)
from data_fetch.storage.runs import record_runs
from data_fetch.storage.stored_days import stored_days

log = logging.getLogger(__name__)

# A day that is written to all the time is compared with its files later.
MOST_STEPS = 12
ATTEMPTS_TO_DROP, PAUSE_SECONDS = 5, 0.2
# Of these days nothing in the store is read, nor is anything on its way back.
VOID = (DayState.DROPPED, DayState.CLEARED)
Report = Callable[[str], None]


class DayLost(SetupError):
    """A day is in no file that can be used, and the store does not have it any more."""

    def __init__(self, known: ArchivedDay, problem: BadFile) -> None:
        super().__init__(
            f"{known.dataset} of {known.trading_date} cannot be brought back: {problem}",
            hint="Put that file back from a backup, then run the command again.",
        )


class ArchiveBusy(OutsideError):
    """Another program works on the days of this archive."""


# The disk, a file, or the database.
FAILURES = (OSError, BadFile, DayLost, DayChanged, StoreUnreachable, StoreRefused)


@dataclass(slots=True)
class RoundReport:
    """The days of a round by what was done with them; *rows* are those of sealed files.

    *problems* name the days that were left as they are, and why. The ledger has *run_id* for what
    was changed.
    """

    run_id: str
    done: dict[Step, list[tuple[Dataset, date]]] = field(default_factory=dict)
    rows: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, step: Step) -> int:
        return len(self.done.get(step, ()))

    def counts(self) -> RunCounts:
        """The round for the audit; empty if there was nothing to do."""
        if not (self.done or self.problems):
            return {}
        steps = {step.value: self.count(step) for step in Step}
        return {
            "stored": self.count(Step.SEAL),
            "rejected": len(self.problems),
            "error": self.problems[0] if self.problems else None,
            "details": {"rows": self.rows, **steps, "changed_by": self.run_id},
        }


class Taken(NamedTuple):
    """What was done with a day, and the rows of it."""

    step: Step
    rows: int


class ArchiveLifecycle:
    """Moves the days of *store* into the files of *catalog*'s folder, and back.

    *now* is the time of the market, *report* receives lines for people. One program at a time works
    on the days of a folder; a round ends between two steps when *stop* is set.
    """

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        retention: Retention,
        now: Callable[[], datetime],
        report: Report,
        stop: Event,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._files = DayFiles(catalog.folder, store.world)
        self._retention = retention
        self._now = now
        self._report = report
        self._stop = stop
        self._turn = FileLock(catalog.folder.processed / "days.lock", mode=OWNER_ONLY)
        self._steps: Mapping[Step, Callable[[Dataset, date, SyncRun], Taken]] = {
            Step.SEAL: self._seal,
            Step.VERIFY: self._verify,
            Step.DROP: self._drop,
            Step.CLEAR: self._clear,
            Step.RESTORE: self._restore,
        }

    def round(self) -> RoundReport:
        """Do what is due now for every day, oldest first.

        What fails for a day is in the report, and the others go on. Raises ArchiveBusy while
        another program works on the days, and WrongWorld or SetupError for the folder of another
        store.
        """
        now = self._now()
        run = SyncRun.begin(ARCHIVE_DAYS, now)
        report = RoundReport(run.run_id)
        with self._turn_at_days(wait=False):
            for dataset in Dataset:
                self._look_at_files(dataset, run, report)
                for day, newest in self._days(dataset):
                    if self._stop.is_set():
                        break
                    self._advance(dataset, day, newest, now, run, report)
                self._clear_dropped(dataset, run, report)
                self._show(dataset, report)
        return report

    def restore(self, dataset: Dataset, first: date, last: date) -> list[date]:
        """Bring the days from *first* to *last* back into the store; those that were in files.

        Waits while another program works on the days. A day that was brought back is not dropped
        before its hot window is over once more. Raises DayLost for a day without a usable file;
        the days before it have been brought back.
        """
        run, restored = SyncRun.begin(ARCHIVE_RESTORE, self._now()), []
        with self._turn_at_days(wait=True):
            for known in self._known(dataset, first, last):
                if known.state.in_files:
                    rows = self._restore(dataset, known.trading_date, run).rows
                    restored.append(known.trading_date)
                    self._report(f"{dataset} of {known.trading_date}: {rows:,} rows restored")
        if restored:
            days = {dataset.value: [day.isoformat() for day in restored]}
            self._record(run, len(restored), details={"days": days})
        return restored

    def bring_back(self, dataset: Dataset, days: Sequence[date]) -> None:
        """Restore *days*, which late data belong to."""
        self._report(
            f"{dataset} of {', '.join(map(str, days))} are in the archive: they are restored first"
        )
        for day in days:
            self.restore(dataset, day, day)

    def verify(
        self,
        datasets: Sequence[Dataset] = tuple(Dataset),
        first: date = date.min,
        last: date = date.max,
        progress: Callable[[ArchivedFile], None] = lambda _file: None,
    ) -> list[FileProblem]:
        """Check the bytes of every file of these days; the files that are gone or changed.

        *progress* is called after each file. A day with a bad file that the store has is sealed
        anew by the next round.
        """
        run, checked, problems = SyncRun.begin(ARCHIVE_VERIFY, self._now()), 0, []
        self._catalog.read()
        for dataset in datasets:
            days = {one.trading_date: one for one in self._known(dataset, first, last)}
            bad: set[date] = set()
            for name in TABLES[dataset]:
                with self._store.reading() as connection:
                    files = files_between(connection, name, first, last)
                for file in files:
                    try:
                        self._files.check(file)
                    except BadFile as problem:
                        state = days[file.trading_date].state
                        root = self._catalog.folder.root
                        problems.append(problem_with(root, dataset, file, state, problem.reason))
                        bad.add(file.trading_date)
                    checked += 1
                    progress(file)
            for day in sorted(bad):
                if days[day].state.compared:
                    self._compare_anew(days[day], run)
        error = f"{problems[0].file.path}: {problems[0].reason}" if problems else None
        details = {"bad_files": [each.file.path for each in problems]}
        self._record(run, checked, error=error, rejected=len(problems), details=details)
        return problems

    def _look_at_files(self, dataset: Dataset, run: SyncRun, report: RoundReport) -> None:
        """Name the damaged files of days that are in files only; the others are written anew."""
        with self._store.reading() as connection:
            root, looks = self._catalog.folder.root, self._catalog.looks
            found = list(damaged_files(connection, dataset, root, looks))
        for problem in found:
            if problem.state.in_files:
                report.problems.append(f"{dataset} of {problem.file.trading_date}: {problem}")
        for day in sorted({one.file.trading_date for one in found if one.state.compared}):
            known = self._day(dataset, day)
            if known is None or not known.state.compared:
                continue
            try:
                self._compare_anew(known, run)
            except FAILURES as failure:
                report.problems.append(f"{dataset} of {day}: {failure}")

    def _compare_anew(self, known: ArchivedDay, run: SyncRun) -> None:
        with changing(self._store, known) as connection:
            record_day(connection, self._changed(known, DayState.ARCHIVED, run))

    @contextmanager
    def _turn_at_days(self, *, wait: bool) -> Iterator[None]:
        self._catalog.read()
        make_folder(self._catalog.folder.processed)
        try:
            self._turn.acquire(blocking=False)
        except Timeout:
            if not wait:
                raise ArchiveBusy(
                    f"another program archives or restores days in {self._catalog.folder.root}",
                    hint="Wait until it has ended.",
                ) from None
            self._report("Another program works on the archive; waiting for it.")
            self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    def _days(self, dataset: Dataset) -> list[tuple[date, date]]:
        """The days that are stored or in the ledger, each with the newest stored one."""
        with self._store.reading() as connection:
            stored = stored_days(connection, dataset)
        known = {one.trading_date: one for one in self._known(dataset, *EVERY_DAY)}
        # Of the days in files a killed drop may have left rows; they are known by the ledger.
        days = sorted({*stored, *known})
        return [(day, max(stored, default=day)) for day in days]

    def _known(self, dataset: Dataset, first: date, last: date) -> list[ArchivedDay]:
        with self._store.reading() as connection:
            return days_between(connection, dataset, first, last)

    def _day(self, dataset: Dataset, day: date) -> ArchivedDay | None:
        with self._store.reading() as connection:
            return day_in_ledger(connection, dataset, day)

    def _advance(
        self,
        dataset: Dataset,
        day: date,
        newest: date,
        now: datetime,
        run: SyncRun,
        report: RoundReport,
    ) -> None:
        """Take one day as far as it can go at *now*."""
        for _ in range(MOST_STEPS):
            known = self._day(dataset, day)
            step = next_step(self._retention, dataset, day, known, newest, now)
            if step in {None, Step.CLEAR} or self._stop.is_set():
                return
            if not self._take(step, dataset, day, run, report):
                return
        report.problems.append(f"{dataset} of {day} changes while it is compared with its files")

    def _take(
        self, step: Step, dataset: Dataset, day: date, run: SyncRun, report: RoundReport
    ) -> bool:
        """Whether the step was taken; what it failed with is in *report*."""
        try:
            taken = self._steps[step](dataset, day, run)
        except FAILURES as problem:
            # Other days may be all right.
            log.warning(
                "archive_step_failed",
                extra={"dataset": dataset, "day": day, "step": step, "problem": str(problem)},
            )
            report.problems.append(f"{dataset} of {day}: {step}: {problem}")
            return False
        if taken.step is Step.SEAL:
            report.rows += taken.rows
        report.done.setdefault(taken.step, []).append((dataset, day))
        return True

    def _clear_dropped(self, dataset: Dataset, run: SyncRun, report: RoundReport) -> None:
        """Clear the days that were dropped: whole partitions first, then row by row."""
        known = self._known(dataset, *EVERY_DAY)
        dropped = [one.trading_date for one in known if one.state is DayState.DROPPED]
        if not dropped or self._stop.is_set():
            return
        void = {one.trading_date for one in known if one.state in VOID}
        for name in TABLES[dataset]:
            try:
                drop_whole(self._store.engine, name, void)
            except StoreUnreachable as problem:
                # Others use the table: its rows are deleted below, its partition another time.
                log.warning("partition_in_use", extra={"table": name, "problem": str(problem)})
        for day in dropped:
            if not self._stop.is_set():
                self._take(Step.CLEAR, dataset, day, run, report)

    # Steps: each leaves the day in the next state, or sealed anew where it was to be compared or
    # dropped and has changed.

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

    # What the steps share.

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

    def _show(self, dataset: Dataset, report: RoundReport) -> None:
        """Let readers of the folder see the files of every day that was compared."""
        compared = {
            one.trading_date
            for one in self._known(dataset, *EVERY_DAY)
            if one.state is not DayState.ARCHIVED
        }
        try:
            shown = {file.path for file in self._catalog.read().files}
            with self._store.reading() as connection:
                hidden = {
                    (name, file.trading_date): [_in_manifest(file)]
                    for name in TABLES[dataset]
                    for file in files_between(connection, name, *EVERY_DAY)
                    if file.trading_date in compared and file.path not in shown
                }
            if hidden:
                self._catalog.publish(hidden)
        except (OSError, duckdb.Error) as problem:
            # The ledger decides; the list for other readers is written by the next round.
            log.warning("archive_not_shown", extra={"dataset": dataset, "problem": str(problem)})
            report.problems.append(f"{dataset}: {problem}")

    def _record(
        self,
        run: SyncRun,
        stored: int,
        *,
        error: str | None = None,
        rejected: int = 0,
        details: Mapping[str, Any],
    ) -> None:
        ended = run.finish(
            self._now(),
            Outcome.INCOMPLETE if error else Outcome.COMPLETED,
            stored=stored,
            rejected=rejected,
            error=error,
            details=dict(details),
        )
        record_runs(self._store, [ended])


def _inside(connection: Connection) -> Begin:
    """Reads in the transaction that has begun."""
    return lambda: nullcontext(connection)


def _in_manifest(file: ArchivedFile) -> ManifestFile:
    return ManifestFile(
        table=file.table_name,
        trading_date=file.trading_date,
        kind=FileKind.SEALED,
        path=file.path,
        rows=file.rows,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        schema_version=file.schema_version,
    )
