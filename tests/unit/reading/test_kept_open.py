"""What a server keeps for a moment."""

from contextlib import closing
from pathlib import Path

import pytest
from candle_shelf import environment_for
from freezegun import freeze_time

from data_fetch.core.errors import StoreUnreachable
from data_fetch.core.settings import Settings
from data_fetch.reading import kept_open
from data_fetch.reading.kept_open import LIFE, KeptOpen, Recent
from data_fetch.runtime.stores import store_for
from data_fetch.storage.database.store import store_id


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


def test_a_file_that_was_moved_away_is_not_made_anew(tmp_path: Path) -> None:
    file, away = tmp_path / "store.db", tmp_path / "away.db"
    settings = Settings.load(environment_for(f"sqlite:///{file}"), tmp_path)

    def found(kept: KeptOpen) -> str:
        with kept.store(settings, store_for) as store:
            return store_id(store)

    with closing(KeptOpen()) as kept:
        before = found(kept)
        file.rename(away)
        with pytest.raises(StoreUnreachable, match="Put its file back"):
            found(kept)
        assert not file.exists()
        away.rename(file)
        assert found(kept) == before


def test_a_file_that_was_replaced_is_opened(tmp_path: Path) -> None:
    file, other = tmp_path / "store.db", tmp_path / "other.db"
    settings = Settings.load(environment_for(f"sqlite:///{file}"), tmp_path)
    with closing(store_for(Settings.load(environment_for(f"sqlite:///{other}"), tmp_path))):
        pass

    with closing(KeptOpen()) as kept:
        with kept.store(settings, store_for) as store:
            before = store_id(store)
        # With what SQLite keeps beside it.
        for part in tmp_path.glob("store.db*"):
            part.rename(part.with_name(f"away-{part.name}"))
        other.rename(file)
        with kept.store(settings, store_for) as store:
            assert store_id(store) != before
