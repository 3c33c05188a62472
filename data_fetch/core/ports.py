"""The shapes that the rooms ask of each other. Nothing here is implemented.

`sources`, `storage`, `core.clock` and `testing` satisfy these by shape.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from enum import IntEnum
from threading import Event
from typing import Protocol

from data_fetch.core.candles.candles import CandleReply, OhlcResponse
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.chains.chains import ChainReply, ChainSource, ListedExpiries
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Movement, QuoteResponse, StoredQuote
from data_fetch.core.runs import SyncAttempt, SyncRun


class Hold(Protocol):
    """A piece of work in flight. On a virtual clock no time passes while one is held."""

    def release(self) -> None:
        """The work is done. Calling it again changes nothing."""


class Clock(Protocol):
    """What time it is, and how to wait.

    A thread that waits (`sleep`, `wait`) must have its work held: the wait lets go of one
    hold and takes it back on waking, so that a virtual clock knows when everybody waits.
    """

    def now(self) -> datetime:
        """The present instant: aware, in UTC."""

    def sleep(self, duration: timedelta) -> None:
        """Return when *duration* has passed on this clock."""

    def wait(self, until: datetime, stop: Event) -> bool:
        """Return at *until*, or at once when *stop* is set; say whether it was set."""

    def hold(self) -> Hold:
        """Time stands still on a virtual clock until the hold is released."""

    def released(self) -> AbstractContextManager[None]:
        """Let go of this thread's hold while it blocks on the work of other threads."""


class Lane(IntEnum):
    """Who is served first when several want to spend from one budget."""

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

        Enter before sending, leave when the answer (or the error) has arrived. Raises
        RateLimited at once when permission cannot come by *latest*, Stopped when *stop* is
        set before it comes.
        """


class QuoteSource(Protocol):
    def quotes(self, instrument_keys: Sequence[str], lane: Lane = Lane.LIVE) -> QuoteResponse:
        """The last quotes of all *instrument_keys*, however many requests that takes."""


class MinuteCandleSource(Protocol):
    def bars(self, instrument_keys: Sequence[str]) -> OhlcResponse:
        """The last completed minute of all *instrument_keys*, however many requests that takes."""


class CandleSource(Protocol):
    def candles(self, window: Window, stop: Event) -> CandleReply:
        """What the provider says of *window*; a refusal or an outage is in `problem`.

        Setting *stop* ends all waiting for a turn; the request is then not sent.
        """


class ChainProvider(Protocol):
    """One of the places that option chains can be had from."""

    source: ChainSource

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries, told at most once a day; whatever goes wrong is in `problem`."""

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; whatever goes wrong is in `problem`."""


class QuoteRepository(Protocol):
    """Where quotes, and the audit of collecting them, are kept."""

    def record_slot(
        self, run: SyncRun, quotes: Sequence[StoredQuote], attempts: Sequence[SyncAttempt]
    ) -> None:
        """Facts, audit row and sync status in one transaction: all of it or nothing."""

    def record_runs(self, runs: Sequence[SyncRun]) -> None:
        """Audit rows of runs that brought no quotes."""

    def latest(self) -> Mapping[str, StoredQuote]:
        """The newest in-session quote of each symbol."""

    def movements(self, slots: Sequence[datetime]) -> Mapping[str, Movement]:
        """How far each symbol's quote moved over *slots*."""


class SlotListener(Protocol):
    """Somebody who wants to know at once what a slot brought: a screen, a publisher."""

    def __call__(self, run: SyncRun, quotes: Sequence[StoredQuote]) -> None: ...
