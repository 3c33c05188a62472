"""The page Candles: the stored candles as bars, and a blank one for each that is missing."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from live_shelf import live_candle
from playwright.sync_api import Page
from programs import Desk, order, paper_exchange, set_clock

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import NO_DETAIL, MinuteBar, Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.redis_streams import TICKS
from data_fetch.publishing.stream_updates import ticks_document
from data_fetch.publishing.tick_file import TickFile
from data_fetch.storage.database.store import open_store
from data_fetch.storage.instruments.instruments import listed_instruments
from data_fetch.storage.live_prices import LivePrices

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


# --- what the provider said later ---------------------------------------------------------------

DAY, NEXT_DAY = "2026-09-16", "2026-09-17"
# Its bars of one minute each: never served, and served with another close the day after.
LOST, CORRECTED = f"{DAY}T10:00:00+05:30", f"{DAY}T09:30:00+05:30"
DRAWN_BARS = """figure => Object.fromEntries(figure._fullData.map(trace => [trace.name, {
    type: trace.type,
    bars: Array.from(trace.x),
    fill: trace.increasing?.fillcolor,
    symbol: trace.marker?.symbol,
    prices: Array.from(trace.y ?? []),
    texts: Array.from(trace.hovertext ?? []),
}]))"""
# Where the first point of a trace is on the screen.
PLACE = """(figure, name) => {
    const { x: [x], y: [y] } = figure._fullData.find(trace => trace.name === name);
    const { xaxis, yaxis } = figure._fullLayout, { left, top } = figure.getBoundingClientRect();
    return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
}"""


def minute(kind: str, start: str, **options: Any) -> dict[str, Any]:
    """A fault of the exchange in the bar of one minute."""
    end = datetime.fromisoformat(start) + timedelta(minutes=1)
    return {"kind": kind, "bars_from": start, "bars_until": end.isoformat(), **options}


def candle(desk: Desk, start: str, *options: str) -> dict[str, Any]:
    """The stored candle of TCS that begins at *start*."""
    candles = desk.run(
        "candles", "export", "TCS", "--from", DAY, "--to", DAY, "--format", "json", *options
    )
    wanted = datetime.fromisoformat(start)
    [found] = [
        row
        for row in json.loads(candles.stdout)["candles"]
        if datetime.fromisoformat(row["timestamp"]) == wanted
    ]
    return dict(found)


def backfill(desk: Desk, *options: str) -> None:
    desk.json("backfill", "--symbols", "TCS", "--from", DAY, *options)


def test_provisional_corrected_auction_and_missing_bars_are_marked(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    tmp_path: Path,
) -> None:
    (place := tmp_path / "exchange").mkdir()
    (folder := tmp_path / "desk").mkdir()
    store = f"sqlite:///{folder / 'store.db'}"
    with paper_exchange(place, f"{DAY}T15:50:00", 1) as url:
        desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=url, DATABASE_URL=store)
        order(url, minute("lost-minutes", LOST))
        backfill(desk, "--to", DAY)
        old = candle(desk, CORRECTED)
        set_clock(url, f"{NEXT_DAY}T10:00:00+05:30")
        order(url, minute("corrected-candles", CORRECTED, factor=1.01))
        backfill(desk, "--to", NEXT_DAY, "--retry-failed")
        new = candle(desk, CORRECTED)
        auction = desk.run(
            "candles", "export", "TCS", "--from", DAY, "--to", DAY,
            "--kind", "auction", "--format", "json",
        )  # fmt: skip
        [closing] = json.loads(auction.stdout)["candles"]
        with dashboard_of(desk) as address:
            page = open_page(f"{address}/candles?symbol=TCS&from={DAY}&to={NEXT_DAY}")
            figure = page.locator(".js-plotly-plot")
            figure.wait_for()
            found = figure.evaluate(DRAWN_BARS)
            page.mouse.move(*figure.evaluate(PLACE, "corrected"))
            hover = page.locator(".hoverlayer .hovertext", has_text="corrected").text_content()

    assert found["confirmed"]["fill"] != found["provisional (hollow)"]["fill"] == "rgba(0,0,0,0)"
    assert max(found["confirmed"]["bars"]) < min(found["provisional (hollow)"]["bars"])
    assert found["empty at the provider"]["texts"] == ["16 Sep 10:00: empty at the provider"]
    assert found["corrected"]["bars"] == [15]
    assert found["closing auction"]["symbol"] == "diamond"
    assert found["closing auction"]["prices"] == [closing["close"]]
    assert old["close"] != new["close"]
    assert hover is not None
    assert f"close {old['close']:.2f} → {new['close']:.2f}" in hover
    assert "provisional → confirmed" in hover


# --- what a feed has of today ---------------------------------------------------------------------

SEEN_AT = "2025-10-23T10:00:00+05:30"
TODAY = "/candles?symbol=TCS&interval=1minute&from=2025-10-23&to=2025-10-23"
BARS_ARE = """closes => {
    const live = document.querySelector('.js-plotly-plot')?._fullData?.find(
        trace => trace.name === 'live feed (provisional)');
    return JSON.stringify(Array.from(live?.close ?? [])) === JSON.stringify(closes);
}"""


def test_minutes_that_only_the_feed_has_are_drawn_and_the_running_one_moves(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    """Two days after the rehearsed hour the store has no candle of the day."""
    desk = rehearsed_copy
    desk.environment["FEED_ENABLED"] = "true"
    (desk.folder / "data" / "paper_clock.json").write_text(json.dumps({"now": SEEN_AT}))
    now = datetime.fromisoformat(SEEN_AT)
    before, start = (now - timedelta(minutes=ago) for ago in (2, 1))
    file = TickFile(desk.folder / "data" / "ticks_paper.json")
    with closing(open_store(desk.environment["DATABASE_URL"], World.PAPER)) as store:
        with store.reading() as connection:
            [tcs] = listed_instruments(connection, ["TCS"]).members
        live = LivePrices(store)
        live.record([live_candle(tcs, before, now, 1501.0), live_candle(tcs, start, now)], [])
        with dashboard_of(desk) as url:
            page = open_page(url + TODAY)
            page.wait_for_function(BARS_ARE, arg=[1501.0, 1500.5])
            page.get_by_text("live feed (provisional)").wait_for()
            for close in (1500.75, 1501.25):
                file.publish_ticks(TICKS, running(tcs.live_key, start, close, now))
                page.get_by_text(f"last {close:,.2f}").wait_for()
            page.get_by_text("Minute 09:59 by the live feed of paper, provisional").wait_for()

            live.record([live_candle(tcs, start, now, 1501.25)], [])

            page.wait_for_function(BARS_ARE, arg=[1501.0, 1501.25])


def running(key: str, start: datetime, close: float, at: datetime) -> dict[str, object]:
    bar = MinuteBar(ms_of_instant(start), 1500.0, 1502.0, 1499.0, close, 70)
    detail = NO_DETAIL._replace(bars=(bar,))
    tick = Tick(key, Mode.FULL, close, ms_of_instant(at), None, None, at, at, detail)
    return ticks_document({"TCS": tick}, "paper", World.PAPER)
