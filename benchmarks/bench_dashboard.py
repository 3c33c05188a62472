"""Pages of the dashboard: 214 instruments by 60 trading days, and a view of 2,000 candles.

The bare side of a page is what it asks of `reading`, with the plainest figure of the same bars.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import orjson
import plotly.graph_objects as go

from benchmarks.bench_coverage import CAME_FROM, NOW, block_of, ledger_days, question
from benchmarks.bench_questions import listed_share
from benchmarks.figure import Figure, interleaved, seconds
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.dashboard.candle_chart import candle_figure
from data_fetch.dashboard.cell_grid import document, month_heads
from data_fetch.dashboard.cells import day_cells
from data_fetch.reading.candle_views import CandleView, candle_view
from data_fetch.reading.coverage_days import DayRange, coverage_grid, ledger_head
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.storage.candles.candles import begin_candle_writing, insert_candles
from data_fetch.storage.candles.coverage import save_days
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

INSTRUMENTS, ROUNDS = 214, 7
COLUMNS = ("timestamp", "open", "high", "low", "close", "volume", "oi")
FIRST, LAST = date(2025, 5, 5), date(2025, 7, 29)
# Of 2,000 bars at most; the range is of five days of minutes.
CANDLES_FROM = date(2025, 7, 23)


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        url = f"sqlite:///{place / 'store.db'}"
        with closing(open_store(url, World.LIVE)) as store:
            symbols = _fill(store)
        (place / "nse_fo_stock_symbols.txt").write_text("\n".join(symbols))
        settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": url}, place)
        kept = KeptOpen()
        with closing(kept), sharing(kept):
            yield from _coverage(settings)
            yield from _candles(settings)


def _coverage(settings: Settings) -> Iterator[Figure]:
    of = DayRange(first=FIRST, last=LAST)

    def page() -> bytes:
        cells = day_cells(coverage_grid(settings, of))
        drawn = document(cells, month_heads(cells.columns), "Coverage", None)
        return orjson.dumps(drawn)

    mine, theirs, ratio = interleaved(page, lambda: coverage_grid(settings, of), ROUNDS)
    detail = f"{mine * 1000:.0f} ms, the grid alone {theirs * 1000:.0f} ms"
    yield Figure("dashboard: coverage", ratio, "x reading", 2, detail)
    yield Figure("dashboard: coverage, sent", len(page()) / 1000, "kB", 50)
    head = seconds(lambda: ledger_head(settings, of)) * 1000
    yield Figure("dashboard: coverage, head", head, "ms", detail="a refresh without a change")


def _candles(settings: Settings) -> Iterator[Figure]:
    def read() -> CandleView:
        return candle_view(settings, "S0", CANDLES_FROM, LAST, Interval.MINUTE)

    def page() -> str:
        drawn: str = candle_figure(read()).to_json()
        return drawn

    mine, theirs, ratio = interleaved(page, lambda: _bare(read()), ROUNDS)
    bars = len(read().table)
    detail = f"{bars} bars, {mine * 1000:.0f} ms, bare {theirs * 1000:.0f} ms"
    yield Figure("dashboard: candles", ratio, "x reading and bare figure", 2, detail)
    yield Figure("dashboard: candles, sent", len(page()) / 1000, "kB", 300)


def _bare(view: CandleView) -> str:
    """The plainest figure with all columns."""
    of = {name: view.table[name].to_numpy() for name in COLUMNS}
    prices = {name: of[name] for name in ("open", "high", "low", "close")}
    figure = go.Figure(
        [
            go.Candlestick(x=of["timestamp"], **prices),
            go.Bar(x=of["timestamp"], y=of["volume"], yaxis="y2"),
            go.Scatter(x=of["timestamp"], y=of["oi"], yaxis="y3"),
        ]
    )
    drawn: str = figure.to_json()
    return drawn


def _fill(store: Store) -> list[str]:
    """The ledger of all instruments, and the candles of the first; returns the symbols."""
    of = [listed_share(number) for number in range(INSTRUMENTS)]
    save_master(store, iter(of), FIRST, NOW)
    asked = replace(question(of), first=FIRST, last=LAST)
    with store.writing() as connection:
        begin_candle_writing(connection)
        for one, days in zip(of, ledger_days(asked), strict=True):
            save_days(connection, days, CAME_FROM.run_id, NOW)
            if one is of[0]:
                starts = [
                    minute
                    for day in days
                    for first, end in day.spans(State.PRESENT)
                    for minute in range(first, end)
                ]
                insert_candles(connection, [block_of(one, starts)], CAME_FROM)
    return [one.symbol for one in of]
