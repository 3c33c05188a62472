"""The figure of a candle view: bars, blank bars by cause, auctions, corrections, volume and OI.

Its horizontal axis counts bars, present and blank ones alike: nights take no room, and no hole
is closed up.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.clock import IST
from data_fetch.core.market.session import instant_of
from data_fetch.dashboard.cells import COLOURS, NAMES
from data_fetch.dashboard.numbers import LAKH, day_and_time, grouped, short
from data_fetch.reading.candle_views import CandleView, CorrectedCandle

RISING, FALLING, AUCTION, CORRECTED, NUMBERS = "#26a69a", "#ef5350", "#b388eb", "#f5a623", "#7f93ad"
HOLLOW = "rgba(0,0,0,0)"
PRICES = ("open", "high", "low", "close")
# The part of the height that volume has, and the one that open interest has.
NUMBERS_HEIGHT, SPACE = 0.15, 0.04
MOST_TICKS = 12
# Over so many days the hours are named.
FEW_DAYS = 2
HEIGHT = 620
MICROSECONDS = 60_000_000
# The part of a bar's height that says that some of its minutes are missing.
FOOT = 0.04


@dataclass(frozen=True, slots=True)
class Axis:
    """The bars from left to right, by their starts in minutes since 1970 UTC."""

    starts: Sequence[int]
    interval: Interval

    def places(self, starts: Sequence[int]) -> np.ndarray[Any, Any]:
        """Where bars with these *starts* stand."""
        return np.searchsorted(self.starts, starts).astype(np.int32)

    def place_of(self, minute: int) -> int:
        """Where the bar with that minute in it stands."""
        return max(0, int(np.searchsorted(self.starts, minute, side="right")) - 1)

    def label(self, start: int) -> str:
        at = instant_of(start).astimezone(IST)
        return f"{at:%d %b %Y}" if self.interval is Interval.DAY else f"{at:%d %b %H:%M}"

    def ticks(self) -> tuple[list[int], list[str]]:
        """Places and names: days, or hours where there are few days."""
        times = [instant_of(start).astimezone(IST) for start in self.starts]
        days = _changes([at.date() for at in times])
        if len(days) > FEW_DAYS:
            chosen = days[:: _every(days)]
            return chosen, [f"{times[place]:%d %b}" for place in chosen]
        hours = _changes([(at.date(), at.hour) for at in times])
        chosen = hours[:: _every(hours)]
        return chosen, [
            f"{times[place]:%d %b}" if place in days else f"{times[place]:%H:%M}"
            for place in chosen
        ]


def axis_of(view: CandleView) -> Axis:
    """The bars of *view*: candles, blank ones and auctions."""
    starts = {
        *starts_of(view.table),
        *starts_of(view.auctions),
        *(blank.start for blank in view.blanks),
    }
    return Axis(sorted(starts), view.interval)


def starts_of(table: pa.Table) -> list[int]:
    """The starts of its candles in minutes since 1970 UTC."""
    instants = table["timestamp"].cast(pa.int64()).to_numpy()
    starts: list[int] = (instants // MICROSECONDS).tolist()
    return starts


def candle_figure(view: CandleView) -> go.Figure:
    """The figure of *view*."""
    axis, table = axis_of(view), view.table
    final = table["is_final"].to_numpy()
    figure = go.Figure()
    figure.add_traces(_blanks(view, axis))
    for name, kept, fill in (
        ("confirmed", final, (RISING, FALLING)),
        ("provisional (hollow)", ~final, (HOLLOW, HOLLOW)),
    ):
        if kept.any():
            figure.add_trace(_candles(name, table.filter(pa.array(kept)), axis, fill))
    if len(view.auctions):
        figure.add_trace(_auctions(view.auctions, axis))
    if view.corrections:
        figure.add_trace(_corrections(view, axis))
    figure.add_traces(_numbers(table, axis))
    return figure.update_layout(**_layout(view, axis))


def blank_text(label: str, cause: State) -> str:
    """What is said of a blank bar."""
    return f"{label}: {NAMES[cause]}"


def correction_text(label: str, found: Sequence[CorrectedCandle]) -> str:
    """What is said of a bar of which candles were corrected."""
    if len(found) > 1:
        return f"{label}: {len(found)} corrections"
    [one] = found
    changes = [f"{name} {_value(old)} → {_value(new)}" for name, old, new in one.changes]
    return "<br>".join([f"{label}: corrected {day_and_time(one.at)}", *changes])


def _value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return grouped(value, 2 if isinstance(value, float) else 0)


def _blanks(view: CandleView, axis: Axis) -> list[go.Bar]:
    """Over the whole height the bars without a candle, by cause; at the foot those that lack
    some minutes."""
    by_cause: Mapping[State, list[int]] = _by_cause(view)
    traces = [
        _columns(
            NAMES[cause],
            axis.places(starts),
            [blank_text(axis.label(start), cause) for start in starts],
            COLOURS[cause],
            1.0,
        )
        for cause, starts in by_cause.items()
    ]
    if "minutes_missing" in view.table.column_names:
        lacking = view.table.filter(pa.array(view.table["minutes_missing"].to_numpy() > 0))
        if len(lacking):
            starts = starts_of(lacking)
            texts = [
                f"{axis.label(start)}: lacks {missing} of {expected} minutes"
                for start, missing, expected in zip(
                    starts,
                    lacking["minutes_missing"].to_pylist(),
                    lacking["minutes_expected"].to_pylist(),
                    strict=True,
                )
            ]
            places = axis.places(starts)
            traces.append(_columns("lacks minutes", places, texts, COLOURS[State.MISSED], FOOT))
    return traces


def _by_cause(view: CandleView) -> dict[State, list[int]]:
    found: dict[State, list[int]] = defaultdict(list)
    for blank in view.blanks:
        found[blank.cause].append(blank.start)
    return found


def _columns(
    name: str, places: np.ndarray[Any, Any], texts: list[str], colour: str, height: float
) -> go.Bar:
    return go.Bar(
        x=places,
        y=np.full(len(places), height, np.float32),
        yaxis="y4",
        width=1.0,
        name=name,
        marker={"color": colour, "opacity": 0.45, "line": {"width": 0}},
        hovertext=texts,
        hoverinfo="text",
    )


def _candles(name: str, table: pa.Table, axis: Axis, fill: tuple[str, str]) -> go.Candlestick:
    starts, (rising, falling) = starts_of(table), fill
    return go.Candlestick(
        x=axis.places(starts),
        **{column: table[column].to_numpy() for column in PRICES},
        name=name,
        hovertext=[axis.label(start) for start in starts],
        hoverinfo="y+text",
        increasing={"line": {"color": RISING, "width": 1}, "fillcolor": rising},
        decreasing={"line": {"color": FALLING, "width": 1}, "fillcolor": falling},
    )


def _auctions(table: pa.Table, axis: Axis) -> go.Scatter:
    """Marks: the bar of an auction is a single price, as flat as a line."""
    starts = starts_of(table)
    prices, volumes = table["close"].to_pylist(), table["volume"].to_pylist()
    return go.Scatter(
        x=axis.places(starts),
        y=prices,
        mode="markers",
        name="closing auction",
        marker={"symbol": "diamond", "size": 9, "color": AUCTION},
        hovertext=[
            f"closing auction of {instant_of(start).astimezone(IST):%d %b}: "
            f"{grouped(price, 2)}, volume {grouped(volume)}"
            for start, price, volume in zip(starts, prices, volumes, strict=True)
        ],
        hoverinfo="text",
    )


def _corrections(view: CandleView, axis: Axis) -> go.Scatter:
    """A mark above each bar of which a candle was corrected."""
    by_place: dict[int, list[CorrectedCandle]] = defaultdict(list)
    for each in view.corrections:
        by_place[axis.place_of(each.start)].append(each)
    highs = {
        place: high
        for table in (view.auctions, view.table)
        for place, high in zip(
            axis.places(starts_of(table)).tolist(), table["high"].to_pylist(), strict=True
        )
    }
    places = [place for place in by_place if place in highs]
    return go.Scatter(
        x=places,
        y=[highs[place] for place in places],
        mode="markers",
        name="corrected",
        marker={"symbol": "triangle-down", "size": 9, "color": CORRECTED},
        hovertext=[
            correction_text(axis.label(axis.starts[place]), by_place[place]) for place in places
        ],
        hoverinfo="text",
    )


def _numbers(table: pa.Table, axis: Axis) -> list[Any]:
    """Volume as columns and open interest as a line; an index has neither."""
    places = axis.places(starts_of(table))
    traces: list[Any] = []
    volume = table["volume"].to_numpy()
    if volume.any():
        traces.append(
            go.Bar(
                x=places,
                y=volume,
                yaxis="y2",
                name="volume",
                marker={"color": NUMBERS, "line": {"width": 0}},
                hovertext=[f"volume {grouped(each)}" for each in volume.tolist()],
                hoverinfo="text",
            )
        )
    interest = table["oi"].to_pylist()
    if any(interest):
        traces.append(
            go.Scatter(
                x=places,
                y=table["oi"].cast(pa.float64()).to_numpy(),
                yaxis="y3",
                name="open interest",
                mode="lines",
                line={"color": AUCTION, "width": 1.5},
                hovertext=[f"open interest {grouped(each)}" for each in interest],
                hoverinfo="text",
            )
        )
    return traces


def _layout(view: CandleView, axis: Axis) -> dict[str, Any]:
    places, names = axis.ticks()
    highest = max(view.table["high"].to_pylist(), default=0)
    below, floor = _number_axes(view.table)
    return {
        "height": HEIGHT,
        "margin": {"l": 24, "r": 8, "t": 8, "b": 8},
        "hovermode": "x",
        "hoversubplots": "axis",
        "dragmode": "pan",
        "bargap": 0.2,
        "barmode": "overlay",
        "showlegend": True,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0},
        "uirevision": f"{view.symbol} {view.interval} {view.first} {view.last}",
        "xaxis": {
            "range": [-0.5, len(axis.starts) - 0.5],
            "tickvals": places,
            "ticktext": names,
            "rangeslider": {"visible": False},
            "anchor": "free",
            "position": 0,
            "ticklabeloverflow": "allow",
        },
        "yaxis": {
            "domain": (floor, 1.0),
            "side": "right",
            # The browser groups by thousands, which is the same below a lakh.
            "hoverformat": ",.2f" if highest < LAKH else ".2f",
        },
        "yaxis4": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        **below,
    }


def _number_axes(table: pa.Table) -> tuple[dict[str, Any], float]:
    """The axes of open interest and volume from the bottom up, each where there is any, and where
    the prices begin."""
    axes, floor = {}, 0.0
    for name, title, column in (("yaxis3", "OI", "oi"), ("yaxis2", "Volume", "volume")):
        values = [each for each in table[column].to_pylist() if each is not None]
        if any(values):
            axes[name] = {
                "domain": (floor, floor + NUMBERS_HEIGHT),
                "side": "right",
                "title": title,
                **_scale(values),
            }
            floor += NUMBERS_HEIGHT + SPACE
    return axes, floor


def _scale(values: Sequence[int]) -> dict[str, Any]:
    """Two ticks, in lakh and crore."""
    ends = [0, max(values)] if min(values) < max(values) / 2 else [min(values), max(values)]
    return {"tickvals": ends, "ticktext": [short(each) for each in ends]}


def _changes(values: Sequence[Any]) -> list[int]:
    """The places at which a value differs from the one before, the first included."""
    return [0, *(n for n, (one, other) in enumerate(pairwise(values), 1) if one != other)]


def _every(places: Sequence[int]) -> int:
    return -(-len(places) // MOST_TICKS)
