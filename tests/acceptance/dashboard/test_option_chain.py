"""The page Option chain: the ladder as it is stored, refreshed without flicker."""

import csv
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from option_ticks import option_tick, ticks_of_chain
from playwright.sync_api import Page
from programs import Desk

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.world import World
from data_fetch.dashboard.ladder import COLUMNS
from data_fetch.dashboard.numbers import UNKNOWN, day_and_time
from data_fetch.publishing.redis_streams import OPTION_TICKS
from data_fetch.publishing.tick_file import TickFile

pytestmark = pytest.mark.long

AROUND = "?strikes=all&columns=oi,iv,ltp"
ROWS = ".ladder tbody tr:not(.s)"
BOX, SCROLLED = ".st-key-ladder", 100
AS_OF = '[data-testid="stCaptionContainer"]'
# Whether the strike at the money is seen without scrolling.
AT_THE_MONEY = """() => {
    const box = document.querySelector('.st-key-ladder'), row = box && box.querySelector('tr.a');
    if (!row) return false;
    const [place, room] = [row.getBoundingClientRect(), box.getBoundingClientRect()];
    return room.top < place.top && place.bottom < room.bottom;
}"""
# Looks at the ladder in every frame that is drawn: how often it is there, and how high.
WATCH = """() => {
    window.seen = {frames: 0, absent: 0, heights: []};
    const look = () => {
        const ladder = document.querySelector('.st-key-ladder');
        const height = ladder && ladder.getBoundingClientRect().height;
        window.seen.frames += 1;
        if (!ladder || !ladder.querySelector('.ladder tbody th')) window.seen.absent += 1;
        if (!window.seen.heights.includes(height)) window.seen.heights.push(height);
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


def rows_of(page: Page) -> list[list[str]]:
    """The texts of the cells of each strike."""
    page.wait_for_selector(ROWS)
    found: list[list[str]] = page.locator(ROWS).evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.firstChild.data))"
    )
    return found


def rows_stored(desk: Desk, symbol: str, *options: str) -> list[list[str]]:
    """The same cells from the answer of a command."""
    legs = desk.json("chain", "show", symbol, *options)["legs"]
    by_key = {(leg["strike"], leg["option_type"]): leg for leg in legs}

    def cells(leg: dict[str, Any]) -> list[str]:
        values = ((name, leg[name]) for name in ("oi", "iv", "ltp"))
        return [UNKNOWN if it is None else COLUMNS[name].text(it) for name, it in values]

    return [
        [*cells(by_key[strike, "CE"]), f"{strike:,}", *reversed(cells(by_key[strike, "PE"]))]
        for strike in sorted({leg["strike"] for leg in legs})
    ]


def collect(desk: Desk, at: str) -> str:
    """Collect the chains of the paper market from that instant on; how old the page says it is.

    The market's clock runs while they are requested.
    """
    (desk.folder / "data" / "paper_clock.json").write_text(json.dumps({"now": at}))
    desk.json("chain", "collect", "--once", "--symbols", "NIFTY")
    stored = desk.json("chain", "show", "NIFTY")
    return f"as of {day_and_time(datetime.fromisoformat(stored['last_confirmed']))}"


def test_the_ladder_has_the_stored_values(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen(f"/option-chain{AROUND}&symbol=NIFTY")

    assert rows_of(page) == rows_stored(rehearsed, "NIFTY")


def test_a_past_instant_has_the_values_of_that_time(
    screen: Callable[..., Page], rehearsed: Desk
) -> None:
    then = "2025-10-21T14:00:00+05:30"
    page = screen(f"/option-chain{AROUND}&symbol=NIFTY&at={then.replace('+', '%2B')}")

    stored = rows_stored(rehearsed, "NIFTY", "--at", then)
    assert rows_of(page) == stored != rows_stored(rehearsed, "NIFTY")


def test_the_slider_is_moved_by_the_keyboard_and_a_link_restores_the_view(
    screen: Callable[..., Page], rehearsed: Desk
) -> None:
    before, then = "2025-10-21T14:14:00+05:30", "2025-10-21T14:15:00+05:30"
    chosen = f"{AROUND}&symbol=NIFTY&baseline=15m"
    page = screen(f"/option-chain{chosen}&at={before.replace('+', '%2B')}")
    was = rows_of(page)

    page.get_by_role("slider", name="As of, IST").focus()
    page.keyboard.press("ArrowRight")
    page.locator(AS_OF, has_text="as of 21 Oct 2025 14:15:00 IST").wait_for()
    page.wait_for_url(f"**at={quote(then)}**")
    moved = rows_of(page)
    page.reload()
    page.locator(AS_OF, has_text="changes since 15 minutes before").wait_for()

    assert moved == rows_stored(rehearsed, "NIFTY", "--at", then)
    assert was == rows_stored(rehearsed, "NIFTY", "--at", before) != moved
    assert rows_of(page) == moved
    assert page.get_by_role("slider", name="As of, IST").get_attribute("aria-valuetext") == "14:15"
    assert not page.get_by_role("switch", name="Live").is_checked()


def test_without_a_snapshot_to_compare_with_the_chain_is_shown(
    screen: Callable[..., Page], rehearsed: Desk
) -> None:
    page = screen(f"/option-chain{AROUND}&symbol=NIFTY&baseline=2025-10-20T10:00:00%2B05:30")
    page.get_by_text("Changes are shown since the previous close.").wait_for()

    assert rows_of(page) == rows_stored(rehearsed, "NIFTY")


def test_another_symbol_is_chosen(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen(f"/option-chain{AROUND}&symbol=NIFTY")
    rows_of(page)
    page.wait_for_function(AT_THE_MONEY)

    page.get_by_role("combobox", name="Symbol").fill("BANKNIFTY")
    page.keyboard.press("Enter")
    page.wait_for_url("**symbol=BANKNIFTY**")
    stored = rows_stored(rehearsed, "BANKNIFTY")
    page.locator(".ladder tbody th", has_text=stored[-1][3]).wait_for()
    page.wait_for_function(AT_THE_MONEY)

    assert rows_of(page) == stored


def test_the_download_has_the_legs_that_are_shown(screen: Callable[..., Page]) -> None:
    page = screen(f"/option-chain{AROUND}&symbol=NIFTY")
    shown = rows_of(page)

    with page.expect_download() as begun:
        page.get_by_role("button", name="Ladder as CSV").click()
    with Path(begun.value.path()).open() as file:
        legs = list(csv.DictReader(file))

    assert begun.value.suggested_filename == "chain-NIFTY-2025-10-28.csv"
    calls = [leg for leg in legs if leg["option_type"] == "CE"]
    assert [
        [
            *(COLUMNS[name].text(float(leg[name])) for name in ("oi", "iv", "ltp")),
            f"{float(leg['strike']):,.0f}",
        ]
        for leg in calls
    ] == [row[:4] for row in shown]


def test_a_refresh_neither_removes_nor_resizes_nor_scrolls_the_ladder(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    desk = rehearsed_copy
    with dashboard_of(desk) as url:
        page = open_page(f"{url}/option-chain{AROUND}&symbol=NIFTY")
        before = rows_of(page)
        page.wait_for_function(AT_THE_MONEY)
        page.locator(BOX).evaluate(f"box => box.scrollTop = {SCROLLED}")
        page.evaluate(WATCH)
        for clock in ("10:00:00", "10:05:00"):
            age = collect(desk, f"2025-10-23T{clock}+05:30")
            page.locator(AS_OF, has_text=age).wait_for()
        stored = rows_stored(desk, "NIFTY")
        page.locator(ROWS).first.get_by_text(stored[0][0], exact=True).wait_for()
        seen = page.evaluate("window.seen")

        assert rows_of(page) == stored != before
        assert page.locator(BOX).evaluate("box => box.scrollTop") == SCROLLED
    assert seen["frames"] > 0
    assert seen["absent"] == 0
    assert len(seen["heights"]) == 1


# --- what a feed has since the last poll ----------------------------------------------------------

# Two days after the chains were polled last; ticks of a clock that is a little ahead are shown.
SEEN_AT, RECEIVED = "2025-10-23T10:00:00+05:30", "2025-10-23T10:00:30+05:30"
BEFORE_THE_POLL = "2025-10-21T14:00:00+05:30"
# What the cells of a strike are: with their texts and marks.
CELLS = """(rows, strike) => rows
    .filter(row => row.querySelector('th').firstChild.data === strike)
    .flatMap(row => [...row.cells].map(cell => `${cell.textContent} ${cell.className}`.trim()))"""


def cells_of(page: Page, strike: str) -> list[str]:
    found: list[str] = page.locator(ROWS).evaluate_all(CELLS, strike)
    return found


def test_ticks_move_the_ladder_between_polls_and_nothing_else(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    desk = rehearsed_copy
    desk.environment["FEED_ENABLED"] = "true"
    (desk.folder / "data" / "paper_clock.json").write_text(json.dumps({"now": SEEN_AT}))
    file = TickFile(desk.folder / "data" / "ticks_paper.json")
    legs = desk.json("chain", "show", "NIFTY")["legs"]
    strike = min(float(leg["strike"]) for leg in legs)
    call, written = (strike, OptionType.CALL), f"{strike:,.0f}"

    def publish(price: float, received: str) -> None:
        tick = option_tick(price, datetime.fromisoformat(received))
        document = ticks_of_chain("NIFTY", date(2025, 10, 28), {call: tick}, World.PAPER)
        file.publish_ticks(OPTION_TICKS, document)

    with dashboard_of(desk) as url:
        page = open_page(f"{url}/option-chain{AROUND}&symbol=NIFTY")
        polled = rows_of(page)
        [stored] = [row for row in polled if row[3] == written]
        figures = page.locator(".figures").inner_text()
        publish(101.25, RECEIVED)
        page.locator(AS_OF, has_text="live feed of paper, 1 of").wait_for()
        page.wait_for_function(AT_THE_MONEY)
        page.locator(BOX).evaluate(f"box => box.scrollTop = {SCROLLED}")
        page.get_by_role("button", name="Strikes and columns").click()
        page.get_by_text("Columns on either side").wait_for()
        page.evaluate(WATCH)
        for price in (102.5, 103.75):
            publish(price, RECEIVED)
            page.locator(ROWS).get_by_text(f"{price:.2f}", exact=True).wait_for()

        oi, iv, ltp, age, head, *put = cells_of(page, written)
        assert [oi, iv, ltp] == ["7,500 l", "14.50 l", "103.75 l"]
        assert re.fullmatch(r"\d+ (s|min) f", age)
        assert head.startswith(written)
        assert put == ["poll f", *stored[4:]]
        assert page.locator(".figures").inner_text() == figures
        assert page.locator(BOX).evaluate("box => box.scrollTop") == SCROLLED
        assert page.get_by_text("Columns on either side").is_visible()
        seen = page.evaluate("window.seen")
        assert (seen["absent"], len(seen["heights"])) == (0, 1)

        publish(104.0, BEFORE_THE_POLL)
        page.locator(AS_OF, has_text="live feed").wait_for(state="detached")
        assert rows_of(page) == polled
