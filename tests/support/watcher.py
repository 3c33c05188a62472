"""A progress reporter for tests: it keeps what the screen would show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from data_fetch.core.chains.polls import Poll
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.runtime.reporting import CollectorStart


@dataclass
class Watcher:
    """Keeps messages, starts and the runs of slots; may act on a slot."""

    remarks: list[str] = field(default_factory=list)
    starts: list[CollectorStart] = field(default_factory=list)
    runs: list[SyncRun] = field(default_factory=list)
    quotes: list[Sequence[StoredQuote]] = field(default_factory=list)
    on_slot: Callable[[SyncRun], None] = lambda run: None

    def message(self, text: str) -> None:
        self.remarks.append(text)

    def started(self, start: CollectorStart) -> None:
        self.starts.append(start)

    def polled(self, poll: Poll) -> None:
        return None

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self.runs.append(run)
        self.quotes.append(quotes)
        self.on_slot(run)

    def with_word(self, word: str) -> list[str]:
        """The messages in which *word* stands."""
        return [remark for remark in self.remarks if word in remark]
