"""What all sessions of one dashboard share: its settings, open stores, and answers made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from data_fetch.core.settings import Settings
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.runtime.settings import process_settings

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Desk:
    """The *settings* of the dashboard, and the stores that its queries keep open."""

    settings: Settings
    kept: KeptOpen = field(default_factory=KeptOpen)

    def ask(self, question: Callable[[Settings], Answer]) -> Answer:
        """The answer of `reading` to a question. Raises as it does."""
        with sharing(self.kept):
            return question(self.settings)


@st.cache_resource(show_spinner=False)
def desk() -> Desk:
    """The one desk of this process."""
    return Desk(process_settings())
