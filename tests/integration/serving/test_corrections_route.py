"""Candles that were corrected, over HTTP: which, when, and what they were before."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from candle_shelf import RELIANCE, TUESDAY, WEDNESDAY, environment_for, shelf_at
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.serving.models.operations import CorrectionsAnswer
from data_fetch.serving.models.ranges import CandlesAnswer

EVENING, MORNING = (datetime(2025, 6, day, 14, 30, tzinfo=UTC) for day in (10, 11))
CORRECTED, CANDLES = "/api/data/corrections", "/api/data/candles/RELIANCE"


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
    ("query", "corrected", "closes"),
    [
        pytest.param("", 1, [1600.0, 1599.5, 1602.0], id="now"),
        pytest.param("&as_of=2025-06-11T14:30:00Z", 1, [1600.0, 1599.5, 1602.0], id="then"),
        pytest.param("&as_of=2025-06-11T14:29:59Z", 0, [1600.0, 1601.0, 1602.0], id="before"),
        pytest.param("&kind=auction", 0, [], id="another kind"),
        pytest.param("&interval=15minute", 1, [1602.0], id="in a longer candle"),
    ],
)
def test_candles_say_how_many_of_them_were_corrected(
    server: Served, query: str, corrected: int, closes: list[float]
) -> None:
    status, _, document = server.get(f"{CANDLES}?from={TUESDAY}&to={WEDNESDAY}{query}")

    answer = CandlesAnswer.model_validate(document)
    assert (status, answer.corrected) == (200, corrected)
    assert [day.corrected for day in answer.days] == [corrected, 0]
    assert answer.columns.close == closes


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
