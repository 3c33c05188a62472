"""The ladder of an option chain: a row for each strike, its call and its put side by side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import pyarrow as pa

from data_fetch.analytics.build_up import BuildUp, LegBuildUp
from data_fetch.core.chains.chains import (
    Chain,
    ChainLeg,
    LotReason,
    OptionType,
    QuantityUnit,
    in_shares,
)
from data_fetch.core.chains.valuation import LegValuation, Metric, Reason
from data_fetch.dashboard.numbers import grouped, short
from data_fetch.dashboard.reasons import SHORT_NOT_SENT, in_short
from data_fetch.reading.chain_metrics import ChainMetrics, ComparedWith

# What is written beside a strike, and the figure whose value is that strike.
MARKS = {"ATM": "atm_strike", "MP": "max_pain", "R": "resistance", "S": "support"}
UNKNOWN_METRIC = Metric(value=None, used=0, of=0)
DISTANT = 1_000


def signed(text: Callable[[float], str], value: float) -> str:
    """*value* by *text*, with its sign unless what is written is zero."""
    size = text(abs(value))
    if not any(digit in size for digit in "123456789"):
        return size
    return f"+{size}" if value > 0 else f"-{size}"


def percent(value: float) -> str:
    """A fraction in percent, without the sign."""
    return f"{value * 100:.2f}"


def rupees(value: float) -> str:
    """A price; paise are left out of one above a thousand."""
    return grouped(value, 0 if abs(value) >= DISTANT else 2)


def decimals(digits: int, value: float) -> str:
    return f"{value:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of either side: its *title*, what it says, and how its values are written."""

    title: str
    meaning: str
    text: Callable[[float], str]


COLUMNS: Mapping[str, Column] = {
    "oi": Column("OI", "open interest", short),
    "oi_change": Column(
        "ΔOI", "change of open interest since the baseline", partial(signed, short)
    ),
    "volume": Column("Volume", "traded quantity of the day", short),
    "iv": Column("IV %", "implied volatility in percent, computed here", percent),
    "delta": Column("Delta", "rupees for a rupee of the forward", partial(decimals, 2)),
    "gamma": Column("Gamma", "delta for a rupee of the forward", partial(decimals, 5)),
    "theta": Column("Theta", "rupees a calendar day", partial(decimals, 2)),
    "vega": Column("Vega", "rupees a point of volatility", partial(decimals, 2)),
    "bid": Column("Bid", "best bid in rupees", rupees),
    "ask": Column("Ask", "best ask in rupees", rupees),
    "ltp": Column("LTP", "last traded price in rupees", rupees),
    "price_change": Column(
        "ΔLTP", "change of the last price since the baseline", partial(signed, rupees)
    ),
    "iv_change": Column(
        "ΔIV",
        "change of implied volatility since the baseline, in points",
        partial(signed, percent),
    ),
}
USUAL_COLUMNS = ("oi", "oi_change", "volume", "iv", "delta", "bid", "ask", "ltp")
GREEKS = ("iv", "delta", "gamma", "theta", "vega")


@dataclass(frozen=True, slots=True)
class Side:
    """The values of one option by column; where one is None, *unknown* has the reason.

    *build_up* is what the changes since the baseline mean, None where one is unknown. The values of
    the columns *ticked* are of the feed, received *age* seconds ago; all others are of the poll.
    """

    values: Mapping[str, float | None]
    unknown: Mapping[str, str]
    build_up: BuildUp | None = None
    ticked: frozenset[str] = frozenset()
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A strike; *call* or *put* is None where it is not listed."""

    strike: float
    call: Side | None
    put: Side | None
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The rows of a chain, lowest strike first, quantities in *unit*. *has_feed*: a feed brings
    ticks of it."""

    rows: tuple[Row, ...]
    unit: QuantityUnit
    spot: float | None
    has_feed: bool = False

    @property
    def sides(self) -> list[Side]:
        """The options that are shown."""
        return [side for row in self.rows for side in (row.call, row.put) if side is not None]


def ladder_of(found: ChainMetrics, around: int | None = None) -> Ladder:
    """The ladder of a chain, with the changes since its baseline.

    *around* is the number of strikes on each side of the money; None for all.
    """
    summary, lot = found.snapshot.summary, found.snapshot.lot_size
    chain, unit = summary.priced.chain, unit_shown(summary.priced.chain, lot)
    scale = lot if lot is not None and unit is not chain.unit else None
    sides: dict[float, dict[OptionType, Side]] = {}
    before = _volatilities(found.baseline)
    for leg, numbers, moved in zip(chain.legs, summary.priced.numbers, found.moved, strict=True):
        side = _side(leg, numbers, moved, before.get(leg.key), scale)
        sides.setdefault(float(leg.strike), {})[leg.option_type] = side
    marked = _marks(summary.metrics)
    rows = tuple(
        Row(
            strike,
            of.get(OptionType.CALL),
            of.get(OptionType.PUT),
            tuple(name for name, at in marked.items() if at == strike),
        )
        for strike, of in sorted(sides.items())
    )
    money = summary.priced.forward.value or chain.spot
    return Ladder(rows=_around(rows, money, around), unit=unit, spot=chain.spot)


def unit_shown(chain: Chain, lot_size: int | None) -> QuantityUnit:
    """Shares, or contracts where the source counts those and the lot is unknown."""
    return chain.unit if lot_size is None else QuantityUnit.SHARES


def _marks(metrics: Mapping[str, Metric]) -> dict[str, float | None]:
    return {mark: metrics.get(name, UNKNOWN_METRIC).value for mark, name in MARKS.items()}


def _around(rows: tuple[Row, ...], money: float | None, around: int | None) -> tuple[Row, ...]:
    if around is None:
        return rows
    middle = len(rows) // 2
    if money is not None:
        middle = min(range(len(rows)), key=lambda place: abs(rows[place].strike - money))
    return rows[max(0, middle - around) : middle + around + 1]


def _volatilities(baseline: ComparedWith) -> dict[tuple[Decimal, OptionType], float | None]:
    """The volatility of each leg at the baseline; a previous close has none."""
    if baseline.snapshot is None:
        return {}
    priced = baseline.snapshot.summary.priced
    return {
        leg.key: numbers.iv for leg, numbers in zip(priced.chain.legs, priced.numbers, strict=True)
    }


def _side(
    leg: ChainLeg,
    numbers: LegValuation,
    moved: LegBuildUp,
    iv_before: float | None,
    scale: int | None,
) -> Side:
    values: dict[str, float | None] = {
        "oi": _scaled(leg.oi, scale),
        "oi_change": _scaled(moved.oi_change, scale),
        "volume": _scaled(leg.volume, scale),
        **{name: getattr(numbers, name) for name in GREEKS},
        "bid": leg.bid,
        "ask": leg.ask,
        "ltp": leg.ltp,
        "price_change": moved.price_change,
        "iv_change": None if numbers.iv is None or iv_before is None else numbers.iv - iv_before,
    }
    lost = {"oi": leg.oi, "oi_change": moved.oi_change, "volume": leg.volume}
    reasons: dict[str, str | None] = {
        **dict.fromkeys(GREEKS, numbers.reason),
        **dict.fromkeys(("oi_change", "price_change"), moved.reason),
        "iv_change": numbers.reason or Reason.NO_BASELINE,
        # It is known in contracts.
        **{name: LotReason.LOT_MISMATCH for name, value in lost.items() if value is not None},
    }
    unknown = {
        name: SHORT_NOT_SENT if (reason := reasons.get(name)) is None else in_short(reason)
        for name, value in values.items()
        if value is None
    }
    return Side(values, unknown, moved.kind)


def _scaled(value: float | None, scale: int | None) -> float | None:
    return value if scale is None else in_shares(value, scale)


def texts(side: Side, columns: Sequence[str]) -> list[str | None]:
    """The values of *columns* as they are written; None where one is unknown."""
    values = (side.values[name] for name in columns)
    return [
        None if value is None else COLUMNS[name].text(value)
        for name, value in zip(columns, values, strict=True)
    ]


def leg_table(ladder: Ladder, columns: Sequence[str]) -> pa.Table:
    """A row for each leg that is shown, with the exact numbers of *columns*."""
    rows = [
        {"strike": row.strike, "option_type": kind, **{name: side.values[name] for name in columns}}
        for row in ladder.rows
        for kind, side in ((OptionType.CALL.value, row.call), (OptionType.PUT.value, row.put))
        if side is not None
    ]
    numbers = [(name, pa.float64()) for name in columns]
    schema = pa.schema([("strike", pa.float64()), ("option_type", pa.string()), *numbers])
    return pa.Table.from_pylist(rows, schema)
