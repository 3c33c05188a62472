"""Recorded messages of the feed, read again."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from data_fetch.core.errors import BadRecord
from data_fetch.core.feed.ticks import Tick, TickBook
from data_fetch.sources.upstox.feed_messages import read_message


def replayed(
    messages: Iterable[tuple[datetime, bytes | str]], keys: Collection[str]
) -> Iterator[Tick]:
    """The ticks of *keys* that the feed had when it received *messages*, with their receive times.

    Messages that cannot be read are left out, as they were then.
    """
    book = TickBook()
    book.request(keys)
    for received_at, message in messages:
        if isinstance(message, bytes):
            with suppress(BadRecord):
                yield from read_message(message, received_at, book).ticks.values()
