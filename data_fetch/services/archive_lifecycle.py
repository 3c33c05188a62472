"""Days on their way from the store into files, and back.

A day that is over is sealed: one file per table. Its files are compared with the store by count
and digest, and when the day is older than the hot window it is dropped: from then on it is read
from its files. Each step may end anywhere and is done again by the next round. Nothing is dropped
that is not, at that moment, in files with the bytes that were compared.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Event
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from data_fetch.archive.catalog import Catalog
from data_fetch.archive.day_files import DayFiles
from data_fetch.archive.parquet_files import BadFile
from data_fetch.core.archive.days import TABLES, ArchivedDay, ArchivedFile, Dataset, DayState
from data_fetch.core.archive.lifecycle import Retention, Step, next_step
from data_fetch.core.archive.manifest import FileKind, ManifestFile
from data_fetch.core.errors import InUse, SetupError, StoreRefused, StoreUnreachable
from data_fetch.core.files import OWNER_ONLY, make_folder
from data_fetch.core.runs import Outcome, RunCounts, SyncRun
from data_fetch.core.timetable import ARCHIVE_DAYS, ARCHIVE_RESTORE, ARCHIVE_VERIFY
from data_fetch.services.archive_damage import EVERY_DAY, FileProblem, damaged_files, problem_with
from data_fetch.services.archive_steps import DayLost, DaySteps
from data_fetch.storage.archive_ledger import day_in_ledger, days_between, files_between
from data_fetch.storage.database.partitions import drop_whole
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_changes import DayChanged
from data_fetch.storage.runs import record_runs
from data_fetch.storage.stored_days import stored_days

log = logging.getLogger(__name__)

# A day that is written to all the time is compared with its files later.
MOST_STEPS = 12
# How long to wait for one's turn, in seconds. One unit of a worker takes seconds, so that several
# workers keep one of them at work.
AT_ONCE, A_FEW_UNITS, WITHOUT_END = 0.0, 30.0, -1.0
# Of these days nothing in the store is read, nor is anything on its way back.
VOID = (DayState.DROPPED, DayState.CLEARED)
Report = Callable[[str], None]


class ArchiveBusy(InUse):
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


@dataclass(slots=True)
class DueDays:
    """The *days* for which something is to be done now, oldest first of each dataset, and the
    *problems* that only a person can solve."""

    days: list[tuple[Dataset, date]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


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
        self._steps = DaySteps(store, self._files, now)
        self._retention = retention
        self._now = now
        self._report = report
        self._stop = stop
        self._turn = FileLock(catalog.folder.processed / "days.lock", mode=OWNER_ONLY)

    def round(self) -> RoundReport:
        """Do what is due now for every day, oldest first.

        What fails for a day is in the report, and the others go on. Raises ArchiveBusy while
        another program works on the days, and WrongWorld or SetupError for the folder of another
        store.
        """
        now = self._now()
        run = SyncRun.begin(ARCHIVE_DAYS, now)
        report = RoundReport(run.run_id)
        with self._turn_at_days(AT_ONCE):
            for dataset in Dataset:
                report.problems += self._look_at_files(dataset, run)
                self._work_on(dataset, self._days(dataset), now, run, report)
        return report

    def due(self, run: SyncRun) -> DueDays:
        """What `round` would work on now; days with damaged files are due because of *run*."""
        now, due = self._now(), DueDays()
        self._catalog.read()
        for dataset in Dataset:
            due.problems += self._look_at_files(dataset, run)
            due.days += [
                (dataset, day)
                for day, newest in self._days(dataset)
                if self._next_step(dataset, day, newest, now) is not None
            ]
        return due

    def work_on(self, dataset: Dataset, day: date, run: SyncRun) -> RoundReport:
        """Do for one day what is due now; the ledger has *run* for it.

        Raises as `round` does, and SetupError where the folder has no archive: a round of the
        archiver makes it.
        """
        if not self._catalog.folder.manifest.exists():
            raise SetupError(
                f"the archive of this store is not in {self._catalog.folder.root}",
                hint="Let this machine see the collector's archive at the same path, or set "
                "ARCHIVE_FOLDER to where it is.",
            )
        report = RoundReport(run.run_id)
        with self._turn_at_days(A_FEW_UNITS):
            days = [known for known in self._days(dataset) if known[0] == day]
            self._work_on(dataset, days, self._now(), run, report)
        return report

    def _work_on(
        self,
        dataset: Dataset,
        days: Sequence[tuple[date, date]],
        now: datetime,
        run: SyncRun,
        report: RoundReport,
    ) -> None:
        for day, newest in days:
            if self._stop.is_set():
                break
            self._advance(dataset, day, newest, now, run, report)
        self._clear_dropped(dataset, run, report)
        self._show(dataset, report)

    def restore(self, dataset: Dataset, first: date, last: date) -> list[date]:
        """Bring the days from *first* to *last* back into the store; those that were in files.

        Waits while another program works on the days. A day that was brought back is not dropped
        before its hot window is over once more. Raises DayLost for a day without a usable file;
        the days before it have been brought back.
        """
        run, restored = SyncRun.begin(ARCHIVE_RESTORE, self._now()), []
        with self._turn_at_days(WITHOUT_END):
            for known in self._known(dataset, first, last):
                if known.state.in_files:
                    rows = self._steps.take(Step.RESTORE, dataset, known.trading_date, run).rows
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
                    self._steps.compare_anew(days[day], run)
        error = f"{problems[0].file.path}: {problems[0].reason}" if problems else None
        details = {"bad_files": [each.file.path for each in problems]}
        self._record(run, checked, error=error, rejected=len(problems), details=details)
        return problems

    def _look_at_files(self, dataset: Dataset, run: SyncRun) -> list[str]:
        """The damaged files of days that are in files only; the others are written anew."""
        with self._store.reading() as connection:
            root, looks = self._catalog.folder.root, self._catalog.looks
            found = list(damaged_files(connection, dataset, root, looks))
        problems = [
            f"{dataset} of {problem.file.trading_date}: {problem}"
            for problem in found
            if problem.state.in_files
        ]
        for day in sorted({one.file.trading_date for one in found if one.state.compared}):
            known = self._day(dataset, day)
            if known is None or not known.state.compared:
                continue
            try:
                self._steps.compare_anew(known, run)
            except FAILURES as failure:
                problems.append(f"{dataset} of {day}: {failure}")
        return problems

    @contextmanager
    def _turn_at_days(self, patience_seconds: float) -> Iterator[None]:
        self._catalog.read()
        make_folder(self._catalog.folder.processed)
        try:
            self._turn.acquire(AT_ONCE)
        except Timeout:
            self._await_turn(patience_seconds)
        try:
            yield
        finally:
            self._turn.release()

    def _await_turn(self, patience_seconds: float) -> None:
        if patience_seconds != AT_ONCE:
            self._report("Another program works on the archive; waiting for it.")
        try:
            self._turn.acquire(patience_seconds)
        except Timeout:
            raise ArchiveBusy(
                f"another program archives or restores days in {self._catalog.folder.root}",
                hint="Wait until it has ended.",
            ) from None

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
            step = self._next_step(dataset, day, newest, now)
            if step in {None, Step.CLEAR} or self._stop.is_set():
                return
            if not self._take(step, dataset, day, run, report):
                return
        report.problems.append(f"{dataset} of {day} changes while it is compared with its files")

    def _next_step(self, dataset: Dataset, day: date, newest: date, now: datetime) -> Step | None:
        known = self._day(dataset, day)
        return next_step(self._retention, dataset, day, known, newest, now)

    def _take(
        self, step: Step, dataset: Dataset, day: date, run: SyncRun, report: RoundReport
    ) -> bool:
        """Whether the step was taken; what it failed with is in *report*."""
        try:
            taken = self._steps.take(step, dataset, day, run)
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
