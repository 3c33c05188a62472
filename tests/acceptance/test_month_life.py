"""Rehearsed days through the whole life of the archive, by its commands and on each database.

Only `CHAOS=1` (`make chaos`) runs it. The newest day stays in the store.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from archive_shelf import digests
from effort import CHAOS
from programs import Desk

from data_fetch import reading
from data_fetch.core.archive.days import TABLES, Dataset
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.copy import copy
from data_fetch.storage.database.store import Store, open_store

FIRST, LAST = date(2026, 9, 1), date(2026, 9, 30)
SYMBOLS = "NIFTY\nRELIANCE\nM&M\n"
HOT = dict.fromkeys(("HOT_CHAIN_DAYS", "HOT_QUOTE_DAYS", "HOT_CANDLE_DAYS"), "1")


def desk_at(folder: Path, url: str) -> Desk:
    desk = Desk.at(folder, DATABASE_URL=url, REFRESH_INTERVAL="300", NSE_ENABLED="false", **HOT)
    (folder / "nse_fo_stock_symbols.txt").write_text(SYMBOLS)
    return desk


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store with the rehearsed days."""
    folder = tmp_path_factory.mktemp("month")
    url = f"sqlite:///{folder}/rehearsed.db"
    desk_at(folder, url).rehearse("--from", str(FIRST), "--to", str(LAST))
    return url


@pytest.fixture
def desk(rehearsed: str, database_url: str, tmp_path: Path) -> Desk:
    copy(rehearsed, database_url)
    return desk_at(tmp_path, database_url)


@pytest.fixture
def store(desk: Desk, database_url: str) -> Iterator[Store]:
    with closing(open_store(database_url, World.PAPER)) as store:
        yield store


def answers(desk: Desk) -> Mapping[str, Any]:
    """What readers see of the whole month."""
    settings, month = Settings.load(desk.environment, desk.folder), (FIRST, LAST)
    tables = {
        "figures": reading.chain_history("NIFTY", None, *month, settings=settings),
        "quotes": reading.quotes("M&M", *month, settings=settings),
        "candles": reading.candles("RELIANCE", *month, settings=settings),
    }
    return {
        name: (found.table.replace_schema_metadata(), found.completeness.document())
        for name, found in tables.items()
    }


def archive_everything(desk: Desk) -> None:
    """Rounds until nothing is left to do."""
    due = True
    while due:
        desk.json("archive", "run", "--once")
        due = any(one["due"] for one in desk.json("archive", "status")["datasets"])


@pytest.mark.skipif(not CHAOS, reason="takes half an hour: make chaos")
@pytest.mark.layouts
def test_a_month_is_archived_dropped_read_back_and_restored(desk: Desk, store: Store) -> None:
    days = [FIRST.replace(day=day) for day in range(FIRST.day, LAST.day + 1)]
    stored, seen = digests(store, days), answers(desk)
    assert all(
        stored[name, FIRST][0]
        for tables in TABLES.values()
        for name in tables
        if name != "candle_revisions"
    )

    archive_everything(desk)
    desk.json("archive", "verify")
    left = digests(store, days)
    assert {day for (_, day), (rows, _) in left.items() if rows} == {LAST}
    assert {of: left[of] for of in left if of[1] == LAST} == {
        of: stored[of] for of in stored if of[1] == LAST
    }
    assert answers(desk) == seen

    for dataset in Dataset:
        span = ("--from", str(FIRST), "--to", str(LAST))
        desk.json("archive", "restore", "--dataset", dataset.value, *span)
    assert digests(store, days) == stored
    assert answers(desk) == seen
