"""The archiver of a collector: a process of its own, so that its work delays no slot."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from data_fetch.core.settings import Settings

ARCHIVER = (sys.executable, "-m", "data_fetch", "archive", "run", "--with-parent")
# What is in its way, a database that is away for example, may be gone then.
RESTART_SECONDS = 60.0
STOP_SECONDS = 20.0


@contextmanager
def archiving(
    settings: Settings, report: Callable[[str], None], command: tuple[str, ...] = ARCHIVER
) -> Iterator[None]:
    """Let an archiver run beside the body, in the working folder and environment of this process.

    It is started again when it has ended by itself; it reports what stops it on standard error.
    Without `settings.archive_enabled` there is none.
    """
    if not settings.archive_enabled:
        yield
        return
    stop = Event()
    supervisor = Thread(target=_supervise, args=(command, stop, report), daemon=True)
    supervisor.start()
    try:
        yield
    finally:
        stop.set()
        supervisor.join(2 * STOP_SECONDS)


def _supervise(command: tuple[str, ...], stop: Event, report: Callable[[str], None]) -> None:
    while not stop.is_set():
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as archiver:
            ended = _wait(archiver, stop)
        if ended and not stop.is_set():
            report(
                f"The archiver has ended (exit status {archiver.returncode}); collecting goes on. "
                f"It is started again in {RESTART_SECONDS:.0f} s."
            )
            stop.wait(RESTART_SECONDS)


def _wait(archiver: "subprocess.Popen[bytes]", stop: Event) -> bool:
    """Whether the archiver has ended by itself; after *stop* it is ended."""
    while archiver.poll() is None:
        if stop.wait(1.0):
            _end(archiver)
            return False
    return True


def _end(archiver: "subprocess.Popen[bytes]") -> None:
    """Close its standard input, by which it ends after its round; later end it by force."""
    assert archiver.stdin is not None
    archiver.stdin.close()
    try:
        archiver.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        # Whatever it was writing is written again by the next one.
        archiver.kill()
