"""Which sources of chains work, and when a failing one is tried again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.errors import DataFetchError
from data_fetch.core.failures import FailureKind

# A failing source is skipped for so long while another one works, and for so long while none
# does: then one poll in that time finds out whether it works again.
BACKOFF = timedelta(seconds=60)
BACKOFF_ALONE = timedelta(seconds=10)
# Failures of the source as a whole, and those that may affect one symbol only.
OUTAGES = frozenset(
    {
        FailureKind.UNAUTHORISED,
        FailureKind.FORBIDDEN,
        FailureKind.UNREACHABLE,
        FailureKind.RATE_LIMITED,
        FailureKind.SWITCHED_OFF,
    }
)
TROUBLE = OUTAGES | {FailureKind.SERVER_ERROR}
EVERY_SYMBOL = ""


@dataclass(slots=True)
class Trouble:
    """A failure that has not been followed by a success, and when it was last met."""

    problem: DataFetchError
    last_tried: datetime


class SourceHealth:
    """The failures of *sources*, in the order in which they are tried. Thread-safe."""

    def __init__(self, sources: Sequence[ChainSource]) -> None:
        self._sources = sources
        self._troubles: dict[tuple[ChainSource, str], Trouble] = {}
        self._symbols: set[str] = set()
        self._lock = Lock()

    @property
    def answering(self) -> ChainSource:
        """The first source that works for most symbols; the first of all when none does."""
        with self._lock:
            return next((one for one in self._sources if not self._down(one)), self._sources[0])

    def out(self, source: ChainSource) -> bool:
        """Whether *source* fails as a whole, and not for single symbols."""
        with self._lock:
            return (source, EVERY_SYMBOL) in self._troubles

    def failed(
        self, source: ChainSource, symbol: str, problem: DataFetchError, at: datetime
    ) -> None:
        """Record that a request about *symbol* failed; some failures make no source skipped."""
        if problem.kind in TROUBLE:
            affected = EVERY_SYMBOL if problem.kind in OUTAGES else symbol
            with self._lock:
                self._troubles[source, affected] = Trouble(problem, at)

    def works(self, source: ChainSource, symbol: str) -> None:
        """Record that *source* returned a chain of *symbol*."""
        with self._lock:
            self._troubles.pop((source, EVERY_SYMBOL), None)
            self._troubles.pop((source, symbol), None)

    def skip(self, source: ChainSource, symbol: str, now: datetime) -> DataFetchError | None:
        """Why a poll of *symbol* skips *source*; None when the poll is to try it.

        Of the polls that meet a failing source whose time has come, one tries it.
        """
        with self._lock:
            self._symbols.add(symbol)
            alone = all(self._found(each, symbol) for each in self._sources)
            backoff = BACKOFF_ALONE if alone else BACKOFF
            troubles = self._found(source, symbol)
            for trouble in troubles:
                if now < trouble.last_tried + backoff:
                    return trouble.problem
            for trouble in troubles:
                trouble.last_tried = now
            return None

    def _found(self, source: ChainSource, symbol: str) -> list[Trouble]:
        keys = (source, EVERY_SYMBOL), (source, symbol)
        return [self._troubles[key] for key in keys if key in self._troubles]

    def _down(self, source: ChainSource) -> bool:
        failing = [symbol for one, symbol in self._troubles if one is source]
        return EVERY_SYMBOL in failing or 2 * len(failing) > len(self._symbols) > 0
