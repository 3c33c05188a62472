"""Whether the feed is alive: a state from facts with instants. Pure.

A server that answers pings may carry no prices, and silence is normal at night. So prices are
expected by *sentinels*, keys that tick about once a second while their market is open, and only
while both the calendar and the feed's own market status say that it is.
"""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum, auto

from data_fetch.core.clock import IST
from data_fetch.core.errors import (
    AccessDenied,
    DataFetchError,
    RateLimited,
    SetupError,
    TokenRejected,
)
from data_fetch.core.feed.market_status import MarketStatus
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.session import TradingGroup, day_of, instant_of, minute_number

# What waiting alone does not end, or only the wait that the provider demands.
REFUSALS = (TokenRejected, AccessDenied, RateLimited, SetupError)

# Silence is too long when it is longer than its rule.
A_MOMENT = timedelta(milliseconds=1)
EPOCH = datetime.fromtimestamp(0, UTC)

# An index may tick so long after its market has closed.
LAST_PRINTS = timedelta(minutes=1)


class FeedState(StrEnum):
    """``connecting``: no price has come yet, nor had to; ``live``: prices come; ``mute``: they
    should and do not; ``dead``: the connection is lost or to be given up; ``market_closed``: it
    stands, and no price is expected; ``refused``: by token, plan, limits or a setting;
    ``stopped``: not running."""

    CONNECTING = "connecting"
    LIVE = "live"
    MUTE = "mute"
    DEAD = "dead"
    MARKET_CLOSED = "market_closed"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The state of the feed *since* an instant (UTC), and its cause as a sentence with what to do.

    *expected*: prices have to come at present, so everything but ``live`` and ``connecting`` costs
    data. A mute or dead feed is so since its last sign of life.
    """

    state: FeedState
    cause: str
    since: datetime
    expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessRules:
    """Sentinels that are silent for *mute_after* make the feed mute, for *dead_after* dead. A key
    without an entry *honoured_within* its request is requested again. Without any reason the feed
    is looked at every *look_every*: markets open and close at whole multiples of it.
    """

    mute_after: timedelta = timedelta(seconds=5)
    dead_after: timedelta = timedelta(seconds=10)
    honoured_within: timedelta = timedelta(seconds=5)
    look_every: timedelta = timedelta(seconds=30)


class _Phase(Enum):
    STOPPED = auto()
    TRYING = auto()
    OPEN = auto()
    LOST = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class _Reported:
    """A status, when it was reported first and when last."""

    status: MarketStatus
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Sentinel:
    """An instrument that ticks about once a second in the hours of *group*."""

    name: str
    group: TradingGroup


class Liveness:
    """The facts of one feed, and the condition that follows from them. *sentinels* are by key."""

    def __init__(self, sentinels: Mapping[str, Sentinel], rules: LivenessRules) -> None:
        self._sentinels = dict(sentinels)
        self._rules = rules
        self._phase = _Phase.STOPPED
        self._cause = "the feed is not started"
        self._changed_at: datetime | None = None
        # On the present connection.
        self._requested: dict[str, datetime] = {}
        self._last_ticks: dict[str, datetime] = {}
        self._last_price: datetime | None = None
        self._statuses: dict[str, _Reported] = {}
        self._condition: Condition | None = None
        self._silent_since: datetime | None = None

    # Facts

    def trying(self, at: datetime) -> None:
        """A connection is being established; a failure before it stays the state until then."""
        if self._phase is _Phase.STOPPED:
            self._enter(_Phase.TRYING, "the feed is being connected", at)

    def renewing(self, at: datetime) -> None:
        """The connection was closed on purpose, and another one is being established."""
        self._enter(_Phase.TRYING, "the connection is renewed ahead of the session", at)

    def opened(self, at: datetime) -> None:
        """The connection is open, and nothing has been received on it."""
        self._enter(_Phase.OPEN, "", at)
        self._requested.clear()
        self._last_ticks.clear()
        self._last_price = None
        self._statuses.clear()

    def requested(self, keys: Collection[str], at: datetime) -> None:
        """*keys* are requested, and no others."""
        self._requested = {
            key: self._requested.get(key, at) for key in self._sentinels if key in keys
        }

    def ticked(self, keys: Iterable[str], at: datetime) -> None:
        """Live prices came, among them those of *keys*."""
        self._last_price = at
        for key in keys:
            if key in self._sentinels:
                self._last_ticks[key] = at

    def reported(self, statuses: Mapping[str, MarketStatus], at: datetime) -> None:
        """The feed reported the status of segments."""
        for segment, status in statuses.items():
            known = self._statuses.get(segment)
            since = known.since if known is not None and known.status is status else at
            self._statuses[segment] = _Reported(status, since, at)

    def lost(self, cause: str, since: datetime) -> None:
        """The connection was lost, or given up, and gave its last sign of life at *since*."""
        self._enter(_Phase.LOST, cause, since)

    def failed(self, problem: DataFetchError, at: datetime) -> None:
        """The connection was not established."""
        phase = _Phase.REFUSED if isinstance(problem, REFUSALS) else _Phase.LOST
        self._enter(phase, str(problem), at)

    def stopped(self, cause: str, at: datetime) -> Condition:
        """The feed is not running any more; the condition needs no calendar, which may be why."""
        self._enter(_Phase.STOPPED, cause, at)
        self._condition = Condition(state=FeedState.STOPPED, cause=cause, since=at, expected=False)
        return self._condition

    def _enter(self, phase: _Phase, cause: str, at: datetime) -> None:
        if phase is not self._phase:
            self._changed_at = at
        self._phase, self._cause = phase, cause

    # What follows from them

    @property
    def sentinels(self) -> frozenset[str]:
        return frozenset(self._sentinels)

    @property
    def groups(self) -> frozenset[TradingGroup]:
        return frozenset(each.group for each in self._sentinels.values())

    def condition(self, now: datetime, calendar: MarketCalendar) -> Condition:
        """The condition at *now*. One whose state has not changed keeps its instant."""
        self._forget_later_than(now)
        self._silent_since = None
        found = self._found(now, self._openings(now, calendar))
        known = self._condition
        if known is not None and known.state is found.state:
            found = replace(found, since=known.since)
        self._condition = found
        return found

    def next_look(self, now: datetime) -> datetime:
        """The first instant after *now* at which the condition, found at *now*, may change without
        a new fact."""
        every = self._rules.look_every
        instants = [now + every - (now - EPOCH) % every]
        if self._silent_since is not None:
            for silence in (self._rules.mute_after, self._rules.dead_after):
                instants.append(self._silent_since + silence + A_MOMENT)
        return min(at for at in instants if at > now)

    def _forget_later_than(self, now: datetime) -> None:
        """After the clock was set back: what came later than *now* came now."""
        for instants in (self._requested, self._last_ticks):
            for key, at in instants.items():
                instants[key] = min(at, now)
        if self._last_price is not None:
            self._last_price = min(self._last_price, now)

    def _found(self, now: datetime, openings: Mapping[str, datetime]) -> Condition:
        expected = bool(openings)
        state = {
            _Phase.STOPPED: FeedState.STOPPED,
            _Phase.TRYING: FeedState.CONNECTING,
            _Phase.LOST: FeedState.DEAD,
            _Phase.REFUSED: FeedState.REFUSED,
        }.get(self._phase)
        if state is not None:
            since = self._changed_at or now
            return Condition(state=state, cause=self._cause, since=since, expected=expected)
        return self._when_open(now, openings)

    def _when_open(self, now: datetime, openings: Mapping[str, datetime]) -> Condition:
        if not openings:
            return Condition(
                state=FeedState.MARKET_CLOSED,
                cause=self._why_closed(),
                since=now,
                expected=False,
            )
        since = {
            key: max(opening, self._requested[key])
            for key, opening in openings.items()
            if key in self._requested
        }
        if not since:
            return Condition(
                state=FeedState.CONNECTING,
                cause="connected, and no key is requested that shows whether prices come",
                since=now,
                expected=True,
            )
        return self._in_session(now, since)

    def _in_session(self, now: datetime, openings: Mapping[str, datetime]) -> Condition:
        """The condition by the sentinels that have had to tick since the instants *openings*."""
        ticked_at = self._sign_of_life(openings)
        earliest = min(openings.values())
        self._silent_since = silent_since = max(earliest, ticked_at or earliest)
        silence = now - silent_since
        if silence > self._rules.mute_after:
            state = FeedState.DEAD if silence > self._rules.dead_after else FeedState.MUTE
            return Condition(
                state=state,
                cause=f"no price of {self._names(openings)} since {_time(silent_since)}, "
                "though the market is open",
                since=silent_since,
                expected=True,
            )
        if ticked_at is None or ticked_at < earliest:
            return Condition(
                state=FeedState.CONNECTING,
                cause="connected, and no live price has come yet",
                since=earliest,
                expected=True,
            )
        return Condition(state=FeedState.LIVE, cause="prices come", since=now, expected=True)

    def _sign_of_life(self, openings: Mapping[str, datetime]) -> datetime | None:
        """The last price that shows whether prices come; None when none has come."""
        if openings.keys() & self._last_ticks.keys():
            # One whose market has closed since was a sign of life until then.
            return max(self._last_ticks.values())
        # A new connection would hardly deliver the sentinels, and cost what comes beside them.
        return self._last_price

    def _openings(self, now: datetime, calendar: MarketCalendar) -> dict[str, datetime]:
        """The sentinels that have to tick at *now*, and since when they have had to."""
        found = {}
        for key, sentinel in self._sentinels.items():
            opening = open_since(calendar, sentinel.group, now)
            if opening is None:
                continue
            reported = self._statuses.get(key.partition("|")[0])
            if reported is None or reported.status is MarketStatus.NORMAL_OPEN:
                resumed = opening if reported is None else reported.since
                found[key] = max(opening, resumed)
            elif reported.at < opening or self._contradicts(key, reported):
                # Sent before the opening, it does not excuse silence after it.
                found[key] = opening
        return found

    def _contradicts(self, key: str, reported: _Reported) -> bool:
        """Whether *key* goes on ticking though its market is reported as closed."""
        ticked_at = self._last_ticks.get(key)
        return ticked_at is not None and ticked_at - reported.since >= LAST_PRINTS

    def _names(self, keys: Container[str]) -> str:
        return ", ".join(each.name for key, each in self._sentinels.items() if key in keys)

    def _why_closed(self) -> str:
        closed = sorted(
            f"{segment} is {reported.status}"
            for segment in {key.partition("|")[0] for key in self._sentinels}
            if (reported := self._statuses.get(segment)) is not None
            and reported.status is not MarketStatus.NORMAL_OPEN
        )
        hours = f"the market of {self._names(self._sentinels)} is closed"
        return f"no price is expected: {', '.join(closed) or hours}"


def open_since(calendar: MarketCalendar, group: TradingGroup, at: datetime) -> datetime | None:
    """When the continuous trading of *group* that goes on at *at* began; None when none does."""
    minute = minute_number(at)
    for first, end in calendar.session(day_of(minute), group).spans:
        if first <= minute < end:
            return instant_of(first)
    return None


def _time(at: datetime) -> str:
    return f"{at.astimezone(IST):%H:%M:%S} IST"
