"""The widgets that choose a chain: symbol, expiry, instant, and what changes are measured from.

The address is read when a page is opened; from then on the widgets are what counts.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import TypeVar

import streamlit as st

from data_fetch.core.clock import IST, MINUTE
from data_fetch.dashboard.chain_answers import not_stored, running, symbols
from data_fetch.dashboard.chain_view import BASELINES, ChainView, days_left, expiries_offered
from data_fetch.dashboard.desk import desk
from data_fetch.reading.chain_metrics import PREVIOUS_CLOSE
from data_fetch.reading.instants import exact_text, instant
from data_fetch.reading.records import clock_of

OPENS, CLOSES = time(9, 0), time(15, 45)
USUAL_SYMBOL = "NIFTY"
AN_INSTANT = "an instant"
NOT_STORED = "not stored"
CONTROL_WIDTH = 320

Option = TypeVar("Option")


def settle(key: str, options: Sequence[Option], *wanted: Option | None) -> None:
    """Let the widget *key* have one of *options*: its own, else the first of *wanted* that is
    one, else the first."""
    if st.session_state.get(key) not in options:
        of = (each for each in wanted if each is not None and each in options)
        st.session_state[key] = next(of, options[0])


def choose_chain(asked: ChainView) -> ChainView | None:
    """The view as the widgets have it, which begin as *asked*; None in a store without chains.

    Raises UnknownSymbol, NothingStored, StoreUnreachable.
    """
    of_symbol, of_time, of_baseline = st.columns([2, 3, 3], vertical_alignment="bottom")
    with of_symbol:
        symbol = _symbol(asked)
    if symbol is None:
        return None
    with of_time:
        at = _instant(asked, symbol)
    with of_baseline:
        baseline = _baseline(asked, symbol, at)
    expiry = _expiry(asked, symbol, at)
    return replace(asked, symbol=symbol, at=at, baseline=baseline, expiry=expiry)


def _symbol(asked: ChainView) -> str | None:
    known = symbols(None)
    options = [*known, *([asked.symbol] if asked.symbol and asked.symbol not in known else [])]
    if not options:
        return None
    settle("symbol", options, asked.symbol, USUAL_SYMBOL)
    return st.selectbox("Symbol", options, key="symbol")


def _instant(asked: ChainView, symbol: str) -> datetime | None:
    st.session_state.setdefault("live", asked.at is None)
    if st.toggle("Live", key="live", help="Off: the chain as of any past instant."):
        return None
    return _past_instant("at", "As of", asked.at or _newest(symbol))


def _baseline(asked: ChainView, symbol: str, at: datetime | None) -> str:
    options = [*BASELINES, AN_INSTANT]
    wanted = asked.baseline if asked.baseline in BASELINES else AN_INSTANT
    settle("baseline", options, wanted, PREVIOUS_CLOSE)
    chosen = st.selectbox(
        "Changes since", options, key="baseline", format_func=lambda one: BASELINES.get(one, one)
    )
    if chosen != AN_INSTANT:
        return chosen
    newest = at or _newest(symbol)
    since = instant(asked.baseline) if wanted == AN_INSTANT else None
    before = _past_instant("since", "Compared with", since or newest - 15 * MINUTE)
    return exact_text(before) or PREVIOUS_CLOSE


def _newest(symbol: str) -> datetime:
    """When a chain of *symbol* was received last; now without any."""
    heads = running(symbol, None)
    known = [head.shown.last_confirmed for head in heads]
    return max(known, default=desk().ask(clock_of).now())


def _past_instant(key: str, label: str, first: datetime) -> datetime:
    """An instant within trading hours by a date and a slider, *first* to begin with."""
    begin = first.astimezone(IST)
    st.session_state.setdefault(f"{key}-day", begin.date())
    st.session_state.setdefault(f"{key}-time", min(max(begin.time(), OPENS), CLOSES))
    of_day, of_time = st.columns([2, 3])
    day = of_day.date_input(f"{label}, day", key=f"{key}-day", format="DD/MM/YYYY")
    at = of_time.slider(
        f"{label}, IST", OPENS, CLOSES, step=MINUTE, format="HH:mm", key=f"{key}-time"
    )
    return datetime.combine(day, at, IST).astimezone(UTC)


def _expiry(asked: ChainView, symbol: str, at: datetime | None) -> date | None:
    wanted = asked.expiry if asked.symbol == symbol else None
    days = [head.shown.expiry for head in running(symbol, at)]
    lacking = not_stored(symbol) if at is None else []
    offered = expiries_offered(days, None if wanted in lacking else wanted)
    today = (at or desk().ask(clock_of).now()).astimezone(IST).date()
    if offered:
        _leave_not_stored(lacking)
        options: list[date | str] = [*offered, *([NOT_STORED] if lacking else [])]
        settle("expiry", options, NOT_STORED if wanted in lacking else wanted, *days)
        chosen = st.segmented_control(
            "Expiry",
            options,
            key="expiry",
            required=True,
            format_func=lambda one: one if isinstance(one, str) else days_left(one, today),
        )
        if isinstance(chosen, date):
            return chosen
    if not lacking:
        return None
    settle("lacking", lacking, wanted)
    return st.selectbox(
        "Expiry, not stored",
        lacking,
        key="lacking",
        format_func=lambda day: days_left(day, today),
        width=CONTROL_WIDTH,
    )


def _leave_not_stored(lacking: Sequence[date]) -> None:
    """Choose the expiry itself that was among those not stored, and no longer is: its chain has
    arrived, or it is one of another symbol."""
    state = st.session_state
    chosen = state.get("lacking")
    if state.get("expiry") == NOT_STORED and chosen is not None and chosen not in lacking:
        state["expiry"] = chosen
