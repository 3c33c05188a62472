"""What all sessions of one dashboard share: its settings, open stores, and answers made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from typing import Any, TypeVar

from data_fetch.core.clock import stopwatch
from data_fetch.core.settings import Settings
from data_fetch.dashboard.porter import Porter
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.runtime.settings import process_settings

Answer = TypeVar("Answer")
# Of the time between two refreshes: the timers of browsers are not exact.
SHARED_FOR = 0.9


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
    _shared: dict[Callable[[Settings], Any], "_Shared"] = field(default_factory=dict)

    def ask(self, question: Callable[[Settings], Answer]) -> Answer:
        """The answer of `reading` to a question. Raises as it does."""
        with sharing(self.kept):
            return question(self.settings)

    def recent(self, question: Callable[[Settings], Answer], every: float) -> Answer:
        """The answer for a part of a page that is made anew *every* so many seconds: the sessions
        that show it cost as much as one. It is not to be changed.

        The question is a function of a module: it is kept. Raises as it does.
        """
        shared = self._shared.setdefault(question, _Shared())
        answer: Answer = shared.get(lambda: self.ask(question), every * SHARED_FOR)
        return answer


@dataclass(slots=True)
class _Shared:
    """An answer for many sessions, which wait while it is made for the first of them."""

    _lock: Lock = field(default_factory=Lock)
    _made_at: float = -inf
    _answer: Any = None

    def get(self, make: Callable[[], Any], seconds: float) -> Any:
        """The answer that was made within the last *seconds*, or else is made now."""
        with self._lock:
            if stopwatch() - self._made_at >= seconds:
                self._answer = make()
                # Not when it was asked for: those that wait for a slow store would ask it again.
                self._made_at = stopwatch()
            return self._answer


_in_use: list[Desk] = []


def use(new: Desk) -> None:
    """Make *new* the desk of this process."""
    _in_use[:] = [new]


def desk() -> Desk:
    """The one desk of this process; by default for reading with the settings of the process."""
    if not _in_use:
        use(Desk(process_settings()))
    return _in_use[0]
