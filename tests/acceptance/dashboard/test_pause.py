"""A backfill that a page started is paused, and goes on where it was."""

import subprocess
from contextlib import suppress
from datetime import date
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import SYMBOLS, Desk, paper_exchange

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.dashboard.backfills import Backfills, RunningBackfill, Selection, plan_of

pytestmark = pytest.mark.long
SELECTED = Selection(
    symbols=SYMBOLS,
    interval=CandleInterval.MINUTE,
    first=date(2026, 7, 1),
    last=date(2026, 9, 15),
)
SOME = 12


def ended(backfills: Backfills) -> RunningBackfill:
    assert backfills.last is not None
    backfills.last.child.process.wait(timeout=PATIENCE_SECONDS)
    return backfills.last


def wait_for_requests(of: RunningBackfill, exchange: str, number: int) -> None:
    while of.child.running:
        state = orjson.loads(urllib3.request("GET", f"{exchange}/paper/state").data)
        if state["requests"].get("candles", 0) >= number:
            return
        with suppress(subprocess.TimeoutExpired):
            of.child.process.wait(timeout=0.01)


def test_a_paused_backfill_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place := tmp_path / "exchange").mkdir()
    (folder := tmp_path / "desk").mkdir()
    with paper_exchange(place, "2026-09-16T09:30:00", 30) as exchange:
        desk = Desk.at(
            folder,
            DATA_SOURCE="paper",
            UPSTOX_BASE_URL=exchange,
            DATABASE_URL=f"sqlite:///{folder / 'store.db'}",
        )
        for name, value in desk.environment.items():
            monkeypatch.setenv(name, value)
        planned = plan_of(SELECTED, folder)["requests"]
        backfills = Backfills()

        backfills.start(SELECTED, folder)
        assert backfills.last is not None
        wait_for_requests(backfills.last, exchange, SOME)
        backfills.pause()
        paused = ended(backfills).child.report
        backfills.start(SELECTED, folder)
        resumed = ended(backfills).child.report

    assert paused["outcome"] == "incomplete"
    assert SOME <= paused["windows_done"] < planned
    assert resumed["windows"] == planned - paused["windows_done"]
    assert (resumed["outcome"], resumed["missed"]) == ("completed", 0)
