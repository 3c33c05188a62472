"""The line of figures above a ladder: PCR, max pain, straddle, and what they were before."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from data_fetch.core.chains.valuation import ChainSummary, Metric
from data_fetch.dashboard.ladder import UNKNOWN_METRIC, signed
from data_fetch.dashboard.numbers import UNKNOWN, grouped
from data_fetch.dashboard.reasons import NOT_SENT, in_words


def two_digits(value: float) -> str:
    return grouped(value, 2)


def strike_text(value: float) -> str:
    """A strike in full, with paise only where it has some."""
    return grouped(value, 0 if value == int(value) else 2)


def percent_sign(value: float) -> str:
    """A fraction in percent."""
    return f"{value * 100:.2f} %"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure by its *name* in the summary; its *title*, its *meaning*, how it is written."""

    name: str
    title: str
    meaning: str
    text: Callable[[float], str]


FIGURES = (
    Figure("spot", "Spot", "price of the underlying", two_digits),
    Figure(
        "forward", "Forward", "price for delivery at the expiry, from calls and puts", two_digits
    ),
    Figure("atm_strike", "ATM strike", "strike nearest to the forward", strike_text),
    Figure("atm_iv", "ATM IV", "implied volatility at the forward", percent_sign),
    Figure("straddle", "Straddle", "call and put at the ATM strike, rupees", two_digits),
    Figure("pcr_oi", "PCR", "open interest of puts for one of calls", two_digits),
    Figure("pcr_volume", "PCR volume", "volume of puts for one of calls", two_digits),
    Figure("max_pain", "Max pain", "close at which writers pay least", strike_text),
    Figure("resistance", "Resistance", "most open interest of calls", strike_text),
    Figure("support", "Support", "most open interest of puts", strike_text),
)
STYLE = """<style>
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.2rem,1fr));gap:.2rem .6rem;
 margin:0;padding:0!important;font-variant-numeric:tabular-nums}
.figures div{cursor:help;min-height:3.4rem}
.figures dt{font-size:.72rem;opacity:.7}
.figures dd{margin:0;font-size:1rem;font-weight:600;white-space:nowrap}
.figures small{display:block;font-size:.68rem;font-weight:400;opacity:.8}
</style>"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as it is shown: its *change* since the baseline is None without one."""

    title: str
    text: str
    change: str | None
    hover: str


def shown_figures(now: ChainSummary, before: ChainSummary | None) -> list[Shown]:
    """The figures of a chain, with their changes since *before*."""
    return [_shown(each, now, before) for each in FIGURES]


def figures_html(figures: Sequence[Shown]) -> str:
    """The figures side by side."""
    cells = (
        f'<div title="{escape(each.hover)}"><dt>{escape(each.title)}<dd>{escape(each.text)}'
        f"<small>{escape(each.change or '')}</small></div>"
        for each in figures
    )
    return f"<dl class=figures>{''.join(cells)}</dl>"


def _shown(figure: Figure, now: ChainSummary, before: ChainSummary | None) -> Shown:
    metric = _metric(now, figure.name)
    earlier = None if before is None else _metric(before, figure.name).value
    value = metric.value
    if value is None:
        why = NOT_SENT if figure.name == "spot" else in_words(metric.reason)
        return Shown(figure.title, UNKNOWN, None, f"{figure.meaning}: unknown, because {why}")
    change = None if earlier is None else signed(figure.text, value - earlier)
    return Shown(figure.title, figure.text(value), change, figure.meaning)


def _metric(summary: ChainSummary, name: str) -> Metric:
    priced = summary.priced
    if name == "spot":
        return Metric(value=priced.chain.spot, used=1, of=1)
    if name == "forward":
        return Metric(value=priced.forward.value, used=1, of=1, reason=priced.obstacle)
    return summary.metrics.get(name, UNKNOWN_METRIC)


def completeness(summary: ChainSummary, rejected: int) -> str:
    """How many legs are priced, why the others are not, and how many were unusable."""
    numbers = summary.priced.numbers
    lost = Counter(in_words(each.reason) for each in numbers if each.iv is None)
    priced = f"{len(numbers) - lost.total()} of {len(numbers)} legs priced"
    reasons = ", ".join(f"{count}: {words}" for words, count in lost.most_common())
    unusable = f"; the source sent {rejected} unusable" if rejected else ""
    return f"{priced}{f' ({reasons})' if reasons else ''}{unusable}"
