"""The pages of the dashboard, and the navigation between them."""

from collections.abc import Callable

import streamlit as st

from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.door import SIGN_OUT
from data_fetch.dashboard.page import guarded
from data_fetch.dashboard.pages import (
    analytics,
    candles,
    coverage,
    option_chain,
    system,
    today,
)

PAGES: dict[str, Callable[[], None]] = {
    "Today": today.show,
    "Coverage": coverage.show,
    "Option chain": option_chain.show,
    "Analytics": analytics.show,
    "Candles": candles.show,
    "System": system.show,
}

# Data begin near the top, captions and scales have the contrast of text, and tables of a telephone
# lose no columns.
STYLE = """<style>
.stMainBlockContainer{padding-top:4.5rem;padding-bottom:3rem}
.stApp [data-testid="stCaptionContainer"]{color:inherit;opacity:.8}
.stApp [data-testid="stBaseButton-primary"]{color:light-dark(#fff,#171614)}
.stApp .js-plotly-plot :is([class$="tick"],.infolayer) text{fill:currentColor!important}
@media (max-width:640px){
 [data-testid="stTable"] :is(th,td){padding:.25rem .3rem;font-size:.72rem;line-height:1.3}
}
</style>"""


def main() -> None:
    """Show the page that the address names."""
    st.set_page_config(page_title="NSE F&O market data", layout="wide")
    st.html(STYLE)
    first, *_ = PAGES
    pages = [
        st.Page(guarded(show), title=title, url_path=address(title), default=title == first)
        for title, show in PAGES.items()
    ]
    st.navigation(pages, position="top").run()
    if desk().settings.needs_authentication:
        st.html(f'<a href="{SIGN_OUT}" target="_self">Sign out</a>')


def address(title: str) -> str:
    """The last part of the address of the page with that *title*."""
    return title.lower().replace(" ", "-")
