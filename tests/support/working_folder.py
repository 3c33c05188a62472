"""A folder as a user has one, with a market of its own, for schedulers of the test's process."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_fetch.core.clock import ScaledClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.paper_exchange.exchange import PaperExchange

SYMBOLS = ("NIFTY", "BANKNIFTY", "TCS", "M&M")


@contextmanager
def working_folder(
    folder: Path,
    database_url: str,
    clock: ScaledClock,
    monkeypatch: pytest.MonkeyPatch,
    symbols: Sequence[str] = SYMBOLS,
) -> Iterator[PaperExchange]:
    """The exchange with the time of *clock*; its collectors use the database at *database_url*."""
    (folder / "nse_fo_stock_symbols.txt").write_text("\n".join(symbols))
    calendar = MarketCalendar.reviewed()
    with PaperExchange(clock, symbols=list(symbols), calendar=calendar) as exchange:
        for name in os.environ.keys() & {"UPSTOX_ACCESS_TOKEN", "REDIS_URL"}:
            monkeypatch.delenv(name)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        monkeypatch.setenv("DATA_SOURCE", "paper")
        monkeypatch.setenv("UPSTOX_BASE_URL", exchange.url)
        monkeypatch.setenv("DATABASE_URL", database_url)
        monkeypatch.chdir(folder)
        yield exchange
