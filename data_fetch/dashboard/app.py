"""The pages of the dashboard and the way between them."""

from collections.abc import Callable

import streamlit as st

from data_fetch.dashboard.page import guarded
from data_fetch.dashboard.pages import option_chain, today

PAGES: dict[str, Callable[[], None]] = {"Today": today.show, "Option chain": option_chain.show}


def main() -> None:
    """Show the page of the address."""
    st.set_page_config(page_title="NSE F&O market data", layout="wide")
    first, *_ = PAGES
    pages = [
        st.Page(
            guarded(show),
            title=title,
            url_path=title.lower().replace(" ", "-"),
            default=title == first,
        )
        for title, show in PAGES.items()
    ]
    st.navigation(pages, position="top").run()
