"""The figure of a candle view."""

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pytest

from data_fetch.core.candles.blank_bars import BlankBar
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.feed.live_prices import FeedCandle
from data_fetch.core.market.session import MINUTES_OF_DAY, instant_of, midnight_number
from data_fetch.dashboard.candle_chart import Axis, candle_figure, correction_text
from data_fetch.dashboard.cells import COLOURS
from data_fetch.reading.candle_views import MOST_BARS, CandleView, CorrectedCandle

DAY = date(2026, 9, 16)
OPENS = midnight_number(DAY) + 9 * 60 + 15
NOW = datetime(2026, 9, 16, 14, 30, tzinfo=UTC)


def candles(starts: list[int], final: list[bool] | None = None, **more: list[int]) -> pa.Table:
    rows = len(starts)
    prices = np.arange(rows, dtype=float) + 100
    return pa.table(
        {
            "timestamp": pa.array(
                [start * 60_000_000 for start in starts], pa.timestamp("us", "UTC")
            ),
            "open": prices,
            "high": prices + 2,
            "low": prices - 2,
            "close": prices + 1,
            "volume": pa.array([1_000] * rows, pa.int64()),
            "oi": pa.array([None] * rows, pa.int64()),
            "is_final": final or [True] * rows,
            **more,
        }
    )


def view(table: pa.Table, **facts: Any) -> CandleView:
    given = {
        "interval": Interval.MINUTE,
        "auctions": candles([]),
        "blanks": (),
        "corrections": (),
        **facts,
    }
    return CandleView(
        symbol="TCS",
        asked=given["interval"],
        too_many=0,
        first=DAY,
        last=DAY,
        now=NOW,
        newest=NOW,
        counts=DayCounts(),
        table=table,
        **given,
    )


def traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_a_hole_takes_as_much_room_as_its_bars() -> None:
    table = candles([OPENS, OPENS + 3])
    blanks = [
        BlankBar(OPENS + 1, OPENS + 2, State.MISSED),
        BlankBar(OPENS + 2, OPENS + 3, State.NO_TRADE),
    ]

    found = traces(candle_figure(view(table, blanks=blanks)))

    assert list(found["confirmed"].x) == [0, 3]
    assert (list(found["missed"].x), list(found["without trades"].x)) == ([1], [2])
    assert found["missed"].marker.color == COLOURS[State.MISSED]
    assert list(found["missed"].hovertext) == ["16 Sep 09:16: missed"]
    assert list(found["confirmed"].close) == [101.0, 102.0]


def test_minutes_of_the_feed_have_a_colour_of_their_own_and_fill_no_hole() -> None:
    """The second one is beyond the bars of the store: the axis has room for it."""
    table, holes = candles([OPENS]), [BlankBar(OPENS + 1, OPENS + 2, State.MISSED)]
    live = [
        FeedCandle(
            instrument_key="NSE_EQ|1",
            start=instant_of(OPENS + number),
            open=100.0,
            high=103.0,
            low=99.0,
            close=102.0 + number,
            volume=70,
            is_whole=number == 1,
            received_at=NOW,
        )
        for number in (1, 2)
    ]

    figure = candle_figure(view(table, blanks=holes), live)

    found = traces(figure)
    of_feed = found["live feed (provisional)"]
    assert (list(of_feed.x), list(of_feed.close)) == ([1, 2], [103.0, 104.0])
    assert list(of_feed.hovertext) == [
        "16 Sep 09:16<br>volume: 70<br>whole, received 20:00:00",
        "16 Sep 09:17<br>volume: 70<br>newest, it may be running, received 20:00:00",
    ]
    assert of_feed.increasing.line.color not in {
        found["confirmed"].increasing.line.color,
        found["confirmed"].decreasing.line.color,
    }
    assert (list(found["confirmed"].x), list(found["missed"].x)) == ([0], [1])
    assert figure.layout.xaxis.range == (-0.5, 2.5)
    assert "live feed (provisional)" not in traces(candle_figure(view(table, blanks=holes)))


def test_provisional_bars_are_hollow() -> None:
    table = candles([OPENS, OPENS + 1], final=[True, False])

    found = traces(candle_figure(view(table)))

    hollow = found["provisional (hollow)"]
    assert list(hollow.x) == [1]
    assert hollow.increasing.fillcolor == hollow.decreasing.fillcolor == "rgba(0,0,0,0)"
    assert found["confirmed"].increasing.fillcolor != "rgba(0,0,0,0)"


def test_an_auction_stands_after_the_last_minute() -> None:
    found = traces(candle_figure(view(candles([OPENS]), auctions=candles([OPENS + 373]))))

    assert list(found["closing auction"].x) == [1]
    assert list(found["closing auction"].hovertext) == [
        "closing auction of 16 Sep: 101.00, volume 1,000"
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "16 Sep 09:15: corrected 16 Sep 2026 20:00:00 IST<br>close 101.00 → 1,02,000.50"
         "<br>volume 10 → 1,00,000<br>provisional → confirmed"),
        (2, "16 Sep 09:15: 2 corrections"),
    ],
)  # fmt: skip
def test_a_correction_names_the_old_value(count: int, text: str) -> None:
    changes = [("close", 101.0, 102_000.5), ("volume", 10, 100_000), ("is_final", False, True)]
    each = CorrectedCandle(OPENS, NOW, changes)

    assert correction_text("16 Sep 09:15", [each] * count) == text


def test_corrections_are_marked_at_their_bar() -> None:
    each = CorrectedCandle(OPENS + 7, NOW, [("close", 101.0, 102.0)])
    table = candles([OPENS, OPENS + 5], minutes_missing=[0, 2], minutes_expected=[5, 5])

    found = traces(candle_figure(view(table, interval=Interval.FIVE_MINUTES, corrections=[each])))

    assert (list(found["corrected"].x), list(found["corrected"].y)) == ([1], [103.0])
    assert list(found["lacks minutes"].hovertext) == ["16 Sep 09:20: lacks 2 of 5 minutes"]


def test_an_index_has_no_volume_and_no_open_interest() -> None:
    table = candles([OPENS])
    table = table.set_column(table.column_names.index("volume"), "volume", pa.array([0]))

    assert set(traces(candle_figure(view(table)))) == {"confirmed"}


def test_the_largest_view_is_less_than_300_kilobytes() -> None:
    starts = [OPENS + n for n in range(MOST_BARS)]
    table = candles(starts)
    table = table.set_column(
        table.column_names.index("oi"), "oi", pa.array([12_345_678] * MOST_BARS, pa.int64())
    )

    assert len(json.dumps(json.loads(candle_figure(view(table)).to_json()))) < 300_000


@pytest.mark.parametrize(
    ("opens", "names"),
    [
        ([OPENS], ["16 Sep", "10:00", "11:00", "12:00", "13:00", "14:00", "15:00"]),
        ([OPENS, OPENS + MINUTES_OF_DAY], ["16 Sep", "11:00", "13:00", "17 Sep", "11:00", "13:00"]),
    ],
)
def test_each_day_begins_with_its_name(opens: list[int], names: list[str]) -> None:
    axis = Axis([start + n for start in opens for n in range(360)], Interval.MINUTE)

    assert axis.ticks()[1] == names
