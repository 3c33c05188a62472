"""The page Today: what is collected now, and what is missing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page
from programs import Desk

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import TICKS
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.publishing.tick_file import TickFile


@pytest.mark.long
def test_it_shows_what_is_stored(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen("/")
    stored = rehearsed.json("status")["quotes"]["rows"]

    values = page.locator('[data-testid="stMetricValue"]')
    page.get_by_text("60 of 60 slots of 21 Oct collected").wait_for()
    assert values.nth(0).inner_text().startswith("14:5")
    assert values.nth(1).inner_text() == str(stored)
    cells = page.locator(".strip-hour i")
    assert cells.count() == 60
    assert cells.first.get_attribute("title") == (
        "13:45 collected, 9 of 9 stored, 0 ms after the minute"
    )


# Looks at an element every 30 ms until the page was refreshed three times.
WATCH = """
watched => new Promise(done => {
    const heights = new Set(), app = document.querySelector('[data-testid="stApp"]');
    let refreshes = 0;
    new MutationObserver(() => {
        if (app.dataset.testScriptState === "notRunning") refreshes += 1;
    }).observe(app, { attributeFilter: ["data-test-script-state"] });
    const timer = setInterval(() => {
        const element = document.querySelector(watched);
        heights.add(element ? element.getBoundingClientRect().height : "absent");
        if (refreshes >= 3) { clearInterval(timer); done([...heights]); }
    }, 30);
})
"""


@pytest.mark.long
def test_a_refresh_does_not_flicker(screen: Callable[..., Page]) -> None:
    page = screen("/")
    page.locator(".strip").wait_for()

    heights = page.evaluate(WATCH, ".strip")

    assert len(heights) == 1
    assert heights[0] != "absent"


@pytest.mark.long
def test_it_shows_ticks_while_they_come_and_quotes_after_that(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    file = TickFile(rehearsed_copy.folder / "data" / "ticks_paper.json")
    after, before = (
        datetime.fromisoformat(f"2025-10-21T{time}+05:30") for time in ("14:50:00", "14:40:00")
    )
    with dashboard_of(rehearsed_copy) as url:
        page = open_page(url)
        cards = page.locator(".st-key-last-prices")
        cards.get_by_text("NIFTY", exact=True).wait_for()
        page.get_by_text("Last prices: quotes of the minute").wait_for()
        for price in (24_321.05, 24_322.1):
            file.publish_ticks(TICKS, ticks_of_nifty(price, after))
            cards.get_by_text(f"{price:,.2f}").wait_for()
        cards.get_by_text("tick 14:49:58").wait_for()
        page.get_by_text("are ticks of the live feed, the rest quotes").wait_for()

        file.publish_ticks(TICKS, ticks_of_nifty(24_323.0, before))

        page.get_by_text("Last prices: quotes of the minute").wait_for()


def ticks_of_nifty(price: float, at: datetime) -> dict[str, object]:
    traded = ms_of_instant(at - timedelta(seconds=2))
    tick = Tick("NSE_INDEX|Nifty 50", Mode.FULL, price, traded, None, 24_000.0, at, at, None)
    return ticks_document({"NIFTY": tick}, "paper", World.PAPER)
