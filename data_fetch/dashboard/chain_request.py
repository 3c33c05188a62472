"""The part of a page that requests a chain which the store has not, or not newly enough."""

from datetime import timedelta
from functools import partial

import streamlit as st

from data_fetch.core.errors import NothingStored
from data_fetch.dashboard.chain_answers import head_of, to_come
from data_fetch.dashboard.chain_view import ChainView
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.live_chains import LiveAnswer, LiveChains, LiveRequest, WantedChain
from data_fetch.dashboard.numbers import clock_time, day_and_time
from data_fetch.dashboard.page import live, note_age, note_refusal
from data_fetch.dashboard.permission import control_refusal
from data_fetch.reading.chain_records import ChainHead
from data_fetch.reading.collector_facts import provider_figures
from data_fetch.reading.records import clock_of

PROGRESS_SECONDS = 1.0
# Longer than any collector needs between two polls of an index.
OLD = timedelta(minutes=5)
# In a session: the chain that it looked at and that was not stored.
LACKING = "lacking-chain"


@st.cache_resource(show_spinner=False)
def live_chains() -> LiveChains:
    """The requests of this dashboard."""
    return LiveChains()


def found_or_offered(view: ChainView) -> ChainHead | None:
    """The head of the chain of *view*; None after writing that the store has none, and how to
    request it.

    Raises NothingStored for a chain that cannot be requested, UnknownSymbol, StoreUnreachable.
    """
    assert view.symbol is not None
    expiry = view.expiry
    try:
        head = head_of(view.symbol, expiry, view.at)
    except NothingStored:
        if view.at is not None or expiry is None or expiry not in to_come(view.symbol):
            raise
        wanted = WantedChain(view.symbol, expiry)
        st.session_state[LACKING] = wanted
        now = desk().ask(clock_of).now()
        note_age(f"store, {desk().settings.world} world", day_and_time(now))
        st.info(f"The store has no chain of {wanted.text}.")
        _request(wanted, "Request it now")
        return None
    if st.session_state.pop(LACKING, None) == WantedChain(view.symbol, head.shown.expiry):
        # It has arrived, and the controls above still say that it is not stored.
        st.rerun()
    return head


def offer_newer(head: ChainHead, view: ChainView) -> None:
    """Offer to request a chain again that no collector keeps up to date."""
    shown = head.shown
    if view.at is not None or shown.expiry not in to_come(shown.underlying):
        return
    old = desk().ask(clock_of).now() - shown.last_confirmed > OLD
    # The account last: it is looked up in the store.
    if (old or live_chains().brought(head)) and control_refusal() is None:
        _request(WantedChain(shown.underlying, shown.expiry), "Request it again")


def origin_text(head: ChainHead) -> str:
    """From which source the chain of *head* is, and how it came when a page requested it."""
    source = f"source {head.shown.source}, {desk().settings.world} world"
    answer = live_chains().brought(head)
    if answer is None:
        return source
    return f"{source}, requested live at {clock_time(answer.begun_at)}, not by the collector"


def problem_text(wanted: WantedChain, answer: LiveAnswer) -> str:
    """Why a request brought no chain."""
    at = "" if answer.begun_at is None else f" at {clock_time(answer.begun_at)}"
    return f"The request for {wanted.text}{at} brought no chain: {answer.problem}"


def _request(wanted: WantedChain, title: str) -> None:
    """The request for *wanted* that is running, or how the last one failed and a button."""
    chains = live_chains()
    last = chains.last(wanted)
    if last is not None and last.running:
        live(partial(_wait, wanted), PROGRESS_SECONDS)
        return
    if last is not None and last.answer.problem:
        st.error(problem_text(wanted, last.answer))
    refusal = control_refusal()
    if refusal is not None:
        note_refusal(refusal, wanted.command)
    elif chains.busy:
        st.caption("Other chains are being requested. Wait until one of them has arrived.")
    else:
        st.button(
            title,
            key=f"request {wanted.text}",
            on_click=_start,
            args=(wanted, last),
        )


def _start(wanted: WantedChain, seen: LiveRequest | None) -> None:
    # An account that may no longer gets the sentence from the page that is drawn next.
    if control_refusal() is None:
        live_chains().start(wanted, desk().settings.folder, seen)


def _wait(wanted: WantedChain) -> None:
    last = live_chains().last(wanted)
    if last is None or not last.running:
        # The rest of the page is about a store that it has changed.
        st.rerun()
    st.caption(f"Requesting {wanted.text} from the provider. This page follows.")
    for api, until in desk().recent(provider_figures, PROGRESS_SECONDS).pauses.items():
        st.caption(f"{api} wants no request until {day_and_time(until)}; this one waits.")
