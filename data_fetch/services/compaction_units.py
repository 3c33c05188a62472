"""The days of the archive by workers: each unit is what is due for one day of one dataset.

Only one program at a time works on the days of a folder; a unit that finds another one there waits
for its turn. The worker needs the folder of the archive.
"""

from datetime import date

from data_fetch.core.archive.days import Dataset
from data_fetch.core.errors import TransientError
from data_fetch.core.ports import Clock
from data_fetch.core.runs import Outcome, RunCounts, SyncRun
from data_fetch.core.timetable import ARCHIVE_DAYS
from data_fetch.core.work import UnitKind, UnitOffer
from data_fetch.services.archive_lifecycle import ArchiveLifecycle
from data_fetch.storage.work_units import UnitLease, WorkUnits


class DayNotDone(TransientError):
    """A step of a day failed; a later try may find disk, files and store in order."""


class OfferedDays:
    """A round of offers: *problems* name damaged files that only a person can replace."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def counts(self) -> RunCounts:
        """For the audit; empty without problems: the offers have a row of their own."""
        if not self._problems:
            return {}
        return {"rejected": len(self._problems), "error": self._problems[0]}


class CompactionOffers:
    """Leaves the days that are due to workers. *clock* is that of the machine."""

    def __init__(self, units: WorkUnits, lifecycle: ArchiveLifecycle, clock: Clock) -> None:
        self._units = units
        self._lifecycle = lifecycle
        self._clock = clock

    def round(self) -> OfferedDays:
        """Make a unit of each day that is due and waits for no worker already."""
        now = self._clock.now()
        run = SyncRun.begin(ARCHIVE_DAYS, now)
        due = self._lifecycle.due(run)
        if due.days:
            self._units.offer([_offer(dataset, day) for dataset, day in due.days], run, now)
        return OfferedDays(due.problems)


class CompactionUnits:
    """Seals, compares, drops and clears days. *clock* is that of the machine."""

    def __init__(self, units: WorkUnits, lifecycle: ArchiveLifecycle, clock: Clock) -> None:
        self._units = units
        self._lifecycle = lifecycle
        self._clock = clock

    def do(self, lease: UnitLease) -> None:
        """Do what is due for one day, and settle its unit.

        Every step may end anywhere and is taken again by the next try. Raises DayNotDone.
        """
        dataset = Dataset(lease.unit.subject["dataset"])
        day = date.fromisoformat(lease.unit.subject["day"])
        report = self._lifecycle.work_on(dataset, day, lease.begun)
        if report.problems:
            raise DayNotDone(report.problems[0])
        now = self._clock.now()
        ended = lease.begun.finish(now, Outcome.COMPLETED, **report.counts())
        self._units.settle(lease, ended, now)


def _offer(dataset: Dataset, day: date) -> UnitOffer:
    content = (dataset.value, day.isoformat())
    return UnitOffer(
        kind=UnitKind.COMPACTION,
        content=content,
        subject=dict(zip(("dataset", "day"), content, strict=True)),
    )
