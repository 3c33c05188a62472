"""Units through a real Celery and a Redis that forgets: killed, delivered twice, done once.

The traps of the queue are met one by one. `CHAOS=1` (`make chaos`) kills ten times as often.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import requires, version
from pathlib import Path

import psutil
import pytest
from effort import PATIENCE_SECONDS, times
from own_redis import OwnRedis, own_redis
from packaging.requirements import Requirement
from programs import Desk
from unit_worker import RELEASE, TRIES

from data_fetch.core.clock import SystemClock, stopwatch
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.work import UnitFailure, UnitKind, UnitOffer, UnitState
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.runs import recent_runs
from data_fetch.storage.work_units import WorkUnits

KILLS = times(20, 200)
PROGRAM = Path(__file__).parents[1] / "support" / "unit_worker.py"

pytestmark = pytest.mark.long


class Workshop:
    """A store, a broker without persistence, and worker programs."""

    def __init__(self, folder: Path, database_url: str, broker: OwnRedis) -> None:
        self.broker = broker
        self.folder = folder
        desk = Desk.at(folder, DATA_SOURCE="paper", DATABASE_URL=database_url)
        self._environment = {**desk.environment, "CELERY_BROKER_URL": broker.url}
        self.store = open_store(database_url, World.PAPER)
        self.units = WorkUnits(self.store)
        self._programs: list[subprocess.Popen[bytes]] = []

    def start(self, concurrency: int = 1) -> "subprocess.Popen[bytes]":
        before = self.tries()["ready -"]
        program = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(concurrency)],
            cwd=self.folder,
            env=self._environment,
        )
        self._programs.append(program)
        wait_until(lambda: self.tries()["ready -"] > before)
        return program

    def offer(self, *names: str) -> list[str]:
        now = SystemClock().now()
        offers = [UnitOffer(kind=UnitKind.BACKFILL, content=(name,), subject={}) for name in names]
        self.units.offer(offers, SyncRun.begin("plan", now), now)
        return [offer.key for offer in offers]

    def tries(self) -> Counter[str]:
        file = self.folder / TRIES
        return Counter(file.read_text().splitlines() if file.exists() else [])

    def release(self) -> None:
        (self.folder / RELEASE).touch()

    def states(self) -> dict[UnitState, int]:
        found: Counter[UnitState] = Counter()
        for each in self.units.counts():
            found[each.state] += each.units
        return dict(found)

    def all_done(self, number: int) -> bool:
        return self.states() == {UnitState.DONE: number}

    def times_done(self) -> int:
        """How many tries have ended a unit: each wrote its audit row with it."""
        runs = recent_runs(self.store, 1_000_000, job="backfill")
        return sum(run.outcome is Outcome.COMPLETED for run in runs)

    def close(self) -> None:
        for program in self._programs:
            if program.poll() is None:
                kill_with_children(program)
        self.store.close()


def wait_until(condition: Callable[[], bool]) -> None:
    latest = stopwatch() + PATIENCE_SECONDS
    while not condition():
        assert stopwatch() < latest, "it takes too long"
        time.sleep(0.05)


def kill_with_children(program: "subprocess.Popen[bytes]") -> None:
    family = [program, *psutil.Process(program.pid).children()]
    for process in family:
        process.kill()
    program.wait()


@pytest.fixture
def workshop(database_url: str, tmp_path: Path) -> Iterator[Workshop]:
    with own_redis() as broker:
        shop = Workshop(tmp_path, database_url, broker)
        try:
            yield shop
        finally:
            shop.close()


def test_a_key_that_is_delivered_again_while_its_worker_works_is_left(workshop: Workshop) -> None:
    workshop.start(concurrency=2)
    [key] = workshop.offer("held")
    wait_until(lambda: workshop.tries()[f"left {key}"] > 0)
    workshop.release()
    wait_until(lambda: workshop.all_done(1))

    assert workshop.tries()[f"begun {key}"] == 1
    assert workshop.times_done() == 1


def test_a_unit_that_ends_its_process_is_dead_after_three(workshop: Workshop) -> None:
    workshop.start()
    [poison] = workshop.offer("poison")
    others = workshop.offer("quick-1", "quick-2", "quick-3")
    wait_until(lambda: workshop.states() == {UnitState.DEAD: 1, UnitState.DONE: len(others)})

    [dead] = workshop.units.dead(UnitFailure.POISON)
    assert (dead.key, dead.attempts) == (poison, 3)
    assert workshop.tries()[f"begun {poison}"] == 3


def test_a_broker_that_restarts_empty_loses_nothing(workshop: Workshop) -> None:
    keys = workshop.offer("held", *(f"quick-{number}" for number in range(100)))
    workshop.start()
    wait_until(lambda: workshop.tries()[f"begun {keys[0]}"] == 1 or workshop.times_done() > 0)
    for _ in range(3):
        workshop.broker.kill()
        workshop.broker.start()
    workshop.release()
    wait_until(lambda: workshop.all_done(len(keys)))

    assert workshop.times_done() == len(keys)


def test_a_worker_takes_new_keys_after_its_connections_were_cut(workshop: Workshop) -> None:
    workshop.start()
    workshop.offer("quick-1")
    wait_until(lambda: workshop.all_done(1))
    for number in (2, 3, 4):
        workshop.broker.cut_all()
        workshop.offer(f"quick-{number}")
        wait_until(lambda number=number: workshop.all_done(number))


def test_a_stopped_worker_finishes_its_unit_and_ends_well(workshop: Workshop) -> None:
    program = workshop.start()
    keys = workshop.offer("held", "quick")
    wait_until(lambda: workshop.tries()[f"begun {keys[0]}"] == 1)
    program.send_signal(signal.SIGTERM)
    workshop.release()

    assert program.wait(PATIENCE_SECONDS) == 0
    assert workshop.units.named(keys[0]).state is UnitState.DONE  # type: ignore[union-attr]
    workshop.start()
    wait_until(lambda: workshop.all_done(2))


def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(workshop: Workshop) -> None:
    chosen = random.Random(0)
    total = 0
    programs = [workshop.start(concurrency=2)]
    for kill in range(KILLS):
        names = [f"quick-{kill}-{number}" for number in range(10)]
        total += len(workshop.offer(*names))
        some_done = min(workshop.times_done() + chosen.randint(1, 5), total)
        wait_until(lambda some_done=some_done: workshop.times_done() >= some_done)
        if kill % 5 == 4:
            kill_with_children(programs.pop())
            programs.append(workshop.start(concurrency=2))
        else:
            one = chosen.choice(psutil.Process(programs[0].pid).children())
            os.kill(one.pid, signal.SIGKILL)
    wait_until(lambda: workshop.states().keys() <= {UnitState.DONE, UnitState.DEAD})
    # Some may have been killed three times: they wait for a person, who replays them.
    poisoned = [unit.key for unit in workshop.units.dead()]
    now = SystemClock().now()
    workshop.units.replay(poisoned, SyncRun.begin("replay", now), now)
    wait_until(lambda: workshop.all_done(total))

    assert workshop.times_done() == total


def test_the_client_of_redis_is_one_that_the_queue_was_tried_with() -> None:
    of_kombu = [Requirement(each) for each in requires("kombu") or []]
    [wanted] = [
        each
        for each in of_kombu
        if each.name == "redis"
        and each.marker is not None
        and each.marker.evaluate({"extra": "redis"})
    ]

    assert wanted.specifier.contains(version("redis"))
    # Its blocking reads ended after five seconds.
    assert version("redis") != "8.0.0"
