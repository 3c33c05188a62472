"""The lines above a chain: where it is from, how old, how complete, and whether it has expired."""

from datetime import datetime

import streamlit as st

from data_fetch.core.clock import IST
from data_fetch.dashboard.chain_answers import compared
from data_fetch.dashboard.chain_line import completeness
from data_fetch.dashboard.chain_request import origin_text
from data_fetch.dashboard.chain_view import baseline_text
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.ladder import unit_shown
from data_fetch.dashboard.numbers import age_text, day_and_time
from data_fetch.dashboard.page import note_age, sentence
from data_fetch.reading.chain_metrics import PREVIOUS_CLOSE, ChainMetrics, NoBaseline
from data_fetch.reading.chain_records import ChainHead
from data_fetch.reading.records import clock_of


def usable_baseline(head: ChainHead, wanted: str) -> str:
    """*wanted*, or after a sentence the previous close, where there is no snapshot of *wanted*."""
    try:
        compared(head, wanted)
    except NoBaseline as problem:
        st.warning(f"{sentence(problem)} Changes are shown since the previous close.")
        return PREVIOUS_CLOSE
    return wanted


def note_chain(head: ChainHead, found: ChainMetrics, at: datetime | None) -> None:
    """Write the lines for the chain of *head* as of *at* (None: now)."""
    shown, summary = head.shown, found.snapshot.summary
    seen = at or desk().ask(clock_of).now()
    age = max(0.0, (seen - shown.last_confirmed).total_seconds())
    note_age(
        origin_text(head),
        day_and_time(shown.last_confirmed),
        f"{age_text(age)} old",
        completeness(summary, shown.rejected),
        f"quantities in {unit_shown(summary.priced.chain, shown.lot_size)}",
        f"changes since {baseline_text(found.baseline)}",
    )
    if shown.expiry < seen.astimezone(IST).date():
        st.info(
            f"{shown.underlying} {shown.expiry:%d %b %Y} has expired: this is its last snapshot. "
            "Choose another expiry above."
        )
