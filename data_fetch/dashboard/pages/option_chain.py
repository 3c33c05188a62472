"""Option chain: calls, strikes and puts as a ladder, now or at any past instant."""

from dataclasses import replace

import streamlit as st

from data_fetch.dashboard import chain_line, ladder_html, ladder_scroll
from data_fetch.dashboard.chain_answers import (
    TICK_SECONDS,
    compared,
    feed_of,
    ladder_table,
    polled_ladder,
)
from data_fetch.dashboard.chain_controls import choose_chain, settle
from data_fetch.dashboard.chain_line import figures_html, shown_figures
from data_fetch.dashboard.chain_note import note_chain, usable_baseline
from data_fetch.dashboard.chain_request import found_or_offered, offer_newer
from data_fetch.dashboard.chain_view import AROUND, ChainView, lenient_view
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.ladder import COLUMNS, leg_table
from data_fetch.dashboard.ladder_scroll import open_at_the_money
from data_fetch.dashboard.page import await_first, live

REFRESH_SECONDS = 5.0
HEIGHT = 720


def show() -> None:
    st.title("Option chain")
    st.html(chain_line.STYLE + ladder_html.STYLE + ladder_scroll.STYLE)
    asked, problem = lenient_view(st.query_params.to_dict())
    if problem:
        st.warning(problem)
    view = choose_chain(asked)
    if view is None:
        await_first("option chains")
        return
    view = _choose_columns(view)
    st.query_params.from_dict(view.parameters())
    if view.at is None:
        live(lambda: _ladder(view), TICK_SECONDS if desk().settings.has_feed else REFRESH_SECONDS)
    else:
        _ladder(view)


def _choose_columns(view: ChainView) -> ChainView:
    with st.popover("Strikes and columns"):
        settle("strikes", list(AROUND), view.around)
        around = st.selectbox("Strikes on each side of the money", list(AROUND), key="strikes")
        st.session_state.setdefault("columns", list(view.columns))
        chosen = st.pills(
            "Columns on either side",
            list(COLUMNS),
            selection_mode="multi",
            key="columns",
            format_func=lambda name: COLUMNS[name].title,
        )
    columns = tuple(name for name in COLUMNS if name in chosen) or view.columns
    return replace(view, around=around, columns=columns)


def _ladder(view: ChainView) -> None:
    head = found_or_offered(view)
    if head is None:
        return
    baseline, around = usable_baseline(head, view.baseline), AROUND[view.around]
    found = compared(head, baseline)
    note_chain(head, found, view.at)
    offer_newer(head, view)
    before = None if found.baseline.snapshot is None else found.baseline.snapshot.summary
    st.html(figures_html(shown_figures(found.snapshot.summary, before)))
    feed = feed_of(head) if view.at is None else None
    if feed is None:
        table = ladder_table(head, baseline, around, view.columns)
    else:
        ladder = feed.onto(polled_ladder(head, baseline, around))
        st.caption(feed.words(ladder))
        table = ladder_html.ladder_html(ladder, view.columns)
    with st.container(height=HEIGHT, key="ladder"):
        st.html(table)
        open_at_the_money(f"{view.symbol} {head.shown.expiry} {view.at} {view.around}")
    offer(
        "Ladder",
        f"chain-{head.shown.underlying}-{head.shown.expiry}",
        lambda: leg_table(polled_ladder(head, baseline, around), view.columns),
    )
