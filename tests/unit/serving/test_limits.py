"""Moving windows in memory: counted exactly, and bounded in number."""

import asyncio
from pathlib import Path

import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.settings import Settings
from data_fetch.serving.limits import MOST_SUBJECTS, Limits, MemoryWindows
from data_fetch.serving.problems import Refusal

LIMIT, SECONDS = 5, 60


@given(st.lists(st.integers(0, 40), max_size=60))
def test_no_window_ever_has_more_than_its_limit(pauses: list[int]) -> None:
    """Against the definition: of any *SECONDS* in a row, at most *LIMIT* requests."""
    windows, admitted, at = MemoryWindows(), [], 0

    async def ask() -> bool:
        return await windows.acquire_entry("a", LIMIT, SECONDS)

    with freeze_time("2026-09-16 10:00:00") as time:
        for pause in pauses:
            at += pause
            time.tick(pause)
            recent = [each for each in admitted if at - each < SECONDS]
            assert asyncio.run(ask()) is (len(recent) < LIMIT)
            if len(recent) < LIMIT:
                admitted.append(at)


def test_a_flood_of_addresses_takes_bounded_memory() -> None:
    async def flood() -> int | None:
        windows = MemoryWindows()
        for n in range(MOST_SUBJECTS + 1_000):
            await windows.acquire_entry(f"2001:db8:{n:x}::/64", LIMIT, SECONDS)
        return await windows.reset()

    assert asyncio.run(flood()) == MOST_SUBJECTS


def limits(folder: Path, **settings: str) -> Limits:
    return Limits(Settings.load({"DATA_SOURCE": "paper", **settings}, folder))


async def admitted(limits: Limits, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            await limits.admit("somebody")
        except Refusal:
            return count
        count += 1
    return count


@pytest.mark.parametrize(
    ("settings", "requests"),
    [
        pytest.param({"API_HOST": "0.0.0.0"}, 600, id="elsewhere"),
        pytest.param({"API_RATE_LIMIT": "7"}, 7, id="a setting"),
        pytest.param({"API_RATE_LIMIT": "0"}, 700, id="none"),
        pytest.param({}, 700, id="much on this machine"),
    ],
)
def test_how_many_requests_are_admitted(
    tmp_path: Path, settings: dict[str, str], requests: int
) -> None:
    assert asyncio.run(admitted(limits(tmp_path, **settings), 700)) == requests


@pytest.mark.parametrize(
    "away",
    [
        pytest.param("redis://127.0.0.1:1/0", id="nothing there"),
        pytest.param("redis://127.0.0.254", id="at the usual port"),
        pytest.param("redis://:secret@127.0.0.254/1", id="with a password at the usual port"),
        pytest.param("unix:///nowhere/redis.sock", id="a socket"),
    ],
)
def test_without_redis_they_are_counted_in_memory(
    tmp_path: Path, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    apart = limits(tmp_path, API_HOST="0.0.0.0", API_RATE_LIMIT="7", REDIS_URL=away)

    assert asyncio.run(admitted(apart, 20)) == 7
    assert [each.message for each in caplog.records] == ["limits_not_shared"]


def test_servers_with_one_redis_count_together(tmp_path: Path, redis_url: str) -> None:
    servers = [
        limits(tmp_path, API_HOST="0.0.0.0", API_RATE_LIMIT="7", REDIS_URL=redis_url)
        for _ in range(2)
    ]

    async def in_turn() -> int:
        return await admitted(servers[0], 4) + await admitted(servers[1], 20)

    assert asyncio.run(in_turn()) == 7
