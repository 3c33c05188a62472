"""Several real processes on one state file, some of them killed."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from paced import ACCOUNT, file_pacer
from upstox_stub import spent

from data_fetch.core.clock import SystemClock, VirtualClock
from data_fetch.core.ports import Lane
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

SECOND = timedelta(seconds=1)
LIMITS = {timedelta(seconds=0.2): 4, timedelta(seconds=1): 12}

PRELUDE = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from data_fetch.core.clock import SystemClock
from data_fetch.core.ports import Lane
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.pacing import Pacer
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
clock = SystemClock()
def pacer_of(limits):
    return Pacer(FileWindows(folder, clock), lambda: account, clock, limits)
def in_threads(work, count):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / f"pacing-{ACCOUNT}.sqlite3"


@pytest.fixture
def start(state_file: Path) -> Iterator[Start]:
    """Start a process that runs a program; its pacers have the windows in `state_file`."""
    children: list[subprocess.Popen[str]] = []
    place = f"folder, account = Path({str(state_file.parent)!r}), {ACCOUNT!r}"

    def run(program: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}\n{place}\n{program}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def first_line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


SENDER = """
limits = {timedelta(seconds=0.2): 4, timedelta(seconds=1): 12}
pacer = pacer_of(limits)
lines = []
def work():
    for _ in range(7):
        with pacer.request("ltp", Lane.BACKFILL):
            sent = clock.now()
            clock.sleep(timedelta(milliseconds=5))
            lines.append((sent.isoformat(), clock.now().isoformat()))
in_threads(work, 2)
for line in lines: print(*line)
"""


def test_two_processes_stay_within_the_limits_together(start: Start) -> None:
    children = [start(SENDER), start(SENDER)]
    given = [line.split() for child in children for line in child.communicate()[0].splitlines()]
    sent, answered = (
        sorted(map(datetime.fromisoformat, times)) for times in zip(*given, strict=True)
    )
    assert len(sent) == 28
    for window, limit in LIMITS.items():
        # The first answers of any `limit` + 1 neighbours came more than a window earlier
        # than the last of them was sent.
        for early, late in zip(answered, sent[limit:], strict=False):
            assert late - early > window


def test_killed_in_flight(start: Start, state_file: Path) -> None:
    child = start(
        """
pacer = pacer_of(UPSTOX_LIMITS)
with pacer.request("ltp", Lane.LIVE):
    print("in flight", flush=True)
    threading.Event().wait()
"""
    )
    assert first_line(child) == "in flight"
    kill(child)
    flight = timedelta(seconds=130)
    clock = VirtualClock(SystemClock().now())
    hold = clock.hold()
    pacer = file_pacer(state_file.parent, clock, UPSTOX_LIMITS, flight)
    clock.sleep(flight - 30 * SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 1, "nobody knows that it will not arrive"
    clock.sleep(31 * SECOND + SECOND)
    assert spent(pacer, "ltp", clock)[SECOND] == 0
    assert spent(pacer, "ltp", clock)[60 * SECOND] == 1
    hold.release()
    pacer.close()


def test_killed_while_it_wrote(start: Start, state_file: Path) -> None:
    """Again and again: the file stays sound and keeps what was spent."""
    pacer = file_pacer(state_file.parent, SystemClock(), {timedelta(hours=1): 100_000})
    so_far = 0
    for _ in range(5):
        child = start(
            """
pacer = pacer_of({timedelta(hours=1): 100_000})
while True:
    with pacer.request("ltp", Lane.LIVE):
        pass
    print("sent", flush=True)
"""
        )
        for _ in range(5):
            assert first_line(child) == "sent"
        kill(child)
        count = len(pacer.spending("ltp"))
        assert count >= so_far + 5
        so_far = count
    pacer.close()


def test_killed_while_it_waited(start: Start, state_file: Path) -> None:
    """A dead waiter of the live lane holds one place for a moment, not the line."""
    limits = {timedelta(minutes=1): 5}
    child = start(
        """
pacer = pacer_of({timedelta(minutes=1): 5})
for _ in range(6):
    with pacer.request("ltp", Lane.LIVE):
        pass
"""
    )
    until_somebody_waits(state_file)
    kill(child)
    clock = VirtualClock(SystemClock().now())
    hold = clock.hold()
    pacer = file_pacer(state_file.parent, clock, limits)
    began = clock.now()
    for _ in range(4):
        with pacer.request("ltp", Lane.BACKFILL):
            pass
    assert clock.now() - began <= 61 * SECOND
    with pacer.request("ltp", Lane.BACKFILL):
        pass
    assert clock.now() - began <= 122 * SECOND
    hold.release()
    pacer.close()


def test_two_seconds_after_its_turn_a_dead_waiter_is_forgotten(
    start: Start, state_file: Path
) -> None:
    limits = {timedelta(minutes=1): 5}
    child = start(
        """
pacer = pacer_of({timedelta(minutes=1): 5})
for _ in range(6):
    with pacer.request("ltp", Lane.LIVE):
        pass
"""
    )
    until_somebody_waits(state_file)
    kill(child)
    clock = VirtualClock(SystemClock().now())
    hold = clock.hold()
    pacer = file_pacer(state_file.parent, clock, limits)
    clock.sleep(63 * SECOND)
    began = clock.now()
    for _ in range(5):
        with pacer.request("ltp", Lane.BACKFILL):
            pass
    assert clock.now() == began, "the whole budget is free"
    hold.release()
    pacer.close()


def test_live_lane_of_one_process_overtakes_the_bulk_of_another(
    start: Start, state_file: Path
) -> None:
    limits = {timedelta(seconds=0.5): 1}
    start(
        """
pacer = pacer_of({timedelta(seconds=0.5): 1})
def work():
    while True:
        with pacer.request("ltp", Lane.BACKFILL):
            pass
in_threads(work, 40)
"""
    )
    until_somebody_waits(state_file, at_least=39)
    clock = SystemClock()
    pacer = file_pacer(state_file.parent, clock, limits)
    requested = clock.now()
    with pacer.request("ltp", Lane.LIVE):
        served = clock.now()
    pacer.close()
    assert served - requested < 15 * SECOND, "in the order of arrival it would be 20 seconds"


def until_somebody_waits(state_file: Path, at_least: int = 1) -> None:
    pause = threading.Event()
    for _ in range(30_000):
        if state_file.exists() and _waiting(state_file) >= at_least:
            return
        pause.wait(0.01)
    pytest.fail("nobody waits")


def _waiting(state_file: Path) -> int:
    db = sqlite3.connect(state_file)
    try:
        return int(db.execute("SELECT count(*) FROM waiting").fetchone()[0])
    except sqlite3.OperationalError:  # the tables are still being made
        return 0
    finally:
        db.close()
