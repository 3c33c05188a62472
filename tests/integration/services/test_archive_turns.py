"""Rounds and restores of an archive take turns at its days, by a lock that every program sees."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import date, datetime
from pathlib import Path
from threading import Event

import pytest
from archive_life import Archive
from archive_shelf import THURSDAY, TUESDAY, WEDNESDAY, opening, store_day
from effort import PATIENCE_SECONDS

from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.archive.lifecycle import Step
from data_fetch.core.clock import VirtualClock
from data_fetch.core.world import World
from data_fetch.services.archive_lifecycle import ArchiveBusy
from data_fetch.storage.database.store import open_store

FRIDAY = date(2026, 9, 18)


class StandingClock(VirtualClock):
    """Stops who asks for the second time: what asks has its turn then."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.reached, self.go_on = Event(), Event()
        self._asked = 0

    def now(self) -> datetime:
        self._asked += 1
        if self._asked == 2:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)
        return super().now()


class Programs:
    """Two programs at one archive: *standing* stops half way, *other* comes meanwhile."""

    def __init__(self, standing: Archive, other: Archive, threads: ThreadPoolExecutor) -> None:
        self.clock = StandingClock(other.clock.now())
        self.standing, self.other, self._threads = standing, other, threads
        standing.clock = self.clock

    def begin_round(self) -> "Future[dict[Step, int]]":
        return self._begun(self._threads.submit(self.standing.round))

    def begin_restore(self) -> "Future[list[date]]":
        return self._begun(self._threads.submit(restored, self.standing))

    def _begun(self, work):  # type: ignore[no-untyped-def]
        assert self.clock.reached.wait(PATIENCE_SECONDS)
        return work


def restored(archive: Archive) -> list[date]:
    return archive.lifecycle.restore(Dataset.CHAINS, TUESDAY, TUESDAY)


@pytest.fixture
def programs(sqlite_url: str, tmp_path: Path) -> Iterator[Programs]:
    """Tuesday and Wednesday are in files only; Friday is over and not sealed."""
    with ExitStack() as opened:
        stores = [opened.enter_context(closing(open_store(sqlite_url, World.PAPER))) for _ in "ab"]
        for day in (TUESDAY, WEDNESDAY, THURSDAY):
            store_day(stores[0], day, looks=2)
        standing, other = (Archive(store, tmp_path / "archive") for store in stores)
        other.round()
        store_day(stores[0], FRIDAY, looks=2)
        other.clock.sleep(opening(FRIDAY) - opening(THURSDAY))
        threads = opened.enter_context(ThreadPoolExecutor())
        found = Programs(standing, other, threads)
        # A test that failed half way leaves no thread waiting.
        opened.callback(found.clock.go_on.set)
        yield found


def test_a_restore_waits_for_a_round(programs: Programs) -> None:
    waiting = Event()
    programs.other.lifecycle._report = lambda line: waiting.set() if "waiting" in line else None
    with ThreadPoolExecutor() as threads:
        running = programs.begin_round()
        restoring = threads.submit(restored, programs.other)
        assert waiting.wait(PATIENCE_SECONDS)
        assert not restoring.done()
        assert programs.other.states()[0] is DayState.CLEARED
        programs.clock.go_on.set()
        assert running.result(PATIENCE_SECONDS)[Step.SEAL] == 3
        assert restoring.result(PATIENCE_SECONDS) == [TUESDAY]
    assert programs.other.states()[0] is DayState.RESTORED


def test_a_round_beside_a_restore_is_refused(programs: Programs) -> None:
    restoring = programs.begin_restore()
    with pytest.raises(ArchiveBusy) as refusal:
        programs.other.lifecycle.round()
    assert str(refusal.value) == (
        f"another program archives or restores days in {programs.other.folder.root}. "
        "Wait until it has ended."
    )
    programs.clock.go_on.set()
    assert restoring.result(PATIENCE_SECONDS) == [TUESDAY]
    assert programs.other.round()[Step.SEAL] == 3


def test_a_restore_waits_for_a_restore_and_finds_its_work_done(programs: Programs) -> None:
    restoring = programs.begin_restore()
    with ThreadPoolExecutor() as threads:
        second = threads.submit(restored, programs.other)
        programs.clock.go_on.set()
        assert restoring.result(PATIENCE_SECONDS) == [TUESDAY]
        assert second.result(PATIENCE_SECONDS) == []
