"""Today's listed expiries, requested once a day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from threading import Lock

from data_fetch.core.chains.chains import ListedExpiries
from data_fetch.core.clock import IST
from data_fetch.core.ports import Clock


class ExpiryCache:
    """The listed expiries of each underlying on the present trading date. Safe to share.

    Contracts are listed before the open and do not change during the day. A failure is not
    cached, so the next call sends a request again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[date, ListedExpiries]] = {}
        self._lock = Lock()

    def of(self, underlying_key: str, fetch: Callable[[], ListedExpiries]) -> ListedExpiries:
        """The result of *fetch*, or the cached one of this date (with 0 requests)."""
        today = self._clock.now().astimezone(IST).date()
        with self._lock:
            day, listed = self._known.get(underlying_key, (None, None))
        if listed is not None and day == today:
            return replace(listed, requests=0, raw_responses=())
        # Two threads may both send a request; waiting for each other would cost more.
        listed = fetch()
        if listed.problem is None:
            with self._lock:
                self._known[underlying_key] = (today, replace(listed, raw_responses=()))
        return listed
