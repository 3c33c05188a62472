"""Publishes what a collector stores, as soon as it is stored."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

from data_fetch.core.chains.polls import Poll
from data_fetch.core.errors import DataFetchError
from data_fetch.core.quotes.quotes import StoredQuote
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.publishing.redis_streams import RedisNames, StreamPublisher
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import sharing
from data_fetch.reading.stream_changes import ChangeFollower
from data_fetch.reading.stream_documents import (
    chain_document,
    price_document,
    surface_document,
)
from data_fetch.runtime.reporting import CollectorStart, ProgressReporter

log = logging.getLogger("data_fetch.data_scheduler")

CLOSE_SECONDS = 5.0


@contextmanager
def published(settings: Settings, reporter: ProgressReporter) -> Iterator[ProgressReporter]:
    """*reporter*; while Redis is configured also what is stored is published there."""
    if settings.redis_url is None:
        yield reporter
        return
    relay = StreamRelay(settings, reporter, settings.redis_url.get_secret_value())
    try:
        yield relay
    finally:
        relay.close()


class StreamRelay:
    """Receives the progress of a collector for *reporter*, and publishes what has changed.

    A thread of its own looks into the store after each slot and poll: collecting waits neither
    for that nor for Redis, and one look serves whatever was stored before it.
    """

    def __init__(self, settings: Settings, reporter: ProgressReporter, redis_url: str) -> None:
        self._settings = settings
        self._reporter = reporter
        self._publisher = StreamPublisher(redis_url, RedisNames(settings.redis_prefix))
        self._follower = ChangeFollower(settings)
        self._kept = KeptOpen()
        self._lock = Lock()
        self._polled: set[str] = set()
        self._stored, self._closed = Event(), Event()
        self._failing = False
        self._thread = Thread(target=self._work, name="stream-relay", daemon=True)
        self._thread.start()

    def message(self, text: str) -> None:
        self._reporter.message(text)

    def started(self, start: CollectorStart) -> None:
        self._reporter.started(start)

    def slot(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None:
        self._reporter.slot(run, quotes)
        self._stored.set()

    def polled(self, poll: Poll) -> None:
        self._reporter.polled(poll)
        with self._lock:
            self._polled.add(poll.symbol)
        self._stored.set()

    def close(self) -> None:
        """Return when what is stored is published, or after a few seconds."""
        self._closed.set()
        self._stored.set()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        with sharing(self._kept):
            while not self._closed.is_set():
                self._stored.wait()
                self._stored.clear()
                self._look()
        self._publisher.close()
        self._kept.close()

    def _look(self) -> None:
        with self._lock:
            polled = set(self._polled)
        try:
            changes = self._follower.changes(polled)
            world = self._settings.world
            products = dict.fromkeys(each.head.underlying for each in changes.chains)
            surfaces = [surface_document(self._settings, each) for each in products]
            self._publisher.publish(
                [price_document(each, world) for each in changes.prices],
                [chain_document(each, world) for each in changes.chains],
                [each for each in surfaces if each is not None],
            )
        except DataFetchError as problem:
            if not self._failing:
                log.warning("not_published", extra={"problem": problem.message})
            self._failing = True
        else:
            self._failing = False
