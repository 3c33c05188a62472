"""Candles that were corrected, over HTTP: which, when, and what they were before."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from candle_shelf import RELIANCE, TUESDAY, environment_for, shelf_at
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.serving.models.operations import CorrectionsAnswer

EVENING, MORNING = (datetime(2025, 6, day, 14, 30, tzinfo=UTC) for day in (10, 11))
CORRECTED = "/api/data/corrections"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """RELIANCE has three minutes of Tuesday; the second one was corrected the day after."""
    shelf = shelf_at(database_url, tmp_path)
    shelf.lists(TUESDAY, RELIANCE)
    shelf.keeps(RELIANCE, TUESDAY, {0: 1600.0, 1: 1601.0, 2: 1602.0}, at=EVENING)
    shelf.keeps(RELIANCE, TUESDAY, {1: 1599.5}, at=MORNING)
    shelf.store.close()
    with served(Settings.load(environment_for(database_url), tmp_path)) as server:
        yield server


def test_a_corrected_candle_has_both_versions(server: Served) -> None:
    status, _, document = server.get(f"{CORRECTED}?date={TUESDAY}&symbols=reliance")

    answer = CorrectionsAnswer.model_validate(document)
    [found] = answer.revisions
    assert (status, found.symbol, found.revision) == (200, "RELIANCE", 1)
    assert (found.old.close, found.new.close) == (1601.0, 1599.5)
    assert found.superseded_at == MORNING
    assert found.timestamp == datetime(2025, 6, 10, 3, 46, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("date=2025-06-11", 200, "never_corrected", id="another day"),
        pytest.param("date=2025-06-31", 422, "invalid", id="no day"),
        pytest.param("", 422, "invalid", id="no date"),
        pytest.param("date=2025-06-10&symbols=NOSUCH", 404, "unknown_symbol", id="no symbol"),
    ],
)
def test_without_corrections_there_is_a_reason(
    server: Served, query: str, status: int, code: str
) -> None:
    found, _, document = server.get(f"{CORRECTED}?{query}")

    assert found == status
    assert (document["reasons"][0]["code"] if status == 200 else document["code"]) == code
