"""The protocols between the packages. Nothing here is implemented.

`sources`, `storage` and `core.clock` implement them structurally; the stand-ins for tests are in
`tests/support`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from enum import IntEnum
from threading import Event
from typing import Protocol

from data_fetch.core.candles.candles import CandleReply, OhlcResponse
from data_fetch.core.candles.request_planner import CandleEndpoint, Window
from data_fetch.core.chains.chains import ChainReply, ChainSource, ListedExpiries
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.provider import PublishedCalendar
from data_fetch.core.pacing import QueueEntry, RateRules, Spending, Turn
from data_fetch.core.provider_tokens import ApprovalRequest, Login
from data_fetch.core.quotes.quotes import Movement, QuoteResponse, StoredQuote
from data_fetch.core.runs import SyncAttempt, SyncRun
from data_fetch.core.work import WorkUnit


class Hold(Protocol):
    """Work in progress. On a virtual clock no time passes while there is a hold."""

    def release(self) -> None:
        """The work is done. Calling it again changes nothing."""


class Clock(Protocol):
    """The present time, and waiting for a later one.

    A thread that waits (`sleep`, `wait`) must have a hold: the wait releases one hold and
    takes it again at its end, so that a virtual clock can advance when all threads wait.
    """

    def now(self) -> datetime:
        """The present instant: aware, in UTC."""

    def sleep(self, duration: timedelta) -> None:
        """Return when *duration* has passed on this clock."""

    def wait(self, until: datetime, stop: Event, since: datetime | None = None) -> bool:
        """Return at *until*, or at once when *stop* is set; the result is whether it was set.

        Returns early as well when the clock is set back, or was since it read *since*: *until*
        may now be hours away.
        """

    def was_set_back(self, before: datetime, now: datetime) -> bool:
        """Whether a clock that read *before* and then *now* was set back, and not just corrected
        by some seconds."""

    def elapsed_in(self, real: timedelta) -> timedelta:
        """How much time passes on this clock while *real* time passes."""

    def hold(self) -> Hold:
        """Stop the time of a virtual clock until the hold is released."""

    def released(self) -> AbstractContextManager[None]:
        """Release this thread's hold while it blocks on the work of other threads."""


class Lane(IntEnum):
    """The priority of requests that use one budget; the lowest number is first."""

    LIVE = 0
    CHAIN = 1
    BACKFILL = 2


class Pacing(Protocol):
    """Permission to send requests inside the provider's limits."""

    def request(
        self,
        api: str,
        lane: Lane,
        latest: datetime | None = None,
        stop: Event | None = None,
    ) -> AbstractContextManager[None]:
        """Wait for permission, then hold the request's place in the windows of *api*.

        Enter before sending, exit when the response (or the error) has arrived. Raises
        RateLimited at once when there is no permission by *latest*, Stopped when *stop* is
        set before there is one.
        """

    def pause(self, api: str, duration: timedelta) -> None:
        """Give no permission for *api* for *duration* from now: the provider requires it."""


class RateLedger(Protocol):
    """The spending of one account, in a place that all its processes share.

    Every method is one transaction, and raises WindowsUnavailable when the place does not answer
    (the file of a machine: SetupError when it cannot be used).
    """

    def take(self, entry: QueueEntry, patience: timedelta | None) -> Turn:
        """Grant *entry* if its turn is now; it counts as in flight then. Otherwise queue it,
        unless its turn is later than *patience* from now."""

    def answer(self, entry: QueueEntry) -> None:
        """Record that the response to a granted entry has arrived."""

    def leave(self, entry: QueueEntry) -> None:
        """Remove *entry* from the queue."""

    def pause(self, api: str, duration: timedelta) -> None:
        """Grant nothing for *api* for *duration* from now; a longer pause stays."""

    def spending(self) -> Spending:
        """What is recorded now."""


class RateWindows(Protocol):
    """The place with the spending of all accounts. *where* names it, without passwords."""

    @property
    def where(self) -> str: ...

    def ledger(self, account: str, rules: RateRules) -> RateLedger:
        """The ledger of *account*; nothing is opened for it."""

    def close(self) -> None:
        """Close connections; the next use opens them again."""


class QuoteSource(Protocol):
    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        """The last quotes of all *instrument_keys*, in as many requests as necessary."""


class MinuteCandleSource(Protocol):
    def minute_candles(self, instrument_keys: Sequence[str]) -> OhlcResponse:
        """The last complete minute of all *instrument_keys*, in as many requests as necessary."""


class CandleSource(Protocol):
    @property
    def endpoints(self) -> Sequence[CandleEndpoint]:
        """All endpoints that serve candles."""

    def endpoint_for(self, instrument: Instrument, day: date, today: date) -> CandleEndpoint:
        """The endpoint that serves *day* of *instrument* when the date in India is *today*."""

    def candles(self, window: Window, stop: Event) -> CandleReply:
        """The candles of *window*; a rejection or an outage is in `problem`.

        Setting *stop* ends all waiting for permission; the request is then not sent.
        """


class CalendarSource(Protocol):
    """A source of holidays and trading hours."""

    name: str

    def published(self, days: Sequence[date], stop: Event) -> PublishedCalendar:
        """The holidays of the current year, and the hours of *days* where the source has them.

        Raises OutsideError or RequestRefused; Stopped when *stop* is set.
        """


class ChainProvider(Protocol):
    """A source of option chains."""

    source: ChainSource

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries, requested at most once a day; any error is in `problem`."""

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; any error is in `problem`."""


class LoginSource(Protocol):
    """Logs an app in at a provider. No request is repeated."""

    def dialog_url(self, redirect_uri: str, state: str) -> str:
        """The page on which a person logs in; it sends the browser to *redirect_uri*."""

    def exchange(self, code: str, redirect_uri: str) -> Login:
        """The token for the *code* of the dialog. Raises OutsideError or RequestRefused."""

    def request_approval(self) -> ApprovalRequest:
        """Ask the app's user for approval. Raises OutsideError or RequestRefused."""


class LoginStore(Protocol):
    """Has the last login, where every process looks for its token."""

    def read(self) -> Login | None:
        """The last login."""

    def save(self, login: Login) -> None:
        """Put *login* in the place of the former one."""


class WorkQueue(Protocol):
    """Carries the keys of units to the workers, never the work: what it loses is sent again."""

    def send(self, units: Sequence[WorkUnit]) -> None:
        """Send the keys of *units*. Raises BrokerUnreachable."""

    def waiting(self) -> int:
        """How many keys no worker has received yet. Raises BrokerUnreachable."""


class QuoteRepository(Protocol):
    """Stores quotes, and the audit of collecting them."""

    def record_slot(
        self, run: SyncRun, quotes: Sequence[StoredQuote], attempts: Sequence[SyncAttempt]
    ) -> None:
        """Store quotes, audit row and sync status in one transaction."""

    def recorded_slots(self, first: datetime, last: datetime) -> set[datetime]:
        """The slots from *first* to *last* that were collected or have a reason why not."""

    def record_runs(self, runs: Sequence[SyncRun]) -> None:
        """Store the audit rows of runs without quotes."""

    def last_recorded(self, before: datetime) -> datetime | None:
        """The newest slot before *before* that was collected or has a reason why not."""

    def withdraw(self, run: SyncRun, since: datetime, until: datetime) -> SyncRun:
        """Take the slots from the minute of *since* to *until* out of the account: they were
        recorded by a clock that was ahead. Their quotes count as off session.

        Stores *run* with the counts, and returns it.
        """

    def latest(self) -> Mapping[str, StoredQuote]:
        """The newest in-session quote of each instrument, by its present symbol."""

    def movements(self, slots: Sequence[datetime]) -> Mapping[str, Movement]:
        """The movement of each instrument's quote over *slots*, by its present symbol."""


class SlotListener(Protocol):
    """Called with the result of each slot: a screen, a publisher."""

    def __call__(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None: ...


class TickReader(Protocol):
    """What one reader has not taken yet of the ticks of a feed."""

    def take(self, seconds: float = 0) -> Mapping[str, Tick]:
        """The newest tick of each instrument key that has one since the last call.

        Waits at most *seconds* for the first; empty when none comes.
        """

    def close(self) -> None:
        """Wait for nothing any more."""


class TickSource(Protocol):
    """Hands out the ticks of a feed, to any number of readers."""

    def reader(self) -> TickReader:
        """A reader that gets what comes from now on."""
