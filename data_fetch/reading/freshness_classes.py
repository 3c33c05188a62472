"""Freshness by class of data: quotes of indices, quotes of stocks, option chains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_fetch.core.feed.tick_ages import LastTick, TickAges, tick_ages
from data_fetch.core.freshness import USUAL, Freshness, count_states
from data_fetch.core.settings import Settings
from data_fetch.reading.freshness_report import freshness_report

INDEX_QUOTES, STOCK_QUOTES, CHAINS = "index quotes", "stock quotes", "option chains"
INDEX_SEGMENT = "NSE_INDEX"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFreshness:
    """How many symbols of the class *name* are in each state, their *newest* datum (received), and
    the symbols that are neither fresh nor out of trading hours. *ticks* are the ages of those of a
    running feed."""

    name: str
    counts: Mapping[str, int]
    newest: datetime | None
    notable: Sequence[str]
    ticks: TickAges


@dataclass(frozen=True, slots=True)
class _Judged:
    symbol: str
    state: Freshness
    newest: datetime | None
    tick: LastTick


def freshness_by_class(settings: Settings) -> list[ClassFreshness]:
    """The classes of which something is expected now. Raises as `freshness_report` does."""
    report = freshness_report(settings)
    indices = {each.symbol for each in report.listed if each.segment == INDEX_SEGMENT}
    quotes = [
        _Judged(each.symbol, each.state, each.last_quote, report.quotes.tick(each.symbol))
        for each in report.quotes.judgements
    ]
    chains = [
        _Judged(
            each.symbol,
            each.state,
            each.last.received_at if each.last else None,
            report.chains.tick(each.symbol),
        )
        for each in report.chains.judgements
    ]
    classes = {
        INDEX_QUOTES: [each for each in quotes if each.symbol in indices],
        STOCK_QUOTES: [each for each in quotes if each.symbol not in indices],
        CHAINS: chains,
    }
    return [_class(name, judged) for name, judged in classes.items() if judged]


def _class(name: str, judged: Sequence[_Judged]) -> ClassFreshness:
    return ClassFreshness(
        name=name,
        counts=count_states(each.state for each in judged),
        newest=max((each.newest for each in judged if each.newest), default=None),
        notable=[each.symbol for each in judged if each.state not in USUAL],
        ticks=tick_ages({each.symbol: each.tick for each in judged}),
    )
