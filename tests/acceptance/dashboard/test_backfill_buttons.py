"""The buttons of a backfill on the page Coverage: start, pause, resume, retry failed."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import orjson
import pytest
import urllib3
from playwright.sync_api import Page
from programs import Desk, behave, order, paper_exchange, set_clock

PAUSED_DAY, FAILED_DAY, STORED_DAY = "2026-09-15", "2026-09-10", "2026-09-11"
VIEW = "/coverage?days=15&until=2026-09-15&symbol=TCS&day="
NOTHING_LEFT = "Nothing of this selection can be fetched."


def wait_for_a_request(exchange: str, page: Page) -> None:
    """Wait until the one fault was met."""
    while True:
        [fault] = orjson.loads(urllib3.request("GET", f"{exchange}/paper/faults").data)["fault"]
        if fault["struck"]:
            return
        page.evaluate("() => new Promise(requestAnimationFrame)")


@pytest.mark.long
def test_a_backfill_is_paused_resumed_and_tried_again(
    open_page: Callable[..., Page],
    dashboard_of: Callable[..., AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    (place := tmp_path / "exchange").mkdir()
    (folder := tmp_path / "desk").mkdir()
    with paper_exchange(place, "2026-09-16T09:30:00", 30) as exchange:
        desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=exchange)
        day = ("--from", STORED_DAY, "--to", STORED_DAY)
        assert desk.run("backfill", "--symbols", "TCS", *day).returncode == 0

        with dashboard_of(desk, "--control") as url:
            # The backfill waits, for longer than this test.
            order(exchange, {"kind": "maintenance", "api": "candles", "retry_after": 36_000})
            page = open_page(url + VIEW + PAUSED_DAY)
            page.get_by_role("button", name="Start backfill").click()
            wait_for_a_request(exchange, page)
            page.get_by_role("button", name="Pause").click()
            page.get_by_text("Paused after 0 of 1 request: resume it.").wait_for()

            behave(exchange)
            set_clock(exchange, "2026-09-16T20:30:00+05:30")
            page.get_by_role("button", name="Resume").click()
            page.get_by_text(NOTHING_LEFT).wait_for()

            order(exchange, {"kind": "unknown-key", "api": "candles"})
            page = open_page(url + VIEW + FAILED_DAY)
            page.get_by_role("button", name="Start backfill").click()
            page.get_by_text("The plan: nothing to request. 1 day requested before").wait_for()

            behave(exchange)
            page.get_by_role("button", name="Retry failed").last.click()
            page.get_by_text(NOTHING_LEFT).wait_for()
