"""Recorded messages of the feed, read again."""

from collections.abc import Container, Iterable, Iterator
from datetime import datetime

from data_fetch.core.errors import BadRecord
from data_fetch.core.feed.ticks import Tick, TickBook, TickCounts
from data_fetch.sources.upstox.feed_messages import read_message
from data_fetch.sources.upstox.feed_state import FeedCounts


class EveryKey:
    """The keys of a recording whose subscriptions are not known."""

    def __contains__(self, key: object) -> bool:
        return True


class FeedReplay:
    """A feed that takes the ticks of *keys* from messages that were received before.

    *counts* are those of the messages so far.
    """

    def __init__(self, keys: Container[str]) -> None:
        self.counts = FeedCounts()
        self._book = TickBook()
        self._book.request(keys)

    @property
    def tick_counts(self) -> TickCounts:
        """The packets so far: taken, and dropped."""
        return self._book.counts

    def ticks(self, messages: Iterable[tuple[datetime, bytes | str]]) -> Iterator[Tick]:
        """The ticks that the feed had when it received *messages*, with their receive times.

        Messages that cannot be read are left out, as they were then.
        """
        for received_at, message in messages:
            self.counts.messages += 1
            self.counts.bytes += len(message)
            if isinstance(message, str):
                self.counts.refusals += 1
            else:
                yield from self._taken(message, received_at)

    def _taken(self, raw: bytes, received_at: datetime) -> Iterable[Tick]:
        try:
            message = read_message(raw, received_at, self._book)
        except BadRecord:
            self.counts.junk += 1
            return ()
        self.counts.unknown_fields += message.unknown_fields
        self.counts.unknown_words += message.unknown_words
        return message.ticks.values()


def replayed(
    messages: Iterable[tuple[datetime, bytes | str]], keys: Container[str]
) -> Iterator[Tick]:
    """The ticks of *keys* that the feed had when it received *messages*."""
    return FeedReplay(keys).ticks(messages)
