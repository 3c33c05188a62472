"""Analytics: the figures of a chain over the day, by strike and by expiry."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from data_fetch.analytics.iv_standing import standing
from data_fetch.core.chains.chains import QuantityUnit
from data_fetch.core.clock import IST
from data_fetch.dashboard import chain_figures as figures
from data_fetch.dashboard.chain_answers import (
    compared,
    earlier_volatilities,
    history_of_day,
    surface_of,
)
from data_fetch.dashboard.chain_controls import choose_chain, settle
from data_fetch.dashboard.chain_note import note_chain, usable_baseline
from data_fetch.dashboard.chain_request import found_or_offered, offer_newer
from data_fetch.dashboard.chain_view import AROUND, ChainView, lenient_view
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.ladder import ladder_of, leg_table
from data_fetch.dashboard.page import await_first, live
from data_fetch.dashboard.volatility_texts import (
    smile_table,
    standing_sentence,
    too_few_expiries,
)
from data_fetch.reading.chain_metrics import ChainMetrics
from data_fetch.reading.chain_records import ChainHead
from data_fetch.reading.volatility_days import usual_distance

REFRESH_SECONDS = 30.0
QUIET = {"displayModeBar": False}


def show() -> None:
    st.title("Analytics")
    asked, problem = lenient_view(st.query_params.to_dict())
    if problem:
        st.warning(problem)
    named = st.query_params.get("charts")
    view = choose_chain(asked)
    if view is None:
        await_first("option chains")
        return
    settle("charts", list(CHARTS), named)
    selected = st.segmented_control(
        "Charts", list(CHARTS), key="charts", required=True, label_visibility="collapsed"
    )
    chosen = selected or next(iter(CHARTS))
    st.query_params.from_dict({**view.parameters(), "charts": chosen})

    def charts() -> None:
        head = found_or_offered(view)
        if head is None:
            return
        found = compared(head, usable_baseline(head, view.baseline))
        note_chain(head, found, view.at)
        offer_newer(head, view)
        CHARTS[chosen](view, head, found)

    if view.at is None:
        live(charts, REFRESH_SECONDS)
    else:
        charts()


def _over_the_day(view: ChainView, head: ChainHead, found: ChainMetrics) -> None:
    table = history_of_day(head).table
    _chart("PCR and straddle", figures.over_the_day(table, "pcr_oi", "straddle"))
    _chart("ATM IV and spot", figures.over_the_day(table, "atm_iv", "spot"))
    offer("Figures of the day", f"day-{head.shown.underlying}-{head.shown.expiry}", lambda: table)


def _open_interest(view: ChainView, head: ChainHead, found: ChainMetrics) -> None:
    ladder = ladder_of(found, AROUND[view.around])
    of_chain = found.snapshot.summary.priced.chain
    in_shares = ladder.unit is QuantityUnit.SHARES and ladder.unit is not of_chain.unit
    lot = float(head.shown.lot_size or 1) if in_shares else 1.0
    _chart("Open interest by strike", figures.open_interest(ladder))
    _chart("Change of open interest: plain for calls, hatched for puts", figures.build_up(ladder))
    _chart("Payout of all writers by the close of the expiry", figures.payouts(found, lot))
    _chart("Gamma exposure for a move of one percent", figures.gamma_exposure(found))
    columns = ("oi", "oi_change", "price_change", "gamma")
    offer(
        "Open interest",
        f"open-interest-{head.shown.underlying}-{head.shown.expiry}",
        lambda: leg_table(ladder, columns),
    )


def _volatility(view: ChainView, head: ChainHead, found: ChainMetrics) -> None:
    assert view.symbol is not None
    surface = surface_of(view.symbol, view.at)
    _chart("Smile of each expiry", figures.smiles(surface.smiles))
    _chart("Term structure", figures.term_structure(surface.smiles))
    of_surface = figures.surface(surface.smiles)
    if of_surface is None:
        st.info(too_few_expiries(view.symbol, len(surface.smiles)))
    else:
        _chart("Surface", of_surface)
        _chart("Surface from above", figures.surface_map(surface.smiles))
    known = [smile for smile in surface.smiles if smile.atm_iv is not None]
    day = head.shown.last_confirmed.astimezone(IST).date()
    earlier = earlier_volatilities(view.symbol, day)
    smile = min(known, key=lambda one: usual_distance(one.years), default=None)
    iv = None if smile is None else smile.atm_iv
    found_standing = None if iv is None else standing(iv, [each.atm_iv for each in earlier])
    st.markdown(standing_sentence(smile, found_standing))
    offer("Smiles", f"smiles-{head.shown.underlying}", lambda: smile_table(surface.smiles))


def _chart(title: str, figure: Any) -> None:
    st.subheader(title)
    if figure is None:
        st.info("The source sent no open interest. Choose another source or instant.")
    else:
        st.plotly_chart(figure, config=QUIET, key=title)


CHARTS: Mapping[str, Callable[[ChainView, ChainHead, ChainMetrics], None]] = {
    "Over the day": _over_the_day,
    "Open interest": _open_interest,
    "Volatility": _volatility,
}
