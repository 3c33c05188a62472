"""Today: what is collected now, and what is missing."""

import streamlit as st

from data_fetch.dashboard import last_price_cards
from data_fetch.dashboard.chain_line import figures_html
from data_fetch.dashboard.day_strip import holes, strip_html
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.last_price_cards import origins, shown_prices
from data_fetch.dashboard.numbers import clock_time, day_and_time, grouped, span_text
from data_fetch.dashboard.page import live, note_age, note_empty
from data_fetch.dashboard.today_texts import (
    NO_LIMITS,
    budget_rows,
    completeness,
    error_line,
    feed_line,
    freshness_rows,
    market_words,
    pause_lines,
    slot_table,
)
from data_fetch.reading.collector_facts import provider_figures
from data_fetch.reading.feed_status import feed_summary
from data_fetch.reading.freshness_classes import freshness_by_class
from data_fetch.reading.last_errors import last_errors
from data_fetch.reading.last_prices import general_quotes, newest_prices, newest_ticks
from data_fetch.reading.market_day import MarketDay, market_day
from data_fetch.reading.store_source import store_source

EVERY_SECONDS, PRICE_SECONDS = 5.0, 1.0
MOST_HOLES = 20
MOST_KEYS = 5


def show() -> None:
    st.title("Today")
    st.html(last_price_cards.STYLE)
    live(_prices, PRICE_SECONDS)
    live(_today, EVERY_SECONDS)


def _prices() -> None:
    quotes = desk().recent(general_quotes, EVERY_SECONDS)
    prices = newest_prices(quotes, desk().recent(newest_ticks, PRICE_SECONDS))
    if not prices:
        return
    with st.container(key=last_price_cards.KEY):
        st.html(figures_html(shown_prices(prices)))
    st.caption(origins(prices))


def _today() -> None:
    day = desk().recent(market_day, EVERY_SECONDS)
    note_age(desk().recent(store_source, EVERY_SECONDS), day_and_time(day.at), completeness(day))
    if not any(each.stored for each in day.slots):
        note_empty("quotes")
    _figures(day)
    _slots(day)
    left, right = st.columns(2)
    with left:
        _freshness(day)
    with right:
        _budget()
    _errors()


def _figures(day: MarketDay) -> None:
    market, slots, lag, usual = st.columns(4)
    market.metric(f"Market {market_words(day)}", clock_time(day.at))
    stored = sum(each.stored for each in day.slots)
    slots.metric("Quotes of the day stored", grouped(stored))
    lag.metric("Lag of the last slot", span_text(day.last_lag))
    usual.metric("Usual lag", span_text(day.usual_lag))
    feed = desk().recent(feed_summary, EVERY_SECONDS)
    if feed is not None:
        st.caption(feed_line(feed))
        for line in feed.undelivered(MOST_KEYS):
            st.caption(line)


def _slots(day: MarketDay) -> None:
    st.subheader(f"Slots of {day.day:%A %d %b %Y}")
    st.html(strip_html(day.slots))
    found = holes(day.slots)
    st.markdown("\n".join(f"- {each.sentence}" for each in found[-MOST_HOLES:]))
    if len(found) > MOST_HOLES:
        st.caption(f"{grouped(len(found) - MOST_HOLES)} earlier ones are in the download.")
    offer("Slots", f"slots-{day.day}", lambda: slot_table(day.slots))


def _freshness(day: MarketDay) -> None:
    st.subheader("Freshness")
    classes = desk().recent(freshness_by_class, EVERY_SECONDS)
    st.table(freshness_rows(classes, day.at))
    for each in classes:
        if each.notable:
            st.caption(f"{each.name} not fresh: {', '.join(each.notable)}")


def _budget() -> None:
    st.subheader("Provider budget")
    provider = desk().recent(provider_figures, EVERY_SECONDS)
    if not provider.windows:
        st.caption(NO_LIMITS[desk().settings.world])
        return
    st.table(budget_rows(provider))
    for line in pause_lines(provider.pauses):
        st.warning(line)


def _errors() -> None:
    st.subheader("Last errors")
    found = desk().recent(last_errors, EVERY_SECONDS)
    if not found:
        st.caption("No run of the last 8 days had an error.")
    for each in found:
        st.markdown(error_line(each))
