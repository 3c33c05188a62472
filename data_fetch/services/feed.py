"""The streaming feed of a collector: it runs beside everything else and delays nothing.

Quotes, candles and chains are requested as without it. The feed only fills quotes that no request
brought, and keeps live prices beside what is collected.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Protocol

from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError
from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.liveness import FeedState
from data_fetch.core.feed.plan import EMPTY_PLAN, Plan
from data_fetch.core.feed.recorder import RecordingStatus
from data_fetch.core.feed.report import MOST_NAMED, FeedReport, UnhonouredKey
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.ports import Clock
from data_fetch.core.timetable import FEED, FEED_CLOSE, Job, Timetable
from data_fetch.services.clocked_pool import ClockedPool
from data_fetch.services.feed_plan import FeedPlanner
from data_fetch.services.feed_prices import FeedPrices
from data_fetch.services.feed_quotes import FeedQuotes
from data_fetch.services.recurring import RecurringService
from data_fetch.sources.upstox.feed import UpstoxFeed
from data_fetch.sources.upstox.feed_state import FeedCounts, FeedStatus
from data_fetch.storage.feed import FeedStore

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
UNREAD = ("junk", "refusals", "unknown_fields", "unknown_words")


class TickFollower(Protocol):
    """Takes the ticks of the feed in a thread of its own."""

    def start(self) -> None:
        """Without effect while it runs."""

    def stop(self) -> None: ...


class FeedService(RecurringService):
    """Runs *feed* from the first tick of its job on, subscribed to what *planner* plans.

    *name_of* names what a live key is of; None where that is not known. *followers* run as long as
    the feed does.
    """

    def __init__(
        self,
        *,
        feed: UpstoxFeed,
        planner: FeedPlanner,
        quotes: FeedQuotes,
        prices: FeedPrices,
        repository: FeedStore,
        clock: Clock,
        name_of: Callable[[str], str | None],
        followers: Sequence[TickFollower] = (),
    ) -> None:
        self._feed = feed
        self._planner = planner
        self._quotes = quotes
        self._prices = prices
        self._repository = repository
        self._clock = clock
        self._name_of = name_of
        self._followers = followers
        self._plan = EMPTY_PLAN
        self._begun = False
        self._failed_recordings = 0
        self._unhonoured: Mapping[str, str] = {}
        self._unread: Mapping[str, int] = {}
        self._ended: list[Disconnect] = []

    def jobs(self, timetable: Timetable) -> Sequence[Job]:
        return [
            timetable.job(FEED, self.tick, at_start=True),
            timetable.job(FEED_CLOSE, self.close_slot),
        ]

    def tick(self) -> None:
        """Follow the plan, and store what has become of the feed since the last call.

        Raises what the store raises; what was not stored then is stored by the next call.
        """
        now = self._clock.now()
        if not self._begun:
            self._repository.end_open(now)
        latest = self._feed.board.latest()
        prices = {key: tick.last_price for key, tick in latest.items()}
        self._plan = self._planner.plan(now.astimezone(IST).date(), prices)
        self._feed.subscribe(self._plan)
        # It runs already, unless an error of its own has ended it.
        self._feed.start()
        for follower in self._followers:
            follower.start()
        self._begun = True
        self._record(now, latest)
        self._quotes.fill()
        self._prices.store(now)

    def close_slot(self) -> None:
        """Keep the ticks at the end of a slot, for what the requests may not bring of it."""
        board = self._feed.board
        # The first ticks of the next minute may be there already.
        ticks = (board.latest(), board.at_the_turn_of_the_minute())
        self._quotes.close_slot(self._feed.status(), ticks)

    def close(self) -> None:
        """Return when the connection is closed and no tick is taken, or after a few seconds."""
        pool = ClockedPool(self._clock, 1 + len(self._followers), "feed-stop")
        pool.submit(self._end)
        for follower in self._followers:
            pool.submit(follower.stop)
        if not pool.close(CLOSE_SECONDS):
            log.warning("feed_hangs")

    def _end(self) -> None:
        self._feed.stop()
        if not self._begun:
            return
        try:
            self._record(self._clock.now(), self._feed.board.latest())
        except DataFetchError as problem:
            # The store may be why the collector ends; its next one ends what is open.
            log.warning("feed_end_not_recorded", extra={"problem": problem.message})

    def _record(self, now: datetime, latest: Mapping[str, Tick]) -> None:
        status = self._feed.status()
        for change in self._feed.take_changes():
            facts = {"state": str(change.state), "cause": change.cause}
            # It lasts until something is done, or for as long as the provider demands.
            level = logging.WARNING if change.state is FeedState.REFUSED else logging.INFO
            log.log(level, "feed", extra=facts)
        self._log_recording(status.recording)
        self._log_unhonoured(status.unhonoured)
        self._log_unread(unread_of(status.counts), status.refusal)
        self._ended += self._feed.take_disconnects()
        # The status may be older than the end of its disconnect.
        present = [] if status.disconnect is None else [status.disconnect]
        report = feed_report_of(status, self._plan, latest, self._name_of, now)
        self._repository.record(report, [*present, *self._ended])
        self._ended.clear()

    def _log_unhonoured(self, unhonoured: Mapping[str, str]) -> None:
        """Log the keys that are not delivered, except for those of the last call."""
        new = {key: why for key, why in unhonoured.items() if key not in self._unhonoured}
        if new:
            facts = {"count": len(new), "sample": dict(islice(new.items(), MOST_NAMED))}
            log.warning("feed_keys_not_delivered", extra=facts)
        self._unhonoured = unhonoured

    def _log_unread(self, unread: Mapping[str, int], refusal: str) -> None:
        """Log what was not read or is not known, when it is of a kind that has not come before."""
        if unread.keys() - self._unread.keys():
            log.warning("feed_not_understood", extra={**unread, "refusal": refusal})
        self._unread = unread

    def _log_recording(self, recording: RecordingStatus | None) -> None:
        """Log minutes of the recording that failed since the last call."""
        if recording is not None and recording.failed > self._failed_recordings:
            log.warning("feed_not_recorded", extra=asdict(recording))
            self._failed_recordings = recording.failed


def feed_report_of(
    status: FeedStatus,
    plan: Plan,
    latest: Mapping[str, Tick],
    name_of: Callable[[str], str | None],
    now: datetime,
) -> FeedReport:
    """The report of a feed with *status*, the keys of *plan* and the *latest* tick of each."""
    condition = status.condition
    return FeedReport(
        at=now,
        state=str(condition.state),
        cause=condition.cause,
        since=condition.since,
        expected=condition.expected,
        keys=Counter(str(mode) for mode in plan.modes.values()),
        left_out={name: len(keys) for name, keys in plan.left_out.items()},
        awaited=len(status.awaited),
        unhonoured=len(status.unhonoured),
        last_tick=max((tick.received_at for tick in latest.values()), default=None),
        recording=status.recording,
        unread=unread_of(status.counts),
        refusal=status.refusal,
        unhonoured_keys=tuple(
            UnhonouredKey(key, name_of(key), reason)
            for key, reason in _planned_first(status.unhonoured, plan)[:MOST_NAMED]
        ),
    )


def unread_of(counts: FeedCounts) -> dict[str, int]:
    """How often the feed sent what was not read or is not known, by kind; only kinds that came."""
    found = {name: getattr(counts, name) for name in UNREAD}
    return {name: count for name, count in found.items() if count}


def _planned_first(unhonoured: Mapping[str, str], plan: Plan) -> list[tuple[str, str]]:
    """The keys and reasons of *unhonoured* in the order of *plan*, the most important first."""
    ranks = {key: rank for rank, key in enumerate(plan.modes)}
    # The feed may not have followed the plan yet.
    return sorted(unhonoured.items(), key=lambda each: ranks.get(each[0], len(ranks)))
