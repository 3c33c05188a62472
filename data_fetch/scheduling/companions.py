"""Programs of their own beside a collector: their work delays no slot, and their end ends nothing
else."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from data_fetch.core.clock import stopwatch

STOP_SECONDS = 20.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """A program that ends when its standard input does. *name* is the subject of sentences.

    When it has ended by itself it is started again after *first_wait* seconds; the wait doubles up
    to *longest_wait*, and is the first one again when it has run for that long. *ready* gets the
    first line that it prints on standard output.
    """

    name: str
    command: tuple[str, ...]
    first_wait: float
    longest_wait: float
    ready: Callable[[str], None] | None = None

    def following(self, wait: float, ran: float) -> float:
        """The wait after one of *wait*, when it has run for *ran* seconds since."""
        return self.first_wait if ran >= self.longest_wait else min(2 * wait, self.longest_wait)


@contextmanager
def beside(companion: Companion, report: Callable[[str], None]) -> Iterator[None]:
    """Let *companion* run beside the body, in the working folder and environment of this process.

    It ends with this process, however that ends. What stops it is on standard error; *report* gets
    the sentence that it has ended, and is started again.
    """
    stop = Event()
    supervisor = Thread(target=_supervise, args=(companion, stop, report), daemon=True)
    supervisor.start()
    try:
        yield
    finally:
        stop.set()
        supervisor.join(2 * STOP_SECONDS)


def started_apart(command: Sequence[str], stdout: int | None = None) -> "subprocess.Popen[bytes]":
    """*command* with a pipe as its standard input, and out of reach of a Ctrl-C in the terminal,
    which only this process gets."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=stdout,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _supervise(companion: Companion, stop: Event, report: Callable[[str], None]) -> None:
    wait = companion.first_wait / 2
    while not stop.is_set():
        began = stopwatch()
        status = _run(companion, stop)
        if status is None:
            return
        wait = companion.following(wait, stopwatch() - began)
        report(
            f"{companion.name} has ended (exit status {status}); collecting goes on. "
            f"It is started again in {wait:.0f} s."
        )
        stop.wait(wait)


def _run(companion: Companion, stop: Event) -> int | None:
    """The status with which it ended by itself; None when *stop* ended it."""
    printed = subprocess.PIPE if companion.ready else subprocess.DEVNULL
    with started_apart(companion.command, printed) as process:
        if companion.ready is not None:
            Thread(target=_pass_on, args=(process, companion.ready), daemon=True).start()
        while process.poll() is None:
            if stop.wait(LOOK_SECONDS):
                _end(process)
                return None
        return process.returncode


def _pass_on(process: "subprocess.Popen[bytes]", ready: Callable[[str], None]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        ready(line.decode())


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, by which it ends; later end it by force."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # Whatever it was writing is written again by the next one.
        process.kill()
