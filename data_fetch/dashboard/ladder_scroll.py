"""Where a ladder that is higher than its box is scrolled to when it is opened."""

from importlib.resources import files

import streamlit as st

SCRIPT = files("data_fetch.dashboard").joinpath("ladder_scroll.js").read_text("utf-8")
# Without a height of its own it would still be a row with the gap between rows.
STYLE = """<style>.st-key-ladder-scroll{position:absolute}</style>"""
_scroll = st.components.v2.component("data_fetch_ladder_scroll", js=SCRIPT)


def open_at_the_money(view: str) -> None:
    """Scroll the ladder above to the strike at the money when *view* is drawn first."""
    _scroll(key="ladder-scroll", data={"view": view})
