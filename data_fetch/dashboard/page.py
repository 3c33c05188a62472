"""What every page has: an error as a sentence, and how old and how complete its data are."""

from collections.abc import Callable

import streamlit as st

from data_fetch.core.errors import DataFetchError


def guarded(show: Callable[[], None]) -> Callable[[], None]:
    """*show*, with each of our errors as a sentence that says what to do."""

    def page() -> None:
        try:
            show()
        except DataFetchError as problem:
            st.error(f"{problem.message}. {problem.hint}".strip())

    page.__name__ = show.__module__.rpartition(".")[2]
    return page


def note_age(source: str, as_of: str, *more: str) -> None:
    """The line under a title: where the data are from, as of when, and what they lack."""
    st.caption(" · ".join((source, f"as of {as_of}", *more)))
