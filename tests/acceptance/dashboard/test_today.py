"""The page Today: what is collected now, and what is missing."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from programs import Desk


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
