"""Another symbol and another expiry are looked at while a collector runs: it loses no slot."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from signal import SIGTERM

import orjson
import pytest
import urllib3
from playwright.sync_api import Page
from programs import SYMBOLS, Desk, end, paper_exchange, set_clock

from data_fetch.core.clock import MINUTE
from data_fetch.core.runs import Outcome
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.runs import recent_runs

pytestmark = pytest.mark.long

STRIKES = ".ladder tbody th"


def to_the_end_of_the_minute(exchange: str) -> None:
    """Let the market leap to two seconds before its next minute."""
    clock = f"{exchange}/paper/clock"
    # It stands still meanwhile: it must not be set back.
    urllib3.request("POST", clock, body=orjson.dumps({"pause": "leap", "seconds": 60}))
    now = datetime.fromisoformat(orjson.loads(urllib3.request("GET", clock).data)["now"])
    eve = now.replace(second=58, microsecond=0)
    if now < eve:
        set_clock(exchange, eve.isoformat())
    urllib3.request("POST", clock, body=orjson.dumps({"resume": "leap"}))


def next_slot(collector: "subprocess.Popen[str]") -> str:
    """The next line of the collector about a slot of quotes: 10:01:00  quotes   slot 10:00 ..."""
    assert collector.stdout is not None
    return next(line for line in collector.stdout if " quotes " in line)


def choose_symbol(page: Page, symbol: str) -> None:
    page.get_by_role("combobox", name="Symbol").fill(symbol)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**symbol={symbol}**")


def shows_the_chain(page: Page, desk: Desk, symbol: str, *options: str) -> None:
    """Wait until the ladder has the stored strikes of that chain."""
    page.locator(STRIKES).first.wait_for()
    legs = desk.json("chain", "show", symbol, *options)["legs"]
    middle = legs[len(legs) // 2]["strike"]
    page.locator(STRIKES, has_text=f"{middle:,}").first.wait_for()


def request(page: Page) -> None:
    """Have the chain requested that the store has not, and wait for it."""
    page.get_by_role("button", name="Request it now").click()
    page.get_by_text("not by the collector").wait_for()


def test_switching_symbol_and_expiry_loses_no_slot(
    open_page: Callable[..., Page],
    dashboard_of: Callable[..., AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    (place := tmp_path / "exchange").mkdir()
    (folder := tmp_path / "desk").mkdir()
    store = f"sqlite:///{folder / 'store.db'}"
    with paper_exchange(place, "2026-09-16T10:00:50", 1) as exchange:
        desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange, DATABASE_URL=store)
        with desk.start("run") as collector, dashboard_of(desk, "--control") as url:
            slots = [next_slot(collector)]
            page = open_page(f"{url}/option-chain?symbol=NIFTY")
            shows_the_chain(page, desk, "NIFTY")

            choose_symbol(page, "BANKNIFTY")
            shows_the_chain(page, desk, "BANKNIFTY")
            to_the_end_of_the_minute(exchange)
            slots.append(next_slot(collector))

            choose_symbol(page, "TCS")
            request(page)
            shows_the_chain(page, desk, "TCS")
            to_the_end_of_the_minute(exchange)
            slots.append(next_slot(collector))

            choose_symbol(page, "NIFTY")
            page.get_by_text("not stored", exact=True).click()
            request(page)
            shows_the_chain(page, desk, "NIFTY", "--expiry", "2026-09-29")
            to_the_end_of_the_minute(exchange)
            slots.append(next_slot(collector))
            end(collector, SIGTERM)

    runs = recent_runs(open_store(store, World.PAPER), job="quotes")
    collected = sorted((each.due_slot, each.outcome, each.stored) for each in runs)
    first = collected[0][0]
    expected = [first + number * MINUTE for number in range(len(collected))]
    assert len(collected) >= len(slots)
    assert collected == [(slot, Outcome.COMPLETED, len(SYMBOLS)) for slot in expected]
    assert max(each.finished_at - each.due_slot - MINUTE for each in runs) < MINUTE
