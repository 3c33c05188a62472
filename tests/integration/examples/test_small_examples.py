"""The small examples run as a user runs them, one after the other, in one folder."""

import runpy
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from checkout import CHECKOUT

from data_fetch.core.clock import IST, SystemClock

Run = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examples")
    (made / "nse_fo_stock_symbols.txt").write_text("NIFTY\nRELIANCE\n")
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs an example in a folder without settings; returns what it printed."""
    monkeypatch.chdir(folder)
    for name in ("DATABASE_URL", "POSTGRES_HOST", "DB_HOST", "UPSTOX_ACCESS_TOKEN", "NSE_SYMBOLS"):
        monkeypatch.delenv(name, raising=False)

    def run(name: str, *arguments: str) -> str:
        path = str(CHECKOUT / "examples" / name)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_symbol_is_collected_read_and_reported(run: Run) -> None:
    assert "candles stored, 0 minutes still missing" in run("collect_one_symbol.py", "RELIANCE")

    # The paper market is at most some days behind the real date.
    today = SystemClock().now().astimezone(IST).date()
    span = [(today - timedelta(days=10)).isoformat(), today.isoformat()]
    days = run("candles_as_frame.py", "RELIANCE", *span)
    assert {"open", "high", "low", "close", "volume"} <= set(days.split())
    assert " minutes; " in days

    missing = run("coverage_report.py", *span, "RELIANCE")
    assert "missed" in missing


def test_greeks_are_computed_without_a_store(run: Run) -> None:
    header, *rows = run("compute_greeks.py").splitlines()

    assert header.split() == ["strike", "iv", "delta", "gamma", "theta", "vega"]
    assert [row.split()[0] for row in rows] == ["24600", "24800", "25000", "25200"]
