"""Plotly figures of chains, from records to figures. Instants are IST, quantities in one unit."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil, floor, log10
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa

from data_fetch.analytics.build_up import BuildUp
from data_fetch.analytics.metrics import ChainArrays, exposure_by_leg, payout_curve
from data_fetch.analytics.surface import Smile
from data_fetch.core.chains.chains import OptionType
from data_fetch.core.clock import IST
from data_fetch.dashboard.chain_line import strike_text
from data_fetch.dashboard.ladder import Ladder, Row, Side
from data_fetch.dashboard.numbers import UNKNOWN, grouped, short
from data_fetch.dashboard.volatility_texts import FEWEST_EXPIRIES
from data_fetch.reading.chain_metrics import ChainMetrics
from data_fetch.reading.volatility_days import DAYS_A_YEAR

CALLS, PUTS, LINE, OTHER, PAIN = "#e25858", "#26a678", "#3b82f6", "#f59e0b", "#a855f7"
OF_BUILD_UP = {
    BuildUp.LONG_BUILD_UP: ("long build-up", "#26a678"),
    BuildUp.SHORT_BUILD_UP: ("short build-up", "#e25858"),
    BuildUp.SHORT_COVERING: ("short covering", "#3b82f6"),
    BuildUp.LONG_UNWINDING: ("long unwinding", "#f59e0b"),
    BuildUp.UNCHANGED: ("unchanged", "#888888"),
}
HEIGHT, TALL = 360, 560
# Beyond that of the forward, strikes are too thin to look at.
SHOWN = (0.85, 1.15)
ACROSS = 31
TICKS = 6
OF_IV = "Viridis"
# Far enough for the names of the axes on a telephone, and above the middle of the room below.
CAMERA = {"eye": {"x": 1.7, "y": 1.7, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.1}}
SMALL = 11
HALF_AN_HOUR = timedelta(minutes=30)


# The figures of a day: their titles, and how Plotly writes them.
OF_DAY = {
    "pcr_oi": ("PCR", ".3f"),
    "straddle": ("straddle, rupees", ",.2f"),
    "atm_iv": ("ATM IV", ".3%"),
    "spot": ("spot, rupees", ",.2f"),
}


def over_the_day(table: pa.Table, left: str, right: str) -> go.Figure:
    """Two of OF_DAY over time, each on an axis of its own; gaps where one is unknown."""
    times = [at.astimezone(IST).replace(tzinfo=None) for at in table["at"].to_pylist()]
    figure = go.Figure()
    for name, color, axis in ((left, LINE, "y"), (right, OTHER, "y2")):
        title, form = OF_DAY[name]
        figure.add_scatter(
            x=times,
            y=table[name].to_pylist(),
            name=title,
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 4},
            yaxis=axis,
            yhoverformat=form,
        )
    (left_title, left_form), (right_title, right_form) = OF_DAY[left], OF_DAY[right]
    beside = {"overlaying": "y", "side": "right", "showgrid": False}
    return laid_out(
        figure,
        xaxis=_time_axis(times),
        yaxis={"title": left_title, "tickformat": left_form, **_one_value(table[left], 0.9)},
        yaxis2={
            "title": right_title,
            "tickformat": right_form,
            **beside,
            # Its point is higher, so that neither hides the other.
            **_one_value(table[right], 0.8),
        },
        hovermode="x unified",
    )


def _time_axis(times: Sequence[datetime]) -> dict[str, Any]:
    """A single instant in the middle of an hour; Plotly would show two milliseconds."""
    if len(set(times)) != 1:
        return {}
    return {"range": [times[0] - HALF_AN_HOUR, times[0] + HALF_AN_HOUR]}


def _one_value(values: pa.ChunkedArray, lowest: float) -> dict[str, Any]:
    """A single value from *lowest* times itself to a tenth more; Plotly would show one more and
    one less."""
    known = {value for value in values.to_pylist() if value is not None}
    if len(known) != 1:
        return {}
    [value] = known
    return {"range": [value * lowest, value * 1.1]} if value else {}


def open_interest(ladder: Ladder) -> go.Figure:
    """Open interest of calls and puts by strike."""
    return _by_strike(ladder, "oi")


def build_up(ladder: Ladder) -> go.Figure:
    """The change of open interest by strike, of calls and of puts, coloured by what it means."""
    figure = go.Figure()
    for kind, (name, color) in OF_BUILD_UP.items():
        for side, shift in (("call", 0), ("put", 1)):
            rows = [
                (row, found)
                for row in ladder.rows
                if (found := _side(row, side)) is not None and found.build_up is kind
            ]
            if not rows:
                continue
            changes = [found.values["oi_change"] for _, found in rows]
            figure.add_bar(
                x=[row.strike for row, _ in rows],
                y=changes,
                name=name,
                legendgroup=name,
                showlegend=not any(each.name == name for each in figure.data),
                offsetgroup=str(shift),
                marker={"color": color, "pattern": {"shape": "/" if side == "put" else ""}},
                hovertext=[
                    f"{grouped(row.strike)} {side}: {short(change)}, {name}"
                    for (row, _), change in zip(rows, changes, strict=True)
                ],
                hoverinfo="text",
            )
    changes = [side.values["oi_change"] for row in ladder.rows for side in _sides(row)]
    axis = short_axis(changes)
    return laid_out(_with_spot(figure, ladder.spot), yaxis=axis, xaxis=_strikes_of(ladder))


def payouts(found: ChainMetrics, lot: float) -> go.Figure | None:
    """What writers pay in all if the expiry closes at a strike, rupees; None where open interest
    is unknown. *lot* is shares for one counted unit."""
    summary = found.snapshot.summary
    curve = [(strike, payout * lot) for strike, payout in payout_curve(summary.priced)]
    if not curve:
        return None
    strikes, values = zip(*curve, strict=True)
    figure = go.Figure(
        go.Scatter(
            x=strikes,
            y=values,
            mode="lines",
            line={"color": LINE},
            fill="tozeroy",
            hovertext=[f"{grouped(strike)}: ₹ {short(value)}" for strike, value in curve],
            hoverinfo="text",
        )
    )
    least = min(curve, key=lambda point: point[1])[0]
    figure.add_vline(
        x=least,
        line_dash="dash",
        line_color=PAIN,
        annotation_text=f"max pain {grouped(least)}",
        annotation_position="top left",
    )
    return laid_out(
        _with_spot(figure, summary.priced.chain.spot),
        yaxis={"title": "rupees", **short_axis(values)},
        xaxis=strike_axis(strikes),
    )


def gamma_exposure(found: ChainMetrics) -> go.Figure | None:
    """Rupees by strike by which the delta of all contracts changes when the forward moves one
    percent, as for a dealer who bought calls and sold puts; None where it is unknown."""
    snapshot = found.snapshot
    exposed = exposure_by_leg(ChainArrays.of(snapshot.summary.priced), snapshot.lot_size)
    if not np.isfinite(exposed).any():
        return None
    figure, legs = go.Figure(), snapshot.chain.legs
    for kind, name, color in ((OptionType.CALL, "calls", CALLS), (OptionType.PUT, "puts", PUTS)):
        points = [
            (float(leg.strike), value)
            for leg, value in zip(legs, exposed.tolist(), strict=True)
            if leg.option_type is kind and np.isfinite(value)
        ]
        figure.add_bar(
            x=[strike for strike, _ in points],
            y=[value for _, value in points],
            name=name,
            marker={"color": color},
            hovertext=[f"{grouped(at)} {name}: ₹ {short(value)}" for at, value in points],
            hoverinfo="text",
        )
    known = exposed[np.isfinite(exposed)].tolist()
    return laid_out(
        _with_spot(figure, snapshot.chain.spot),
        barmode="relative",
        yaxis={"title": "rupees", **short_axis(known)},
        xaxis=strike_axis(float(leg.strike) for leg in legs),
    )


def smiles(found: Sequence[Smile]) -> go.Figure:
    """Implied volatility over strike by forward, a line for each expiry."""
    figure = go.Figure()
    for smile in found:
        points = [
            (strike / smile.forward, iv * 100, strike)
            for strike, iv in zip(smile.strikes, smile.ivs, strict=True)
            if SHOWN[0] <= strike / smile.forward <= SHOWN[1]
        ]
        figure.add_scatter(
            x=[place for place, _, _ in points],
            y=[iv for _, iv, _ in points],
            name=f"{smile.expiry:%d %b %Y}",
            mode="lines+markers",
            marker={"size": 4},
            hovertext=[f"{grouped(strike)}: {iv:.2f} %" for _, iv, strike in points],
            hoverinfo="text+name",
        )
    return laid_out(
        figure,
        yaxis={"title": "IV, percent"},
        xaxis={"title": "strike / forward"},
        # A single line has its expiry, too.
        showlegend=True,
    )


def term_structure(found: Sequence[Smile]) -> go.Figure:
    """Implied volatility at the money over days to expiry."""
    known = [
        (smile.years * DAYS_A_YEAR, smile.atm_iv * 100, smile)
        for smile in found
        if smile.atm_iv is not None
    ]
    figure = go.Figure(
        go.Scatter(
            x=[days for days, _, _ in known],
            y=[iv for _, iv, _ in known],
            mode="lines+markers",
            line={"color": LINE},
            hovertext=[f"{smile.expiry:%d %b %Y}: {iv:.2f} %" for _, iv, smile in known],
            hoverinfo="text",
        )
    )
    return laid_out(figure, yaxis={"title": "ATM IV, percent"}, xaxis={"title": "days to expiry"})


def surface(found: Sequence[Smile]) -> go.Figure | None:
    """The volatility surface over strike by forward and days; None with fewer than
    FEWEST_EXPIRIES. Nothing is drawn outside of the strikes of an expiry."""
    if len(found) < FEWEST_EXPIRIES:
        return None
    across, percents = _over_expiries(found)
    figure = go.Figure(
        go.Surface(
            x=across,
            y=[smile.years * DAYS_A_YEAR for smile in found],
            z=percents,
            colorscale=OF_IV,
            # Its vertical axis says the same.
            showscale=False,
            hovertemplate="%{y:.0f} days, %{x:.2f}: IV %{z:.2f} %<extra></extra>",
        )
    )
    axes = {"xaxis": "strike / forward", "yaxis": "days", "zaxis": "IV, %"}
    scene = {
        name: {"title": {"text": title, "font": {"size": SMALL}}} for name, title in axes.items()
    }
    return laid_out(figure, scene={**scene, "camera": CAMERA}, height=TALL)


def surface_map(found: Sequence[Smile]) -> go.Figure:
    """The surface from above, an expiry a row: it is readable without 3-D, which needs WebGL."""
    across, percents = _over_expiries(found)
    figure = go.Figure(
        go.Heatmap(
            x=across,
            y=[f"{smile.expiry:%d %b %Y}" for smile in found],
            z=percents,
            colorscale=OF_IV,
            colorbar={"title": "IV, %", "thickness": 12},
            hoverongaps=False,
            hovertemplate="%{y}, %{x:.2f}: IV %{z:.2f} %<extra></extra>",
        )
    )
    return laid_out(figure, xaxis={"title": "strike / forward"}, yaxis={"type": "category"})


def _over_expiries(found: Sequence[Smile]) -> tuple[list[float], list[list[float | None]]]:
    """Strikes by the forward that any expiry has, and the IV in percent of each expiry at them;
    None beyond its own strikes."""
    across = np.linspace(*SHOWN, ACROSS)
    percents = np.array(
        [
            np.interp(
                across,
                np.array(smile.strikes) / smile.forward,
                np.array(smile.ivs) * 100,
                left=np.nan,
                right=np.nan,
            )
            for smile in found
        ]
    )
    known = ~np.isnan(percents).all(axis=0)
    rows = percents[:, known].tolist()
    return across[known].tolist(), [[None if np.isnan(iv) else iv for iv in row] for row in rows]


def short_axis(values: Iterable[float | None]) -> dict[str, list[float] | list[str]]:
    """About TICKS round numbers from 0 to the ends of *values*, in lakh and crore."""
    ticks = round_numbers([0.0, *(value for value in values if value is not None)])
    return {"tickvals": ticks, "ticktext": [short(tick).replace(".00", "") for tick in ticks]}


def strike_axis(strikes: Iterable[float]) -> dict[str, Any]:
    """About TICKS round numbers between the *strikes*, in Indian grouping."""
    ticks = round_numbers(list(strikes))
    return {"title": "strike", "tickvals": ticks, "ticktext": [strike_text(at) for at in ticks]}


def round_numbers(values: Sequence[float]) -> list[float]:
    """About TICKS multiples of 1, 2 or 5 times a power of ten that span *values*."""
    lowest, highest = min(values, default=0.0), max(values, default=0.0)
    if lowest == highest:
        return [lowest]
    power = 10.0 ** floor(log10((highest - lowest) / TICKS))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * TICKS >= highest - lowest)
    return [step * n for n in range(floor(lowest / step), ceil(highest / step) + 1)]


def laid_out(figure: go.Figure, height: int = HEIGHT, **layout: object) -> go.Figure:
    """*figure* with the margins, the legend and the height that all have."""
    return figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        separators=".,",
        **layout,
    )


def _by_strike(ladder: Ladder, name: str) -> go.Figure:
    figure = go.Figure()
    for side, title, color in (("call", "calls", CALLS), ("put", "puts", PUTS)):
        values = [
            None if (found := _side(row, side)) is None else found.values[name]
            for row in ladder.rows
        ]
        figure.add_bar(
            x=[row.strike for row in ladder.rows],
            y=values,
            name=title,
            marker={"color": color},
            hovertext=[
                f"{grouped(row.strike)} {title}: {UNKNOWN if value is None else short(value)}"
                for row, value in zip(ladder.rows, values, strict=True)
            ],
            hoverinfo="text",
        )
    known = [side.values[name] for row in ladder.rows for side in _sides(row)]
    return laid_out(
        _with_spot(figure, ladder.spot),
        yaxis={"title": str(ladder.unit), **short_axis(known)},
        xaxis=_strikes_of(ladder),
    )


def _strikes_of(ladder: Ladder) -> dict[str, Any]:
    return strike_axis(row.strike for row in ladder.rows)


def _side(row: Row, side: str) -> Side | None:
    return row.call if side == "call" else row.put


def _sides(row: Row) -> list[Side]:
    return [side for side in (row.call, row.put) if side is not None]


def _with_spot(figure: go.Figure, spot: float | None) -> go.Figure:
    if spot is None:
        return figure
    return figure.add_vline(
        x=spot,
        line_color=LINE,
        line_width=1,
        annotation_text=f"spot {grouped(spot, 2)}",
        annotation_position="top right",
    )
