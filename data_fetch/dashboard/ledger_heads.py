"""When the coverage ledger changed last, found out for all sessions of the dashboard at once."""

from datetime import timedelta

import streamlit as st

from data_fetch.dashboard.desk import desk
from data_fetch.reading.coverage_days import DayRange, LedgerHead, ledger_head

# Sessions that refresh at about the same time get the same heads.
A_MOMENT, KEPT = timedelta(seconds=1), 64


@st.cache_resource(ttl=A_MOMENT, max_entries=KEPT, show_spinner=False)
def head_of_ledger(of: DayRange) -> LedgerHead:
    """The head of the ledger of these days. Raises as `ledger_head` does."""
    return desk().ask(lambda settings: ledger_head(settings, of))
