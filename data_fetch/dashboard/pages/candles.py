"""Candles: the chart of one instrument, with every bar that is missing."""

from datetime import date, timedelta
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from data_fetch.core.candles.intervals import Interval
from data_fetch.core.clock import IST
from data_fetch.core.feed.live_prices import FeedCandle
from data_fetch.dashboard.candle_chart import candle_figure
from data_fetch.dashboard.coverage_texts import completeness_text
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.ledger_heads import A_MOMENT, head_of_ledger
from data_fetch.dashboard.minute_line import minute_line
from data_fetch.dashboard.numbers import day_and_time, grouped
from data_fetch.dashboard.page import asked_date, live, note_age
from data_fetch.dashboard.share_bar import share_bar
from data_fetch.reading.candle_ranges import unit_of
from data_fetch.reading.candle_views import MOST_BARS, CandleView, candle_view
from data_fetch.reading.coverage_days import DayRange, LedgerHead
from data_fetch.reading.live_prices import live_minutes
from data_fetch.reading.records import clock_of, listed_symbols
from data_fetch.reading.running_minutes import running_minutes

INTERVALS = {
    Interval.MINUTE: "1 minute",
    Interval.FIVE_MINUTES: "5 minutes",
    Interval.FIFTEEN_MINUTES: "15 minutes",
    Interval.HOUR: "60 minutes",
    Interval.DAY: "1 day",
}
# A week, with its weekend.
USUAL_DAYS = timedelta(days=7)
EVERY_SECONDS = 15.0
# A collector stores what its feed has as often.
LIVE_SECONDS = 5.0
TICK_SECONDS = 1.0


def show() -> None:
    st.title("Candles")
    symbol, interval, first, last = _asked()
    every = EVERY_SECONDS
    if interval is Interval.MINUTE and last == _today() and desk().settings.has_feed:
        live(partial(_minute, symbol), TICK_SECONDS)
        every = LIVE_SECONDS
    live(partial(_chart, symbol, interval, first, last), every)


def _today() -> date:
    return desk().ask(clock_of).now().astimezone(IST).date()


def _asked() -> tuple[str, Interval, date, date]:
    """What the controls say, at first by the query parameters."""
    asked = st.query_params
    names = list(desk().ask(listed_symbols))
    wanted = asked.get("symbol") or names[0]
    if wanted not in names:
        names.append(wanted)
    of, by, since, until = st.columns([2, 1, 1, 1])
    symbol = of.selectbox("Symbol", names, names.index(wanted), accept_new_options=True)
    intervals = list(INTERVALS)
    known = [each for each in intervals if each.value == asked.get("interval")]
    interval = by.selectbox(
        "Interval",
        intervals,
        intervals.index(known[0]) if known else 0,
        format_func=lambda each: INTERVALS[each],
    )
    today = _today()
    last = until.date_input("To", min(asked_date("to") or today, today), max_value=today)
    first = since.date_input(
        "From", min(asked_date("from") or last - USUAL_DAYS, last), max_value=last
    )
    asked.update(
        {
            "symbol": symbol,
            "interval": interval.value,
            "from": first.isoformat(),
            "to": last.isoformat(),
        }
    )
    return symbol, interval, first, last


def _minute(symbol: str) -> None:
    minute = desk().recent(running_minutes, TICK_SECONDS).get(symbol.upper())
    line = minute_line(minute, desk().ask(clock_of).now())
    if line is not None:
        st.caption(line)


def _chart(symbol: str, interval: Interval, first: date, last: date) -> None:
    of = DayRange(symbols=(symbol,), interval=interval.stored, first=first, last=last)
    head = head_of_ledger(of)
    view = _viewed(symbol, interval, first, last, head)
    feed = _feed_minutes(symbol) if view.interval is Interval.MINUTE and last == _today() else ()
    figure = _drawn(symbol, interval, first, last, head, feed, view)
    unit = unit_of(view.interval)
    note_age(
        f"store, {desk().settings.world} world",
        day_and_time(view.now),
        f"newest candle {day_and_time(view.newest)}",
        completeness_text(view.counts, unit),
    )
    if view.too_many:
        st.info(
            f"This range has {grouped(view.too_many)} bars of {INTERVALS[interval]}, more than the "
            f"{grouped(MOST_BARS)} of a view: it shows bars of {INTERVALS[view.interval]}. "
            "For narrower ones choose fewer days."
        )
    if not len(view.table) and not view.blanks:
        st.info(f"{view.symbol} does not trade from {first} to {last}. Choose other days.")
        return
    st.plotly_chart(figure, key="candles", config={"scrollZoom": True, "displaylogo": False})
    st.html(share_bar(view.counts, unit))
    offer("Candles", f"{view.symbol}-{view.interval}-{view.first}-{view.last}", lambda: view.table)


@st.cache_resource(max_entries=50, show_spinner=False)
def _viewed(
    symbol: str, interval: Interval, first: date, last: date, head: LedgerHead
) -> CandleView:
    """The answer of that head, shared by all sessions."""
    return desk().ask(lambda settings: candle_view(settings, symbol, first, last, interval))


@st.cache_resource(ttl=A_MOMENT, max_entries=50, show_spinner=False)
def _feed_minutes(symbol: str) -> tuple[FeedCandle, ...]:
    """The minutes of today that only the feed has."""
    return tuple(desk().ask(lambda settings: live_minutes(settings, symbol)).candles)


@st.cache_resource(max_entries=50, show_spinner=False)
def _drawn(
    symbol: str,
    interval: Interval,
    first: date,
    last: date,
    head: LedgerHead,
    feed: tuple[FeedCandle, ...],
    _view: CandleView,
) -> go.Figure:
    """The figure of that view with the minutes of the *feed*."""
    return candle_figure(_view, feed)
