"""Today: what is collected now, and what is missing."""

import streamlit as st

from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.numbers import grouped
from data_fetch.dashboard.page import live, note_age, note_empty
from data_fetch.reading.instants import ist_text
from data_fetch.reading.records import clock_of
from data_fetch.reading.status import store_status

EVERY_SECONDS = 5.0


def show() -> None:
    st.title("Today")
    live(_facts, EVERY_SECONDS)


def _facts() -> None:
    status = desk().ask(store_status)
    now = desk().ask(clock_of).now()
    note_age(f"store {status.name}, {status.world} world", ist_text(now) or "")
    if not status.quotes.rows:
        note_empty("quotes")
    st.metric("Quotes stored", grouped(status.quotes.rows))
