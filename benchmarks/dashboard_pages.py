"""What each page of the dashboard cannot do without: its questions, and the plainest charts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import plotly.graph_objects as go

from benchmarks.dashboard_store import EXPIRIES, FIRST, LAST, SHOWN_STOCK
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.chains.chains import OptionType
from data_fetch.core.settings import Settings
from data_fetch.dashboard.chain_answers import DAY_FIGURES
from data_fetch.reading.archive_status import archive_status
from data_fetch.reading.candle_views import candle_view
from data_fetch.reading.chain_metrics import PREVIOUS_CLOSE, ChainMetrics, chain_metrics
from data_fetch.reading.chain_records import ChainQuery, chain_head, running_chains
from data_fetch.reading.chain_series import chain_history
from data_fetch.reading.chain_surfaces import stored_surface
from data_fetch.reading.collector_facts import provider_figures
from data_fetch.reading.coverage_days import DayRange, coverage_grid, ledger_head
from data_fetch.reading.freshness_classes import freshness_by_class
from data_fetch.reading.job_figures import collector_state
from data_fetch.reading.last_errors import last_errors
from data_fetch.reading.log_lines import log_lines
from data_fetch.reading.market_day import market_day
from data_fetch.reading.records import clock_of, listed_symbols
from data_fetch.reading.run_records import last_runs
from data_fetch.reading.setup_checks import local_checks
from data_fetch.reading.store_growth import store_growth
from data_fetch.reading.store_source import store_source
from data_fetch.reading.underlyings import products
from data_fetch.reading.volatility_days import volatility_days

# Of 2,000 bars at most; the range is of five days of minutes.
CANDLES_FROM = LAST - timedelta(days=6)
CANDLES = ("open", "high", "low", "close")
COUNTS = ("present", "missed", "pending", "no_trade", "source_empty", "unknown_instrument")
PLAIN = orjson.OPT_NON_STR_KEYS
YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPage:
    """A page by its *name* and *address*: *bare* asks its questions and makes its plainest charts;
    no more than *opened* kilobytes are sent for it, and *refreshed* for a refresh."""

    name: str
    address: str
    bare: Callable[[Settings], object]
    opened: float | None = None
    refreshed: float | None = None


def today(settings: Settings) -> object:
    day = market_day(settings)
    answers = store_source, freshness_by_class, provider_figures, last_errors
    rows = [answer(settings) for answer in answers]
    slots = [(each.slot, each.state, each.stored, each.lag) for each in day.slots]
    return orjson.dumps((slots, rows), default=str, option=PLAIN)


def coverage(settings: Settings) -> object:
    of = DayRange(first=FIRST, last=LAST)
    clock_of(settings).now()
    ledger_head(settings, of)
    grid = coverage_grid(settings, of)
    cells = [
        [[getattr(day.counts, name) for name in COUNTS] for day in row.days] for row in grid.rows
    ]
    return orjson.dumps(([row.instrument.symbol for row in grid.rows], cells))


def option_chain(settings: Settings) -> object:
    """Its figures and legs as they are."""
    found = _chain(settings)
    summary = found.snapshot.summary
    legs = zip(summary.priced.chain.legs, summary.priced.numbers, found.moved, strict=True)
    rows = [
        (leg.strike, *leg[1:], numbers.iv, numbers.delta, moved.oi_change)
        for leg, numbers, moved in legs
    ]
    return orjson.dumps((rows, list(summary.metrics.values())), default=str)


def over_the_day(settings: Settings) -> object:
    _chain(settings)
    table = chain_history("NIFTY", EXPIRIES[0], LAST, LAST, columns=DAY_FIGURES, settings=settings)
    of = table.table
    return [
        _lines(of["at"].to_pylist(), *(of[name].to_pylist() for name in pair))
        for pair in (DAY_FIGURES[:2], DAY_FIGURES[2:])
    ]


def open_interest(settings: Settings) -> object:
    found = _chain(settings)
    legs = found.snapshot.chain.legs
    sides = [[leg for leg in legs if leg.option_type is side] for side in OptionType]
    strikes = [float(leg.strike) for leg in sides[0]]
    bars = [[leg.oi for leg in side] for side in sides]
    return [go.Figure([go.Bar(x=strikes, y=each) for each in bars]).to_json() for _ in range(4)]


def volatility(settings: Settings) -> object:
    _chain(settings)
    surface = stored_surface(settings, "NIFTY", None, None).surface
    volatility_days(settings, "NIFTY", LAST - YEAR, LAST - timedelta(days=1))
    smiles = [list(each.ivs) for each in surface.smiles]
    lines = [go.Scatter(x=each.strikes, y=each.ivs) for each in surface.smiles]
    return [go.Figure(each).to_json() for each in (lines, lines[:1], go.Surface(z=smiles))]


def candles(settings: Settings) -> object:
    of = DayRange(symbols=(SHOWN_STOCK,), first=CANDLES_FROM, last=LAST)
    listed_symbols(settings)
    clock_of(settings).now()
    ledger_head(settings, of)
    table = candle_view(settings, SHOWN_STOCK, CANDLES_FROM, LAST, Interval.MINUTE).table
    times = table["timestamp"].to_numpy()
    return go.Figure(
        [
            go.Candlestick(x=times, **{name: table[name].to_numpy() for name in CANDLES}),
            go.Bar(x=times, y=table["volume"].to_numpy(), yaxis="y2"),
            go.Scatter(x=times, y=table["oi"].to_numpy(), yaxis="y3"),
        ]
    ).to_json()


def system(settings: Settings) -> object:
    growth = store_growth(settings)
    chart = go.Figure(go.Bar(x=[each.day for each in growth.days])).to_json()
    answers = store_source, collector_state, archive_status
    rows = [answer(settings) for answer in answers]
    checks = list(local_checks(settings))
    runs = last_runs(settings, None, 50)
    lines = log_lines(settings, least="warning", limit=100)
    return chart, orjson.dumps((rows, checks, runs, lines), default=str, option=PLAIN)


def _chain(settings: Settings) -> ChainMetrics:
    """What both pages of a chain ask."""
    clock_of(settings).now()
    products(settings, None)
    running_chains(settings, "NIFTY", None)
    shown = chain_head(settings, ChainQuery(symbol="NIFTY", expiry=EXPIRIES[0])).shown
    underlying, expiry, received, source = shown.key
    return chain_metrics(settings, underlying, expiry, received, source, PREVIOUS_CLOSE)


def _lines(times: list[Any], *columns: list[Any]) -> str:
    drawn: str = go.Figure([go.Scatter(x=times, y=each) for each in columns]).to_json()
    return drawn


def _address(page: str, of: Mapping[str, str]) -> str:
    return f"{page}?{'&'.join(f'{name}={value}' for name, value in of.items())}"


NIFTY = {"symbol": "NIFTY"}
PAGES = (
    MeasuredPage(name="Today", address="", bare=today),
    MeasuredPage(
        name="Coverage",
        address=_address("coverage", {"days": "90", "until": f"{LAST}"}),
        bare=coverage,
        opened=50,
    ),
    MeasuredPage(
        name="Option chain",
        address=_address("option-chain", {**NIFTY, "strikes": "all"}),
        bare=option_chain,
        refreshed=60,
    ),
    *(
        MeasuredPage(
            name=f"Analytics, {charts.lower()}",
            address=_address("analytics", {**NIFTY, "charts": charts.replace(" ", "%20")}),
            bare=bare,
        )
        for charts, bare in (
            ("Over the day", over_the_day),
            ("Open interest", open_interest),
            ("Volatility", volatility),
        )
    ),
    MeasuredPage(
        name="Candles",
        address=_address(
            "candles", {"symbol": SHOWN_STOCK, "from": f"{CANDLES_FROM}", "to": f"{LAST}"}
        ),
        bare=candles,
        opened=300,
    ),
    MeasuredPage(name="System", address="system", bare=system),
)
