"""Each page in light and dark colours, on a screen and on a telephone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page
from programs import Desk

from data_fetch.dashboard.numbers import grouped

pytestmark = pytest.mark.long

DAYS = ("--from", "2025-10-07", "--to", "2025-10-21")
CHART = ".js-plotly-plot .main-svg >> nth=0"


QUOTES, PRESENT, SPOT, PAIN, MINUTES = "quotes", "present", "spot", "pain", "minutes"


@pytest.fixture(scope="module")
def stored(rehearsed: Desk) -> dict[str, str]:
    """What the commands read from the store, as it is written on the screen."""
    totals = rehearsed.json("coverage", *DAYS, status=3)["totals"]
    of_one = rehearsed.json("coverage", *DAYS, "--symbols", "TCS", status=3)["totals"]
    metrics = rehearsed.json("chain", "metrics", "NIFTY")["metrics"]
    return {
        QUOTES: grouped(rehearsed.json("status")["quotes"]["rows"]),
        PRESENT: f"({grouped(totals['present'])})",
        SPOT: f"spot {grouped(metrics['spot'], 2)}",
        PAIN: f"max pain {grouped(metrics['max_pain'])}",
        MINUTES: f"of {grouped(of_one['expected'])} minutes present",
    }


@dataclass(frozen=True)
class Shown:
    """A page by its *path*; which of the stored texts it has, and what it is for."""

    path: str
    text: str
    subject: str


PAGES = {
    "today": Shown("/", QUOTES, ".strip"),
    "coverage": Shown("/coverage?days=15&until=2025-10-21", PRESENT, ".frame canvas"),
    "option chain": Shown("/option-chain?symbol=NIFTY", SPOT, ".ladder"),
    "analytics": Shown("/analytics?symbol=NIFTY&charts=Open+interest", PAIN, CHART),
    "candles": Shown(
        "/candles?symbol=TCS&from=2025-10-07&to=2025-10-21&interval=15minute", MINUTES, CHART
    ),
    "system": Shown("/system?job=finalise", QUOTES, '[data-testid="stTable"] >> nth=0'),
}
# The luminance of the ground, and texts whose contrast with theirs is below what is readable
# (WCAG 2.2, level AA); false while the page is refreshed, which fades it. Icons are no texts.
LOOK = """least => {
    const app = document.querySelector('[data-testid="stApp"]');
    if (app.dataset.testScriptState !== "notRunning") return false;
    if (document.querySelector('[data-stale="true"]')) return false;
    const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const parts = colour => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], ground) =>
        [r, g, b].map((value, index) => value * a + ground[index] * (1 - a));
    const ground = element => {
        if (!element) return [255, 255, 255];
        const own = parts(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, ground(element.parentElement));
    };
    const opacity = element =>
        element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
    const luminance = colour => {
        const [r, g, b] = colour.map(value => value / 255).map(
            value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = element => {
        const style = getComputedStyle(element), behind = ground(element);
        const [r, g, b, a] = parts(element instanceof SVGElement ? style.fill : style.color);
        const ink = over([r, g, b, a * opacity(element)], behind);
        const [dark, light] = [luminance(ink), luminance(behind)].sort((one, two) => one - two);
        return (light + 0.05) / (dark + 0.05);
    };
    const written = [...app.querySelectorAll("*")].filter(element =>
        [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
        && !["STYLE", "SCRIPT"].includes(element.tagName)
        && element.dataset.testid !== "stIconMaterial"
        && element.checkVisibility({opacityProperty: true, visibilityProperty: true}));
    return {
        ground: luminance(ground(app)),
        texts: written.length,
        pale: written.filter(element => contrast(element) < least)
            .map(element => `${element.textContent.trim()}: ${contrast(element).toFixed(2)}`),
        width: Math.max(...[document.body, ...document.querySelectorAll('[data-testid="stMain"]')]
            .map(element => element.scrollWidth)),
    };
}"""
LEAST_CONTRAST = 4.5


def look(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.wait_for_function(LOOK, arg=LEAST_CONTRAST).json_value()
    return found


@pytest.mark.parametrize("shown", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_page_is_readable(
    screen: Callable[..., Page], stored: dict[str, str], shown: Shown, scheme: str, width: int
) -> None:
    page = screen(shown.path, width, scheme)

    page.get_by_text(stored[shown.text]).first.wait_for()
    subject = page.locator(shown.subject)
    subject.wait_for()
    box = subject.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 30
    seen = look(page)
    assert (seen["ground"] > 0.8) if scheme == "light" else (seen["ground"] < 0.05)
    assert seen["texts"] > 10
    assert (seen["pale"], seen["width"]) == ([], width)
