"""The page Coverage: what the ledger counts, chosen by mouse and keyboard, and filled."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page
from programs import Desk

from data_fetch.dashboard.numbers import grouped

pytestmark = pytest.mark.long

# The rehearsal filled the days from 15 October on.
FORTNIGHT = ("--from", "2025-10-07", "--to", "2025-10-21")
LAST_HOLE = "2025-10-14"
VIEW = "/coverage?days=15&until=2025-10-21"
# Of the canvas: its head, a row, and where its last column begins from the right.
HEAD, ROW = 20, 16


def grid(page: Page) -> Locator:
    """The canvas of days, with what scrolls and describes it."""
    return page.locator(".frame").first


def present_text(counts: dict[str, Any]) -> str:
    share = 100 * counts["present"] / counts["expected"]
    return f"present {share:.2f} % ({grouped(counts['present'])})"


def test_it_shows_what_the_ledger_counts(screen: Callable[..., Page], rehearsed: Desk) -> None:
    totals = rehearsed.json("coverage", *FORTNIGHT, status=3)["totals"]

    page = screen(VIEW, 390, "dark")

    page.get_by_text(present_text(totals)).wait_for()
    grid(page).locator("canvas").wait_for()
    # From the newest day of the first instrument to the fourth one, five trading days before.
    grid(page).locator(".scroller").focus()
    for key in (*["ArrowDown"] * 3, *["ArrowLeft"] * 5):
        page.keyboard.press(key)
    said = f"TCS · {LAST_HOLE}: 375 missed, of 375"
    assert grid(page).locator(".spoken").inner_text() == said
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="TCS, 14 Oct 2025").wait_for()
    page.get_by_text("No request covered this day yet.").wait_for()
    page.get_by_text("data-fetch backfill --symbols TCS").wait_for()
    assert f"day={LAST_HOLE}" in page.url
    assert page.locator("body").evaluate("body => body.scrollWidth") <= 390


def test_a_day_is_chosen_with_the_mouse_and_a_minute_shows_its_run(
    screen: Callable[..., Page],
) -> None:
    page = screen(VIEW)
    canvas = grid(page).locator("canvas")
    canvas.wait_for()
    right = canvas.evaluate("canvas => canvas.clientWidth") - 8

    canvas.click(position={"x": right, "y": HEAD + 3 * ROW + ROW // 2})

    page.get_by_role("heading", name="TCS, 21 Oct 2025").wait_for()
    strip = page.locator(".frame").nth(1)
    strip.locator(".scroller").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    # The strip begins in the hour of 13: the market opened at 13:45.
    page.get_by_text("13:59 present. paper sent it").wait_for()
    page.get_by_text("Run ").first.wait_for()


def test_a_selection_is_filled_by_a_backfill(
    open_page: Callable[..., Page],
    dashboard_of: Callable[..., AbstractContextManager[str]],
    rehearsed: Desk,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "own"
    shutil.copytree(rehearsed.folder, folder)
    own = {"DATABASE_URL": f"sqlite:///{folder / 'store.db'}"}
    desk = replace(rehearsed, folder=folder, environment={**rehearsed.environment, **own})
    wanted = ("--symbols", "TCS,INFY", "--from", "2025-10-13", "--to", "2025-10-14")
    with dashboard_of(desk, "--control") as url:
        chosen = "&symbol=TCS&day=2025-10-13&to_symbol=INFY&to_day=2025-10-14"
        page = open_page(url + VIEW + chosen)
        page.get_by_text("The plan: 2 requests for 1,500 minutes.").wait_for()

        page.get_by_role("button", name="Start backfill").click()

        page.get_by_text("Backfill completed").wait_for()
        page.get_by_text("present 100.00 % (1,500)").wait_for()
        page.get_by_text("Nothing of this selection can be fetched.").wait_for()
    totals = desk.json("coverage", *wanted)["totals"]
    assert (totals["present"], totals["missed"]) == (1_500, 0)
