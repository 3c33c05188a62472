"""What a feed knows of itself: for its own thread, and as records for others."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from data_fetch.core.errors import DataFetchError
from data_fetch.core.feed.disconnects import Disconnect, DisconnectLog
from data_fetch.core.feed.liveness import Condition, Liveness
from data_fetch.core.feed.plan import Plan
from data_fetch.core.feed.recorder import MessageRecorder, RecordingStatus
from data_fetch.core.feed.renewal import is_worn
from data_fetch.core.feed.subscriptions import Subscriptions
from data_fetch.core.feed.ticks import TickBook, TickCounts
from data_fetch.core.feed.waits import Waits
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.sources.upstox.feed_messages import FeedMessage

# What waits to be taken; of more than these the oldest are dropped.
MOST_WAITING = 1000


@dataclass(slots=True)
class FeedCounts:
    """Since the start: *junk* are messages that cannot be read, *refusals* those in text."""

    attempts: int = 0
    connections: int = 0
    messages: int = 0
    bytes: int = 0
    junk: int = 0
    refusals: int = 0
    unknown_fields: int = 0
    unknown_words: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """The feed at one instant. *refusal* is the feed's last one, in its words.

    Of the *requested* keys, *awaited* have no entry yet, and *unhonoured* were requested in vain,
    each with the reason; *left_out* counts those without room, by group of the plan. *disconnect*
    is the present one. *recording* is None where the messages are not recorded.
    """

    condition: Condition
    connected_since: datetime | None
    requested: frozenset[str]
    awaited: frozenset[str]
    unhonoured: Mapping[str, str]
    left_out: Mapping[str, int]
    disconnect: Disconnect | None
    refusal: str
    counts: FeedCounts
    ticks: TickCounts
    recording: RecordingStatus | None


@dataclass
class FeedFacts:
    """The parts of a feed that its thread uses, joined. Other threads use *board*, `status`,
    `changed` and `disconnects` only: those are replaced or extended as a whole."""

    liveness: Liveness
    subscriptions: Subscriptions
    waits: Waits
    calendar: Callable[[], MarketCalendar]
    recorder: MessageRecorder
    board: TickBoard = field(default_factory=TickBoard)
    book: TickBook = field(default_factory=TickBook)
    log: DisconnectLog = field(default_factory=DisconnectLog)
    counts: FeedCounts = field(default_factory=FeedCounts)
    plan: Plan = field(default_factory=Plan)
    keys: frozenset[str] = frozenset()
    refusal: str = ""
    connected_since: datetime | None = None
    # Of the present connection, in a snapshot or live.
    has_prices: bool = False
    changed: deque[Condition] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    disconnects: deque[Disconnect] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    status: FeedStatus | None = None

    def request(self, plan: Plan, at: datetime) -> None:
        """The subscriptions become those of *plan*."""
        self.plan, self.keys = plan, plan.keys
        self.book.request(self.keys)
        self.board.keep(self.keys)
        self.liveness.requested(self.keys, at)

    def attempted(self, at: datetime) -> None:
        """A connection is being established."""
        self.counts.attempts += 1
        self.liveness.trying(at)

    def opened(self, at: datetime) -> None:
        """A connection is open."""
        self.counts.connections += 1
        self.connected_since = at
        self.has_prices = False
        self.subscriptions.begin()
        self.liveness.opened(at)

    def received(self, message: bytes | str, at: datetime) -> None:
        """*message* came."""
        self.recorder.add(message, at)
        self.counts.messages += 1
        self.counts.bytes += len(message)

    def refused(self, text: str) -> None:
        """The feed refused a request, in these words."""
        self.counts.refusals += 1
        self.refusal = text
        self.subscriptions.refused(text)

    def take(self, message: FeedMessage, at: datetime) -> None:
        """Hand over what *message* has."""
        self.counts.unknown_fields += message.unknown_fields
        self.counts.unknown_words += message.unknown_words
        if message.statuses:
            self.liveness.reported(message.statuses, at)
        if not message.keys:
            return
        self.subscriptions.seen(message.keys, message.ticks)
        if not message.ticks:
            return
        self.board.put(message.ticks)
        self.has_prices = True
        if message.live:
            self._end_disconnect(at)
            self.waits.reset()
            self.liveness.ticked(self.liveness.sentinels & message.ticks.keys(), at)

    def is_worn(self, opened_at: datetime, now: datetime) -> bool:
        """Whether the connection of *opened_at* is to be renewed at *now*."""
        return is_worn(opened_at, now, self.calendar(), self.liveness.groups)

    def renewing(self, at: datetime) -> None:
        """The connection was closed to be renewed."""
        self.connected_since = None
        self.liveness.renewing(at)

    def lost(self, cause: str, since: datetime, keys: frozenset[str]) -> None:
        """The connection, with *keys*, ended."""
        self.connected_since = None
        self.liveness.lost(cause, since)
        self.log.lost(since, cause, keys)

    def failed(self, problem: DataFetchError, at: datetime, keys: frozenset[str]) -> None:
        """No connection, which was to have *keys*, was established."""
        self.connected_since = None
        self.liveness.failed(problem, at)
        self.log.lost(at, str(problem), keys)

    def stopped(self, cause: str, at: datetime) -> None:
        """The feed is not running any more."""
        self.connected_since = None
        self._end_disconnect(at)
        condition = self.liveness.stopped(cause, at)
        self._publish(condition)
        # It may wait for a disk that hangs.
        self.recorder.close()
        self._publish(condition)

    def look(self, now: datetime) -> Condition:
        """The condition at *now*; it is published, and reported when it has changed."""
        condition = self.liveness.condition(now, self.calendar())
        # While live prices have to come, a snapshot is not enough: the connection may be mute.
        if not condition.expected and self.connected_since is not None and self.has_prices:
            self._end_disconnect(now)
        self._publish(condition)
        return condition

    def _publish(self, condition: Condition) -> None:
        if self.status is None or condition != self.status.condition:
            self.changed.append(condition)
        self.status = FeedStatus(
            condition=condition,
            connected_since=self.connected_since,
            requested=self.keys,
            awaited=self.subscriptions.awaited,
            unhonoured=self.subscriptions.unhonoured,
            left_out={name: len(keys) for name, keys in self.plan.left_out.items()},
            disconnect=self.log.present,
            refusal=self.refusal,
            counts=replace(self.counts),
            ticks=replace(self.book.counts),
            recording=self.recorder.status(),
        )

    def _end_disconnect(self, at: datetime) -> None:
        over = self.log.ended(at)
        if over is not None:
            self.disconnects.append(over)
