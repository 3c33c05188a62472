"""Keeps requests within the provider's limits, for all processes that share an account.

Providers count requests per user and API in sliding windows. The sent requests are recorded in a
place that every process of the account uses (a file, PostgreSQL or Redis: `ports.RateWindows`),
so the record survives a restart, and the live lane of one process is served before the bulk lane
of another. A pause that the provider requires (Retry-After) is recorded there as well.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import count
from secrets import randbits
from threading import Event

from data_fetch.core.clock import IST
from data_fetch.core.errors import RateLimited, Stopped, WindowsUnavailable
from data_fetch.core.pacing import (
    LONGEST_FLIGHT,
    LONGEST_PAUSE,
    Cause,
    QueueEntry,
    RateRules,
    Turn,
)
from data_fetch.core.ports import Clock, Lane, RateLedger, RateWindows
from data_fetch.sources.transport.jwt import token_claims

log = logging.getLogger(__name__)

# Every place can hold such a number.
NUMBER_BITS = 62


def account_of(host: str, token: str) -> str:
    """The name under which the spending of one account at one host is recorded.

    A token that names its user (a JWT's `sub`) stands for the user, whose limits outlive the
    daily token; any other token stands for itself. The name reveals neither.
    """
    account = token_claims(token).get("sub") or token
    return hashlib.sha256(f"{host}\n{account}".encode()).hexdigest()[:32]


class Pacer:
    """Permission to send, from one set of sliding windows per API. Satisfies `ports.Pacing`.

    Waits on any clock; *flight* is the longest time that a request is in flight. Each request
    calls *account*, because it changes with a renewed token. Raises what *windows* raises when
    they cannot be used: nothing is sent then.
    """

    def __init__(
        self,
        windows: RateWindows,
        account: Callable[[], str],
        clock: Clock,
        limits: Mapping[timedelta, int],
        flight: timedelta = LONGEST_FLIGHT,
    ) -> None:
        self.limits = limits
        self._windows = windows
        self._account = account
        self._clock = clock
        self._rules = RateRules(limits, flight)
        self._ledgers: dict[str, RateLedger] = {}
        # Unlike those of any other pacer.
        self._numbers = count(randbits(NUMBER_BITS))

    @contextmanager
    def request(
        self,
        api: str,
        lane: Lane,
        latest: datetime | None = None,
        stop: Event | None = None,
    ) -> Iterator[None]:
        """Wait for permission to send one request to *api*; count it until its response.

        Raises RateLimited at once when permission cannot come by *latest*, Stopped when *stop*
        is set before it comes.
        """
        ledger, entry = self._ledger(), QueueEntry(next(self._numbers), api, lane)
        self._wait_for_turn(ledger, entry, latest, stop or Event())
        try:
            yield
        finally:
            self._answer(ledger, entry)

    def pause(self, api: str, duration: timedelta) -> None:
        """Send nothing to *api* for *duration* from now, in no process that shares the windows.

        At most LONGEST_PAUSE; a shorter pause does not end a longer one.
        """
        self._ledger().pause(api, min(duration, LONGEST_PAUSE))

    def pauses(self) -> dict[str, datetime]:
        """Until when each API is paused at present."""
        return dict(sorted(self._ledger().spending().pauses.items()))

    def unknown_until(self) -> datetime | None:
        """Before when an unknown number of earlier requests may still count; None when all are
        known."""
        return self._ledger().spending().unknown_until

    def used(self) -> dict[tuple[str, timedelta], int]:
        """How many requests count at present, by API and window."""
        spending = self._ledger().spending()
        return {
            (api, window): sum(end >= spending.now - window for end in ends)
            for window in self.limits
            for api, ends in sorted(spending.ends.items())
        }

    def spending(self, api: str) -> list[datetime]:
        """From when each request in the longest window of *api* counts, oldest first.

        Requests in flight are counted as if their response came now.
        """
        return list(self._ledger().spending().ends.get(api, ()))

    def close(self) -> None:
        """Close the windows. The next request would open them again."""
        self._windows.close()

    def _ledger(self) -> RateLedger:
        """The ledger of the account in use."""
        account = self._account()
        ledger = self._ledgers.get(account)
        if ledger is None:
            ledger = self._windows.ledger(account, self._rules)
            self._ledgers[account] = ledger
        return ledger

    def _wait_for_turn(
        self, ledger: RateLedger, entry: QueueEntry, latest: datetime | None, stop: Event
    ) -> None:
        try:
            while True:
                patience = None if latest is None else latest - self._clock.now()
                turn = ledger.take(entry, patience)
                if turn.granted:
                    return
                if not turn.comes_within(patience):
                    raise self._rejection(entry.api, turn)
                if self._clock.wait(self._clock.now() + turn.wait, stop):
                    raise Stopped(f"a request to {entry.api} was cancelled while it waited")
        except BaseException:
            # Ctrl-C too: an abandoned entry would block all entries behind it. Where it cannot
            # be removed it is taken for dead soon after its turn.
            with suppress(WindowsUnavailable):
                if entry.ticket is not None:
                    ledger.leave(entry)
            raise

    def _answer(self, ledger: RateLedger, entry: QueueEntry) -> None:
        try:
            ledger.answer(entry)
        except WindowsUnavailable as problem:
            # The response is in hand. Unanswered, the request counts as long as one in flight.
            log.warning(
                "response_not_recorded", extra={"api": entry.api, "problem": problem.message}
            )

    def _rejection(self, api: str, turn: Turn) -> RateLimited:
        until = f"{turn.at.astimezone(IST):%H:%M:%S} IST"
        if turn.cause is Cause.PAUSE:
            return RateLimited(
                f"The provider requires a pause of {api} until {until}",
                retry_after=turn.wait,
                hint="Nothing was sent, and no other program that shares the rate windows sends "
                "anything there.",
            )
        if turn.cause is Cause.UNKNOWN:
            return RateLimited(
                f"The requests of the last {_minutes(self._rules.longest)} are not known "
                f"({self._windows.where} lost them, or is new to this account): nothing is sent "
                f"to {api} until {until}",
                retry_after=turn.wait,
                hint="Requests go on by themselves then.",
            )
        limits = ", ".join(
            f"{limit} in {window.total_seconds():g} s" for window, limit in self.limits.items()
        )
        return RateLimited(
            f"The budget of {api} ({limits}) is used up until {until}",
            retry_after=turn.wait,
            hint="Nothing was sent; another program may be using the same account.",
        )


def _minutes(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 60:.2g} minutes"
