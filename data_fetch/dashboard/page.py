"""What every page has: an error as a sentence, and how old and how complete its data are."""

from collections.abc import Callable
from datetime import date

import streamlit as st

from data_fetch.core.errors import DataFetchError, SetupError
from data_fetch.reading.instants import date_of

# A table on the screen: for each row its texts by the heads of their columns.
Rows = list[dict[str, str]]
# How long a page that could not be shown waits until it is tried again.
AGAIN_SECONDS = 5.0


def guarded(show: Callable[[], None]) -> Callable[[], None]:
    """*show*, with each of our errors as a sentence that says what to do, tried again by itself."""

    def page() -> None:
        try:
            show()
        except DataFetchError as problem:
            st.error(sentence(problem))
            _try_again()

    page.__name__ = show.__module__.rpartition(".")[2]
    return page


def live(part: Callable[[], None], seconds: float) -> None:
    """Show *part* of a page now and anew every so many seconds; the rest of the page stays.

    When it cannot be shown, the whole page is tried again: its other parts may lack the same.
    """

    def guarded_part() -> None:
        try:
            part()
        except DataFetchError as problem:
            st.error(sentence(problem))
            _try_again()

    st.fragment(guarded_part, run_every=seconds)()


def sentence(problem: DataFetchError) -> str:
    """A problem and its fix, for the screen."""
    message = problem.message.rstrip(".")
    return f"{message[:1].upper()}{message[1:]}. {problem.hint}".strip()


def asked_date(name: str) -> date | None:
    """The date that the address of the page names; None without one, with a sentence on the page
    when it cannot be read."""
    text = st.query_params.get(name)
    try:
        return date_of(text) if text else None
    except SetupError as problem:
        st.warning(sentence(problem))
        return None


def note_age(source: str, as_of: str, *more: str) -> None:
    """The line under a title: where the data are from, as of when, and what they lack."""
    st.caption(" · ".join((source, f"as of {as_of}", *more)))


def note_empty(what: str) -> None:
    """The sentence of a page for a store that has no *what* yet, a plural."""
    st.info(f"No {what} are stored yet. Start collecting: `data-fetch run`")


def note_refusal(refusal: str, command: str) -> None:
    """Why the viewer may not start something, and the *command* to type instead."""
    st.caption(refusal)
    st.code(command, language="bash")


def await_first(what: str) -> None:
    """`note_empty` for a page that nothing else refreshes: it shows the first *what* by itself."""
    note_empty(what)
    _try_again()


def _try_again() -> None:
    first_run = iter([True])

    def again() -> None:
        if not next(first_run, False):
            st.rerun()

    st.fragment(again, run_every=AGAIN_SECONDS)()
