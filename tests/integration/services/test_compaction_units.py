"""Days of the archive by workers: the ledger and the files of one process, in whatever turns."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from archive_life import Archive
from archive_shelf import THURSDAY, TUESDAY, WEDNESDAY, digests, store_day
from unit_desk import UnitDesk

from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.runs import Outcome
from data_fetch.core.work import UnitFailure, UnitKind, UnitState
from data_fetch.services import archive_lifecycle
from data_fetch.services.archive_steps import DaySteps
from data_fetch.services.compaction_units import CompactionOffers, CompactionUnits
from data_fetch.services.work import TURN, UnitWork
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs
from data_fetch.storage.work_units import WorkUnits

DAYS = (TUESDAY, WEDNESDAY, THURSDAY)
ALL = {(dataset, day) for dataset in Dataset for day in DAYS}
SECOND = timedelta(seconds=1)


@dataclass
class Shared:
    """An archiver that leaves days to workers, and a worker."""

    archive: Archive
    desk: UnitDesk
    offers: CompactionOffers

    def offer(self) -> int:
        """A round of the archiver; how many units wait after it."""
        assert self.offers.round().counts() == {}
        return self.states()[UnitState.WAITING]

    def states(self) -> Counter[UnitState]:
        found: Counter[UnitState] = Counter()
        for each in self.desk.units.counts():
            found[each.state] += each.units
        return found

    def dead_reasons(self) -> set[UnitFailure | None]:
        return {unit.reason for unit in self.desk.units.dead()}


def sharing(archive: Archive) -> Shared:
    work: dict[UnitKind, UnitWork] = {}
    desk, units = UnitDesk(archive.store, work), WorkUnits(archive.store)
    work[UnitKind.COMPACTION] = CompactionUnits(units, archive.lifecycle, desk.clock).do
    return Shared(archive, desk, CompactionOffers(units, archive.lifecycle, desk.clock))


@pytest.fixture
def shared(store: Store, tmp_path: Path) -> Shared:
    for day in DAYS:
        store_day(store, day)
    archive = Archive(store, tmp_path / "archive")
    # As the archiver does when it starts.
    archive.catalog.rebuild_views()
    return sharing(archive)


def test_workers_do_what_one_process_does(shared: Shared) -> None:
    archive, before = shared.archive, digests(shared.archive.store, DAYS)
    assert shared.offer() == len(ALL)
    assert shared.offer() == len(ALL), "a day that waits already is no new unit"
    shared.desk.work_off()

    for dataset in Dataset:
        cleared = DayState.CLEARED
        assert archive.states(dataset) == [cleared, cleared, DayState.VERIFIED]
    assert archive.lifecycle.verify() == []
    assert archive.round() == {}, "nothing is left to do"
    assert shared.offer() == 0
    for dataset in Dataset:
        archive.lifecycle.restore(dataset, TUESDAY, THURSDAY)
    assert digests(archive.store, DAYS) == before


def test_each_unit_has_its_row_in_the_audit(shared: Shared) -> None:
    shared.offer()
    shared.desk.work_off()
    runs = recent_runs(shared.archive.store, job="compaction")
    assert len(runs) == len(ALL)
    assert {run.outcome for run in runs} == {Outcome.COMPLETED}
    assert sum(run.stored for run in runs) == len(ALL)
    assert sum(run.details[Step.DROP] for run in runs) == 6


def test_a_key_that_is_delivered_again_changes_nothing(shared: Shared) -> None:
    shared.offer()
    shared.desk.dispatch.run()
    shared.desk.queue.keys *= 2
    results = shared.desk.deliver()
    assert [result is not None for result in results].count(True) == len(ALL)
    assert shared.states() == {UnitState.DONE: len(ALL)}


def test_a_unit_waits_for_its_turn_without_a_failure(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.offer()
    other = Archive(shared.archive.store, shared.archive.folder.root)
    monkeypatch.setattr(archive_lifecycle, "A_FEW_UNITS", archive_lifecycle.AT_ONCE)
    with other.lifecycle._turn_at_days(archive_lifecycle.AT_ONCE):
        assert shared.desk.work_off() == [None] * len(ALL)
    assert shared.states() == {UnitState.WAITING: len(ALL)}
    shared.desk.go_on(TURN - SECOND)
    assert shared.desk.work_off() == []
    shared.desk.go_on(2 * SECOND)
    shared.desk.work_off()
    assert shared.states() == {UnitState.DONE: len(ALL)}


def test_a_worker_that_cannot_see_the_archive_drops_nothing(shared: Shared, tmp_path: Path) -> None:
    before = digests(shared.archive.store, DAYS)
    shared.offer()
    elsewhere = sharing(Archive(shared.archive.store, tmp_path / "another disk"))
    results = elsewhere.desk.work_off()
    assert len(results) == len(ALL)
    for result in results:
        assert result is not None
        assert "is not in" in str(result.error)
        assert "set ARCHIVE_FOLDER" in str(result.error)
    assert elsewhere.dead_reasons() == {UnitFailure.REFUSED}
    assert not (tmp_path / "another disk").exists()
    assert digests(shared.archive.store, DAYS) == before


FAILURES: dict[str, Exception] = {
    "a full disk": OSError(28, "No space left on device"),
    "a database that is away": StoreUnreachable("away"),
}


@pytest.mark.parametrize("problem", FAILURES.values(), ids=FAILURES)
def test_a_day_that_fails_stops_no_other_and_is_tried_again(
    shared: Shared, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    before = digests(shared.archive.store, DAYS)
    write = archive_lifecycle.DayFiles.write

    def failing(self, table, day, *others):  # type: ignore[no-untyped-def]
        if day == TUESDAY:
            raise problem
        return write(self, table, day, *others)

    monkeypatch.setattr(archive_lifecycle.DayFiles, "write", failing)
    shared.offer()
    shared.desk.work_off()
    assert shared.states() == {UnitState.WAITING: 3, UnitState.DONE: 6}
    assert shared.archive.states() == [DayState.CLEARED, DayState.VERIFIED]
    monkeypatch.undo()
    shared.desk.go_on(timedelta(hours=1))
    shared.desk.work_off()
    assert shared.states() == {UnitState.DONE: 9}
    for dataset in Dataset:
        shared.archive.lifecycle.restore(dataset, TUESDAY, WEDNESDAY)
    assert digests(shared.archive.store, DAYS) == before


def torn(archive: Archive, day: date) -> None:
    file = archive.file("chain_snapshots", day)
    file.write_bytes(file.read_bytes()[:-9])


def test_a_damaged_file_of_a_stored_day_is_due_again(shared: Shared) -> None:
    shared.offer()
    shared.desk.work_off()
    torn(shared.archive, THURSDAY)
    assert shared.offer() == 1
    shared.desk.work_off()
    assert shared.archive.lifecycle.verify() == []


def test_a_damaged_file_of_a_dropped_day_is_in_the_audit_of_the_archiver(shared: Shared) -> None:
    shared.offer()
    shared.desk.work_off()
    torn(shared.archive, TUESDAY)
    counts = shared.offers.round().counts()
    assert counts["rejected"] == 1
    assert "from a backup of the archive" in str(counts["error"])
    assert shared.states() == {UnitState.DONE: len(ALL)}


def test_a_worker_that_ends_in_any_step_is_followed_by_another(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed worker leaves is found by its lease; the day goes on from its last step."""
    before = digests(shared.archive.store, DAYS)
    shared.offer()
    steps: list[str] = []
    take = DaySteps.take

    class Killed(BaseException):
        pass

    def ending(self, step, *others):  # type: ignore[no-untyped-def]
        steps.append(step)
        taken = take(self, step, *others)
        if len(steps) % 3 == 0:
            raise Killed
        return taken

    monkeypatch.setattr(DaySteps, "take", ending)
    for _ in range(40):
        try:
            shared.desk.work_off()
        except Killed:
            shared.desk.go_on(timedelta(minutes=3))
        else:
            shared.desk.go_on(timedelta(minutes=15))
    monkeypatch.undo()
    assert Counter(steps) == {Step.SEAL: 9, Step.VERIFY: 9, Step.DROP: 6, Step.CLEAR: 6}
    assert shared.states() == {UnitState.DONE: len(ALL)}
    for dataset in Dataset:
        shared.archive.lifecycle.restore(dataset, TUESDAY, WEDNESDAY)
    assert digests(shared.archive.store, DAYS) == before
