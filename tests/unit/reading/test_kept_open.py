"""What a server keeps for a moment."""

import pytest
from freezegun import freeze_time

from data_fetch.reading import kept_open
from data_fetch.reading.kept_open import LIFE, Recent


def test_a_value_is_made_again_when_it_is_not_recent_any_more() -> None:
    recent: Recent[str, int] = Recent()
    made = iter(range(10))

    with freeze_time("2026-09-16T09:30:00Z") as clock:
        found = [recent.get("a", lambda: next(made)) for _ in range(2)]
        clock.tick(LIFE)
        found.append(recent.get("a", lambda: next(made)))

    assert found == [0, 0, 1]


def test_what_is_not_recent_any_more_is_not_kept() -> None:
    recent: Recent[int, int] = Recent()

    with freeze_time("2026-09-16T09:30:00Z") as clock:
        for number in range(10):
            recent.get(number, lambda: 0)
        clock.tick(LIFE)
        recent.get(10, lambda: 0)

    assert len(recent) == 1


def test_there_is_never_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_open, "MOST_KEPT", 3)
    recent: Recent[int, int] = Recent()

    with freeze_time("2026-09-16T09:30:00Z"):
        for number in range(10):
            recent.get(number, lambda: 0)

    assert len(recent) == 3
