"""What all sessions of one dashboard share: its settings, open stores, and answers made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from data_fetch.core.settings import Settings
from data_fetch.dashboard.porter import Porter
from data_fetch.reading.kept_open import KeptOpen, Recent
from data_fetch.reading.records import sharing
from data_fetch.runtime.settings import process_settings

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Desk:
    """The *settings* of the dashboard, and the stores that its queries keep open.

    *may_control* is whether its pages may request chains, and start, pause and resume backfills;
    *porter* knows the accounts, where they are needed.
    """

    settings: Settings
    may_control: bool = False
    porter: Porter | None = None
    kept: KeptOpen = field(default_factory=KeptOpen)
    _answers: Recent[Callable[[Settings], Any], Any] = field(default_factory=Recent)
    _asking: dict[Callable[[Settings], Any], Lock] = field(default_factory=dict)

    def ask(self, question: Callable[[Settings], Answer]) -> Answer:
        """The answer of `reading` to a question. Raises as it does."""
        with sharing(self.kept):
            return question(self.settings)

    def recent(self, question: Callable[[Settings], Answer]) -> Answer:
        """The answer to a question, made now or a moment ago for another session; not to be
        changed. The question is a function of a module: it is kept. Raises as it does."""
        # Of many sessions that ask at once, the others wait for the answer to the first one.
        with self._asking.setdefault(question, Lock()):
            answer: Answer = self._answers.get(question, lambda: self.ask(question))
            return answer


_in_use: list[Desk] = []


def use(new: Desk) -> None:
    """Make *new* the desk of this process."""
    _in_use[:] = [new]


def desk() -> Desk:
    """The one desk of this process; by default for reading with the settings of the process."""
    if not _in_use:
        use(Desk(process_settings()))
    return _in_use[0]
