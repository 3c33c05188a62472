"""Answers that the sessions of one dashboard share."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from freezegun import freeze_time

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.settings import Settings
from data_fetch.dashboard.desk import Desk

SESSIONS, EVERY = 20, 5.0
NOW = datetime(2026, 9, 16, 10, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Settings.load({"DATA_SOURCE": "paper"}, tmp_path))


def test_many_sessions_that_ask_at_once_cost_one_answer(desk: Desk) -> None:
    asked: list[Settings] = []
    together = Barrier(SESSIONS)

    def question(settings: Settings) -> int:
        asked.append(settings)
        return len(asked)

    def session(_number: int) -> int:
        together.wait()
        return desk.recent(question, EVERY)

    with ThreadPoolExecutor(SESSIONS) as sessions:
        answers = list(sessions.map(session, range(SESSIONS)))

    assert (len(asked), set(answers)) == (1, {1})


def test_an_answer_is_made_anew_after_a_moment(desk: Desk) -> None:
    asked: list[Settings] = []
    with freeze_time(NOW) as clock:
        desk.recent(asked.append, EVERY)
        clock.tick(timedelta(seconds=0.8 * EVERY))
        desk.recent(asked.append, EVERY)
        assert len(asked) == 1
        # A browser whose timer is early.
        clock.tick(timedelta(seconds=0.15 * EVERY))
        desk.recent(asked.append, EVERY)
    assert len(asked) == 2


def test_sessions_that_refresh_in_turn_cost_one_answer_for_each_refresh(desk: Desk) -> None:
    asked: list[Settings] = []
    with freeze_time(NOW) as clock:
        for _refresh in range(SESSIONS * 3):
            desk.recent(asked.append, EVERY)
            clock.tick(timedelta(seconds=EVERY / SESSIONS))
    assert len(asked) <= 4


def test_those_that_wait_for_a_slow_answer_do_not_ask_again(desk: Desk) -> None:
    asked: list[Settings] = []
    with freeze_time(NOW) as clock:

        def slow(settings: Settings) -> None:
            asked.append(settings)
            clock.tick(timedelta(seconds=2 * EVERY))

        desk.recent(slow, EVERY)
        desk.recent(slow, EVERY)
    assert len(asked) == 1


def test_a_question_that_failed_is_asked_again(desk: Desk) -> None:
    failures = [StoreUnreachable("away")]

    def question(settings: Settings) -> str:
        if failures:
            raise failures.pop()
        return "there"

    with pytest.raises(StoreUnreachable):
        desk.recent(question, EVERY)
    assert desk.recent(question, EVERY) == "there"
