"""The page Analytics: what is drawn is what is stored."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page
from programs import Desk

pytestmark = pytest.mark.long

CHART = ".js-plotly-plot:has(.main-svg)"


def first_chart(page: Page) -> dict[str, list[Any]]:
    """The values of each trace of the first chart, by its name."""
    page.wait_for_selector(CHART)
    found: dict[str, list[Any]] = page.locator(CHART).first.evaluate(
        "plot => Object.fromEntries(plot.data.map(trace => [trace.name, [...trace.y]]))"
    )
    return found


def test_the_day_ends_with_the_figures_of_the_newest_snapshot(
    screen: Callable[..., Page], rehearsed: Desk
) -> None:
    found = first_chart(screen("/analytics?symbol=NIFTY"))

    metrics = rehearsed.json("chain", "show", "NIFTY")["metrics"]
    assert found["PCR"][-1] == pytest.approx(metrics["pcr_oi"], rel=1e-6)
    assert found["straddle, rupees"][-1] == pytest.approx(metrics["straddle"], rel=1e-6)


def test_open_interest_and_its_walls(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen("/analytics?symbol=NIFTY&charts=Open+interest&strikes=all", 390, "dark")

    legs = rehearsed.json("chain", "show", "NIFTY")["legs"]
    assert first_chart(page) == {
        name: [leg["oi"] for leg in legs if leg["option_type"] == kind]
        for name, kind in (("calls", "CE"), ("puts", "PE"))
    }
    pain = rehearsed.json("chain", "metrics", "NIFTY")["metrics"]["max_pain"]
    page.get_by_text(f"max pain {pain:,.0f}").wait_for()


def test_smiles_and_what_is_missing(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen("/analytics?symbol=NIFTY&charts=Volatility")

    page.get_by_text("The surface needs 2 expiries with prices; 1 is stored").wait_for()
    page.get_by_text("IV percentile: it needs 5 earlier days; 0 are stored").wait_for()
    [smile] = rehearsed.json("chain", "surface", "NIFTY")["expiries"]
    [shown] = first_chart(page).values()
    assert shown == pytest.approx([point["iv"] * 100 for point in smile["points"]], rel=1e-6)
