"""The page Analytics: what is drawn is what is stored."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page
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


# --- three expiries -----------------------------------------------------------------------------

VOLATILITY = "/analytics?symbol=NIFTY&charts=Volatility"
OF_TRACE = """plot => {
    const { type, x, y, z } = plot._fullData[0];
    const rows = z && Array.from(z, row => Array.from(row));
    return { type, x: Array.from(x), y: Array.from(y), z: rows };
}"""
WITHOUT_WEBGL = """
const usual = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
    return kind.includes("webgl") ? null : usual.call(this, kind, ...options);
};
"""
# More than text on its ground has.
COLOURFUL = 500


def colours(shown: Locator) -> int:
    """How many colours a part of the page has."""
    picture = Image.open(BytesIO(shown.screenshot())).convert("RGB")
    return len(picture.getcolors(picture.width * picture.height) or ())


def chart(page: Page, title: str) -> Locator:
    """The chart under a heading."""
    page.get_by_role("heading", name=title, exact=True).wait_for()
    found = page.locator(f".st-key-{title.replace(' ', '-')} .js-plotly-plot")
    found.locator(".main-svg").first.wait_for()
    return found


def test_smiles_term_structure_and_surface_of_several_expiries(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    desk = rehearsed_copy
    clock = desk.folder / "data" / "paper_clock.json"
    clock.write_text(json.dumps({"now": "2025-10-23T10:00:00+05:30"}))
    desk.json("chain", "collect", "--symbols", "NIFTY", "--expiries", "3")
    expiries = desk.json("chain", "surface", "NIFTY")["expiries"]
    with dashboard_of(desk) as url:
        page = open_page(url + VOLATILITY)
        smiles = first_chart(page)
        term, surface, above = (
            chart(page, title).evaluate(OF_TRACE)
            for title in ("Term structure", "Surface", "Surface from above")
        )
        solid = chart(page, "Surface")
        solid.scroll_into_view_if_needed()
        while colours(solid) < COLOURFUL:
            page.evaluate("() => new Promise(requestAnimationFrame)")
        plain = page.context.browser.new_page()
        plain.add_init_script(WITHOUT_WEBGL)
        plain.goto(url + VOLATILITY)
        chart(plain, "Surface").get_by_text("WebGL is not supported").wait_for()
        flat = chart(plain, "Surface from above")
        flat.locator(".heatmaplayer image").wait_for()
        plain.close()

    assert len(expiries) == len(smiles) == 3
    for shown, one in zip(smiles.values(), expiries, strict=True):
        assert shown == pytest.approx([point["iv"] * 100 for point in one["points"]], rel=1e-6)
    assert term["y"] == pytest.approx([one["atm_iv"] * 100 for one in expiries], rel=1e-6)
    assert (surface["type"], above["type"]) == ("surface", "heatmap")
    assert surface["z"] == above["z"]
    for row, one in zip(surface["z"], expiries, strict=True):
        places = [point["strike"] / one["forward"] for point in one["points"]]
        percents = [point["iv"] * 100 for point in one["points"]]
        known = [(at, iv) for at, iv in zip(surface["x"], row, strict=True) if iv is not None]
        at, shown = zip(*known, strict=True)
        assert list(shown) == pytest.approx(np.interp(at, places, percents), rel=1e-6)
