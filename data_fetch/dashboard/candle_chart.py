"""The figure of a candle view: bars, blank bars by cause, auctions, corrections, volume and OI.

Its horizontal axis counts bars, present and blank ones alike: nights take no room, and no hole
is closed up.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.feed.live_prices import FeedCandle
from data_fetch.core.market.session import IST_AHEAD, MINUTES_OF_DAY, day_of, minute_number
from data_fetch.dashboard.cells import COLOURS, MINUTES_OF_HOUR, NAMES
from data_fetch.dashboard.numbers import LAKH, clock_time, day_and_time, grouped, short
from data_fetch.reading.candle_views import CandleView, CorrectedCandle

RISING, FALLING, AUCTION, CORRECTED, NUMBERS = "#26a69a", "#ef5350", "#b388eb", "#f5a623", "#7f93ad"
LIVE, HOLLOW = "#0ea5e9", "rgba(0,0,0,0)"
PRICES = ("open", "high", "low", "close")
# The part of the height that volume has, and the one that open interest has.
NUMBERS_HEIGHT, SPACE = 0.15, 0.04
MOST_TICKS = 12
# Over so many days the hours are named.
FEW_DAYS = 2
HEIGHT = 620
MICROSECONDS = 60_000_000
# A document: Plotly looks at an object of its own twice.
Trace = dict[str, Any]
# The part of a bar's height that says that some of its minutes are missing.
FOOT = 0.04
# How strong the colour of a blank bar is: what is still to come is no hole.
PLAIN, FAINT = 0.45, 0.12


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
        if self.interval is Interval.DAY:
            return f"{day_of(start):%d %b %Y}"
        day, minute = divmod(start + IST_AHEAD, MINUTES_OF_DAY)
        return f"{_day_text(day)} {_clock_text(minute)}"

    def ticks(self) -> tuple[list[int], list[str]]:
        """Places and names: days, or hours where there are few days."""
        starts = self.starts
        days = _changes([(start + IST_AHEAD) // MINUTES_OF_DAY for start in starts])
        if len(days) > FEW_DAYS:
            chosen = days[:: _every(days)]
            return chosen, [_day_name(starts[place]) for place in chosen]
        hours = _changes([(start + IST_AHEAD) // MINUTES_OF_HOUR for start in starts])
        every, room = _every(hours), len(starts) // (2 * MOST_TICKS)
        chosen = [
            place
            for first, end in pairwise([*days, len(starts)])
            for place in [hour for hour in hours if first <= hour < end][::every]
            # The name of the next day needs room.
            if place == first or end - place >= room
        ]
        return chosen, [
            _day_name(starts[place]) if place in days else _clock_name(starts[place])
            for place in chosen
        ]


def _day_name(minute: int) -> str:
    return _day_text((minute + IST_AHEAD) // MINUTES_OF_DAY)


def _clock_name(minute: int) -> str:
    return _clock_text((minute + IST_AHEAD) % MINUTES_OF_DAY)


# Each bar has both, and a view has a few days of the same minutes.
@lru_cache(maxsize=512)
def _day_text(day: int) -> str:
    """A day in India by its number since 1970."""
    return f"{day_of(day * MINUTES_OF_DAY):%d %b}"


@lru_cache(maxsize=MINUTES_OF_DAY)
def _clock_text(minute: int) -> str:
    """A minute of a day."""
    hour, rest = divmod(minute, MINUTES_OF_HOUR)
    return f"{hour:02}:{rest:02}"


def axis_of(view: CandleView, live: Sequence[FeedCandle] = ()) -> Axis:
    """The bars of *view*: candles, blank ones and auctions; and those that are *live*."""
    starts = {
        *(minute_number(each.start) for each in live),
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


def candle_figure(view: CandleView, live: Sequence[FeedCandle] = ()) -> go.Figure:
    """The figure of *view*, and of the minutes that only a feed has: they are *live*, and the store
    says of them what it says without a feed."""
    axis, table = axis_of(view, live), view.table
    final = table["is_final"].to_numpy()
    traces: list[Trace] = [*_blanks(view, axis)]
    for name, kept, fill in (
        ("confirmed", final, (RISING, FALLING)),
        ("provisional (hollow)", ~final, (HOLLOW, HOLLOW)),
    ):
        if kept.any():
            traces.append(_candles(name, table.filter(pa.array(kept)), axis, fill))
    if live:
        traces.append(_live(live, axis))
    if len(view.auctions):
        traces.append(_auctions(view.auctions, axis))
    if view.corrections:
        traces.append(_corrections(view, axis))
    # At once: a figure that is updated looks at all of it again.
    return go.Figure([*traces, *_numbers(table, axis)], _layout(view, axis))


def blank_text(label: str, cause: State) -> str:
    """What is said of a blank bar."""
    return f"{label}: {NAMES[cause]}"


def correction_text(label: str, found: Sequence[CorrectedCandle]) -> str:
    """What is said of a bar of which candles were corrected."""
    if len(found) > 1:
        return f"{label}: {len(found)} corrections"
    [one] = found
    changes = [_change_text(name, old, new) for name, old, new in one.changes]
    return "<br>".join([f"{label}: corrected {day_and_time(one.at)}", *changes])


def _change_text(name: str, old: Any, new: Any) -> str:
    if name == "is_final":
        return "provisional → confirmed" if new else "confirmed → provisional"
    return f"{name} {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return grouped(value, 2 if isinstance(value, float) else 0)


def _blanks(view: CandleView, axis: Axis) -> list[Trace]:
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
            FAINT if cause is State.PENDING else PLAIN,
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
            red = COLOURS[State.MISSED]
            traces.append(_columns("lacks minutes", places, texts, red, FOOT, PLAIN))
    return traces


def _by_cause(view: CandleView) -> dict[State, list[int]]:
    found: dict[State, list[int]] = defaultdict(list)
    for blank in view.blanks:
        found[blank.cause].append(blank.start)
    return found


def _columns(
    name: str,
    places: np.ndarray[Any, Any],
    texts: list[str],
    colour: str,
    height: float,
    opacity: float,
) -> Trace:
    return {
        "type": "bar",
        "x": places,
        "y": np.full(len(places), height, np.float32),
        "yaxis": "y4",
        "width": 1.0,
        "name": name,
        "marker": {"color": colour, "opacity": opacity, "line": {"width": 0}},
        "hovertext": _texts(texts),
        "hoverinfo": "text",
    }


def _candles(name: str, table: pa.Table, axis: Axis, fill: tuple[str, str]) -> Trace:
    starts, (rising, falling) = starts_of(table), fill
    return dict(
        type="candlestick",
        x=axis.places(starts),
        **{column: table[column].to_numpy() for column in PRICES},
        name=name,
        hovertext=_texts(_bar_texts(table, axis)),
        hoverinfo="y+text",
        increasing={"line": {"color": RISING, "width": 1}, "fillcolor": rising},
        decreasing={"line": {"color": FALLING, "width": 1}, "fillcolor": falling},
    )


def _bar_texts(table: pa.Table, axis: Axis) -> Iterator[str]:
    """What is said of each bar beside its prices."""
    volumes, interests = table["volume"].to_pylist(), table["oi"].to_pylist()
    for start, volume, interest in zip(starts_of(table), volumes, interests, strict=True):
        traded = f"<br>volume: {grouped(volume)}" if volume else ""
        open_now = f"<br>OI: {grouped(interest)}" if interest else ""
        yield f"{axis.label(start)}{traded}{open_now}"


def _live(candles: Sequence[FeedCandle], axis: Axis) -> Trace:
    """Of another colour than any stored bar."""
    return dict(
        type="candlestick",
        x=axis.places([minute_number(each.start) for each in candles]),
        **{column: [getattr(each, column) for each in candles] for column in PRICES},
        name="live feed (provisional)",
        hovertext=_texts(_live_text(each, axis) for each in candles),
        hoverinfo="y+text",
        increasing={"line": {"color": LIVE, "width": 1}, "fillcolor": HOLLOW},
        decreasing={"line": {"color": LIVE, "width": 1}, "fillcolor": LIVE},
    )


def _live_text(candle: FeedCandle, axis: Axis) -> str:
    volume = f"<br>volume: {grouped(candle.volume)}" if candle.volume else ""
    state = "whole" if candle.is_whole else "newest, it may be running"
    received = clock_time(candle.received_at)
    return f"{axis.label(minute_number(candle.start))}{volume}<br>{state}, received {received}"


def _auctions(table: pa.Table, axis: Axis) -> Trace:
    """Marks: the bar of an auction is a single price, as flat as a line."""
    starts = starts_of(table)
    prices, volumes = table["close"].to_pylist(), table["volume"].to_pylist()
    return {
        "type": "scatter",
        "x": axis.places(starts),
        "y": prices,
        "mode": "markers",
        "name": "closing auction",
        "marker": {"symbol": "diamond", "size": 9, "color": AUCTION},
        "hovertext": [
            f"closing auction of {_day_name(start)}: {grouped(price, 2)}, volume {grouped(volume)}"
            for start, price, volume in zip(starts, prices, volumes, strict=True)
        ],
        "hoverinfo": "text",
    }


def _corrections(view: CandleView, axis: Axis) -> Trace:
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
    return {
        "type": "scatter",
        "x": places,
        "y": [highs[place] for place in places],
        "mode": "markers",
        "name": "corrected",
        "marker": {"symbol": "triangle-down", "size": 9, "color": CORRECTED},
        "hovertext": [
            correction_text(axis.label(axis.starts[place]), by_place[place]) for place in places
        ],
        "hoverinfo": "text",
    }


def _numbers(table: pa.Table, axis: Axis) -> list[Trace]:
    """Volume as columns and open interest as a line; an index has neither."""
    places = axis.places(starts_of(table))
    traces: list[Trace] = []
    volume = table["volume"].to_numpy()
    if volume.any():
        traces.append(
            {
                "type": "bar",
                "x": places,
                "y": volume,
                "yaxis": "y2",
                "name": "volume",
                "marker": {"color": NUMBERS, "line": {"width": 0}},
                "hoverinfo": "skip",
            }
        )
    interest = table["oi"].cast(pa.float64()).to_numpy()
    if np.nansum(interest):
        traces.append(
            {
                "type": "scatter",
                "x": places,
                "y": interest,
                "yaxis": "y3",
                "name": "open interest",
                "mode": "lines",
                "line": {"color": AUCTION, "width": 1.5},
                "hoverinfo": "skip",
            }
        )
    return traces


def _layout(view: CandleView, axis: Axis) -> dict[str, Any]:
    places, names = axis.ticks()
    highest = max(view.table["high"].to_pylist(), default=0)
    group = "," if highest < LAKH else ""
    below, floor = _number_axes(view.table)
    return {
        "height": HEIGHT,
        "margin": {"l": 24, "r": 8, "t": 8, "b": 8},
        "hovermode": "x",
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
            "hoverformat": f"{group}.2f",
            "tickformat": f"{group}.10~f",
        },
        "yaxis4": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        **below,
    }


def _number_axes(table: pa.Table) -> tuple[dict[str, Any], float]:
    """The axes of open interest and volume from the bottom up, each where there is any, and where
    the prices begin."""
    axes, floor = {}, 0.0
    for name, title, column, least in (
        ("yaxis3", "OI", "oi", min),
        ("yaxis2", "Volume", "volume", _zero),
    ):
        values = [each for each in table[column].to_pylist() if each is not None]
        if any(values):
            ends = sorted({least(values), max(values)})
            axes[name] = {
                "domain": (floor, floor + NUMBERS_HEIGHT),
                "side": "right",
                "title": title,
                "tickvals": ends,
                "ticktext": [short(each) for each in ends],
            }
            floor += NUMBERS_HEIGHT + SPACE
    return axes, floor


def _zero(_: Sequence[int]) -> int:
    """Columns stand on zero."""
    return 0


def _changes(values: Sequence[Any]) -> list[int]:
    """The places at which a value differs from the one before, the first included."""
    return [0, *(n for n, (one, other) in enumerate(pairwise(values), 1) if one != other)]


def _texts(texts: Iterable[str]) -> np.ndarray[Any, Any]:
    """As an array, of which Plotly does not look at each element."""
    return np.array(list(texts), dtype=np.str_)


def _every(places: Sequence[int]) -> int:
    return -(-len(places) // MOST_TICKS)
