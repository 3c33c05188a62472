"""The page Candles: the stored candles as bars, and a blank one for each that is missing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page
from programs import Desk

pytestmark = pytest.mark.long

VIEW = "/candles?symbol=TCS&from=2025-10-14&to=2025-10-15"
FIGURE = """figure => figure._fullData.map(trace => ({
    name: trace.name, bars: Array.from(trace.x), closes: Array.from(trace.close ?? []),
}))"""


def traces(page: Page) -> dict[str, Any]:
    """What the browser has drawn, by name."""
    figure = page.locator(".js-plotly-plot")
    figure.wait_for()
    return {trace["name"]: trace for trace in figure.evaluate(FIGURE)}


def stored(desk: Desk, *more: str) -> list[dict[str, Any]]:
    done = desk.run(
        "candles", "export", "TCS", "--from", "2025-10-14", "--to", "2025-10-15",
        "--format", "json", *more,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    candles: list[dict[str, Any]] = json.loads(done.stdout)["candles"]
    return candles


@pytest.mark.parametrize(("interval", "blank"), [("1minute", 375), ("15minute", 25)])
def test_bars_are_the_stored_candles_and_holes_have_their_room(
    screen: Callable[..., Page], rehearsed: Desk, interval: str, blank: int
) -> None:
    expected = [row["close"] for row in stored(rehearsed, "--interval", interval)]

    page = screen(f"{VIEW}&interval={interval}")

    found = traces(page)
    [bars] = [trace for name, trace in found.items() if trace["closes"]]
    assert bars["closes"] == expected
    assert found["missed"]["bars"] == list(range(blank))
    assert min(bars["bars"]) == blank
    page.get_by_text("50.00 % of 750 minutes present").wait_for()


def test_a_range_of_too_many_bars_says_which_are_shown(screen: Callable[..., Page]) -> None:
    page = screen("/candles?symbol=TCS&from=2025-10-01&to=2025-10-21&interval=1minute")

    page.get_by_text("it shows bars of 5 minutes").wait_for()
    assert max(max(trace["bars"]) for trace in traces(page).values()) < 2_000
