"""Passwords are hashed two at a time; few wait, the others are refused."""

import asyncio
from threading import Event, Lock

import pytest
from effort import PATIENCE_SECONDS

from data_fetch.core.errors import TooBusy
from data_fetch.services.hashing import AT_ONCE, WAITING, Hashing


def test_two_at_a_time_and_a_bounded_number_wait() -> None:
    hashing, go_on, lock = Hashing(), Event(), Lock()
    running = most = 0

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(PATIENCE_SECONDS)
        with lock:
            running -= 1
        return "done"

    async def flood() -> list[str]:
        accepted = [asyncio.create_task(hashing.run(work)) for _ in range(AT_ONCE + WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy) as refused:
            await hashing.run(work)
        assert refused.value.retry_after.total_seconds() > 0
        go_on.set()
        results = await asyncio.gather(*accepted)
        # There is room again.
        return [*results, await hashing.run(work)]

    results = asyncio.run(flood())
    hashing.close()

    assert results == ["done"] * (AT_ONCE + WAITING + 1)
    assert most == AT_ONCE
