"""The ladder of an expiry for a screen: calls to the left, puts to the right."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from data_fetch.cli.shared.output import counted, print_out
from data_fetch.core.chains.chains import Chain, ChainLeg, OptionType, QuantityUnit, in_shares
from data_fetch.core.chains.valuation import ChainSummary, LegValuation, Metric
from data_fetch.core.clock import IST
from data_fetch.reading.documents import SnapshotHead

AROUND = 12
# The table is wide enough for any chain: a terminal may wrap lines, but no cell is cut off.
LADDER_WIDTH = 160
# The columns of one side, from the outside to the strike.
HEADINGS = ("OI", "ΔOI", "volume", "delta", "IV %", "last")

Row = tuple[ChainLeg, LegValuation]


def print_ladder(
    summary: ChainSummary,
    lot_size: int | None,
    around: int | None = AROUND,
    remarks: Sequence[str] = (),
) -> None:
    """Print the strikes *around* the money (None: all), *remarks* under the heading."""
    for line in (heading(summary), *remarks):
        print_out(line)
    console = Console(width=LADDER_WIDTH, highlight=False)
    console.print(_table(summary, lot_size, around))
    for line in footing(summary, lot_size):
        print_out(line)


def heading(summary: ChainSummary) -> str:
    """Underlying and expiry, with spot, forward and time to expiry."""
    priced, chain = summary.priced, summary.priced.chain
    parts = [f"{chain.underlying} {chain.expiry:%d %b %Y}"]
    if chain.spot is not None:
        parts.append(f"spot {chain.spot:,.2f}")
    if priced.forward.value is not None:
        method = str(priced.forward.method).replace("_", " ")
        over = f" over {priced.forward.strikes} strikes" if priced.forward.strikes else ""
        parts.append(f"forward {priced.forward.value:,.2f} ({method}{over})")
    if priced.years is not None:
        parts.append(f"{max(priced.years, 0) * 365:.2f} days to go")
    if priced.provisional:
        parts.append("expiry not in the reviewed calendar")
    return ", ".join(parts)


def footing(summary: ChainSummary, lot_size: int | None) -> list[str]:
    """The figures, the age of the prices, and how many legs have no number."""
    priced = summary.priced
    figures = [
        _figure(summary, name, shown, decimals)
        for name, shown, decimals in (
            ("pcr_oi", "PCR by OI", 2),
            ("pcr_volume", "by volume", 2),
            ("max_pain", "max pain", 0),
            ("atm_iv", "ATM IV", 2),
            ("straddle", "straddle", 2),
            ("support", "support", 0),
            ("resistance", "resistance", 0),
        )
    ]
    unit = "shares"
    if priced.chain.unit is QuantityUnit.CONTRACTS and lot_size is None:
        unit = "contracts (the lot of that date is not known)"
    return [", ".join(figures), f"Quantities in {unit}. {_priced_line(summary)}"]


def _figure(summary: ChainSummary, name: str, shown: str, decimals: int) -> str:
    metric = summary.metrics.get(name, Metric(value=None, used=0, of=0))
    if metric.value is None:
        return f"{shown} - ({metric.reason})"
    value, unit = (metric.value * 100, " %") if name == "atm_iv" else (metric.value, "")
    return f"{shown} {value:,.{decimals}f}{unit}"


def _priced_line(summary: ChainSummary) -> str:
    numbers = summary.priced.numbers
    solved = sum(each.iv is not None for each in numbers)
    why: dict[str, int] = {}
    for each in numbers:
        if each.reason is not None:
            why[each.reason] = why.get(each.reason, 0) + 1
    rest = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
    age = "" if summary.age_seconds is None else f"; prices {_age(summary.age_seconds)} old"
    return f"{solved} of {len(numbers)} legs priced{f' ({rest})' if rest else ''}{age}."


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _table(summary: ChainSummary, lot_size: int | None, around: int | None) -> Table:
    priced = summary.priced
    rows = {leg.key: (leg, n) for leg, n in zip(priced.chain.legs, priced.numbers, strict=True)}
    strikes = sorted({leg.strike for leg in priced.chain.legs})
    money = priced.forward.value or priced.chain.spot or float(strikes[len(strikes) // 2])
    at_money = min(strikes, key=lambda strike: abs(float(strike) - money))
    if around is not None:
        middle = strikes.index(at_money)
        strikes = strikes[max(0, middle - around) : middle + around + 1]
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in (*HEADINGS, "strike", *reversed(HEADINGS)):
        table.add_column(name, justify="right", no_wrap=True)
    for strike in strikes:
        call, put = (
            _side(priced.chain, rows.get((strike, side)), lot_size)
            for side in (OptionType.CALL, OptionType.PUT)
        )
        mark = "*" if strike == at_money else ""
        table.add_row(*call, f"{mark}{_strike(strike)}", *reversed(put))
    return table


def _side(chain: Chain, row: Row | None, lot_size: int | None) -> list[str]:
    if row is None:
        return [""] * len(HEADINGS)
    leg, numbers = row
    change = None if leg.oi is None or leg.prev_oi is None else leg.oi - leg.prev_oi
    iv = "-" if numbers.iv is None else f"{numbers.iv * 100:.2f}"
    return [
        *(_quantity(chain, value, lot_size) for value in (leg.oi, change, leg.volume)),
        _decimal(numbers.delta),
        iv,
        _decimal(leg.ltp),
    ]


def _quantity(chain: Chain, value: float | None, lot_size: int | None) -> str:
    if chain.unit is QuantityUnit.CONTRACTS and lot_size is not None:
        value = in_shares(value, lot_size)
    if value is None:
        return "-"
    for size, letter in ((1e7, "Cr"), (1e5, "L"), (1e3, "k")):
        if abs(value) >= 10 * size or (letter != "k" and abs(value) >= size):
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _strike(strike: Decimal) -> str:
    return f"{strike.normalize():f}"


def as_of_line(head: SnapshotHead) -> str:
    """When and from which source a snapshot was received, and until when it was unchanged."""
    first = f"{head.timestamp.astimezone(IST):%d %b %Y %H:%M:%S} IST from {head.source}"
    if head.confirmations == 1:
        return f"Received {first}, once."
    return (
        f"First received {first}, unchanged in {counted(head.confirmations, 'receipt')} "
        f"until {head.last_confirmed.astimezone(IST):%H:%M:%S}."
    )
