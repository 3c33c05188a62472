"""Whether the process that took a lease still lives, as far as this machine can know.

A process locks a file for each of its leases. The operating system frees the lock when the
process dies, however it dies: a zombie counts as ended, and a later process with the same number
does not matter.
"""

import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from data_fetch.core.files import OWNER_ONLY


class Life:
    """The life of the process that has the lease with this id."""

    def __init__(self, lease: str) -> None:
        self._lock = _lock_of(lease)

    def begin(self) -> None:
        """Hold the file from now on. Does nothing if it is held already."""
        if not self._lock.is_locked:
            is_locked_now(self._lock)

    def end(self) -> None:
        """Let go of the file, and remove it."""
        _remove(self._lock)


def has_ended(lease: str) -> bool:
    """Whether the process with that lease ran on this machine and has ended."""
    lock = _lock_of(lease)
    if not Path(lock.lock_file).exists():
        # Of another machine, or of another container.
        return False
    try:
        ended = is_locked_now(lock)
    except OSError:
        # Of another user: nothing is known.
        return False
    lock.release(force=True)
    return ended


def forget(lease: str) -> None:
    """Remove the file of a process that has ended."""
    _remove(_lock_of(lease))


def lock_at(file: Path) -> FileLock:
    """A lock that may be acquired in one thread and released in another."""
    return FileLock(file, mode=OWNER_ONLY, thread_local=False)


def is_locked_now(lock: FileLock) -> bool:
    """Acquire *lock* if it is free; whether it was. Never waits."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _lock_of(lease: str) -> FileLock:
    return lock_at(Path(tempfile.gettempdir(), f"data-fetch-{lease}.lock"))


def _remove(lock: FileLock) -> None:
    lock.release(force=True)
    Path(lock.lock_file).unlink(missing_ok=True)
