"""Passwords are hashed beside the event loop: two at a time, few waiting, the others refused."""

from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from data_fetch.core.errors import TooBusy

AT_ONCE, WAITING = 2, 8
RETRY_AFTER = timedelta(seconds=5)
Result = TypeVar("Result")


class Hashing:
    """Runs what hashes a password. Each hash takes 64 MiB and a good part of a second."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._in_hand = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of *work*. Raises TooBusy when too many others wait."""
        if self._in_hand >= AT_ONCE + WAITING:
            raise TooBusy(
                "too many passwords are being checked", retry_after=RETRY_AFTER, hint="Try again."
            )
        self._in_hand += 1
        try:
            return await get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._in_hand -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
