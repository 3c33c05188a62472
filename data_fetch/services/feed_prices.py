"""Stores what the feed has and no request has brought yet: minutes of the universe, and legs."""

import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime
from threading import Event, Lock, Thread

from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError
from data_fetch.core.feed.live_prices import FeedCandle, candles_in, legs_in
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.members import Members
from data_fetch.core.ports import Clock
from data_fetch.storage.live_prices import LivePrices

log = logging.getLogger(__name__)

# What changed within so long is stored together.
REFRESH_SECONDS = 5.0


class FeedPrices:
    """Keeps the live prices of *repository* up to date, and of today only.

    *latest* has the newest tick of each live key, *contracts* the options by live key; it may
    grow. Nothing is written of a tick twice. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        members: Members,
        calendar: MarketCalendar,
        latest: Callable[[], Mapping[str, Tick]],
        contracts: Mapping[str, Instrument],
        repository: LivePrices,
    ) -> None:
        self._members = members
        self._calendar = calendar
        self._latest = latest
        self._contracts = contracts
        self._repository = repository
        self._lock = Lock()
        self._day: date | None = None
        self._stored: Mapping[str, Tick] = {}

    def store(self, now: datetime) -> None:
        """Store what is new since the last call.

        Raises what the store raises; the next call stores it then.
        """
        with self._lock:
            # Here, so that no thread stores ticks older than those of another one.
            ticks, day = self._latest(), _day_of(now)
            if day != self._day:
                self._repository.drop_before(day)
                self._day = day
            fresh = {
                key: tick
                for key, tick in ticks.items()
                if tick is not self._stored.get(key) and _day_of(tick.received_at) == day
            }
            if fresh:
                self._repository.record(self._candles(fresh, day), legs_in(fresh, self._contracts))
            self._stored = ticks

    def _candles(self, ticks: Mapping[str, Tick], day: date) -> list[FeedCandle]:
        return [
            candle
            for one in self._members.instruments
            if (tick := ticks.get(one.live_key)) is not None
            for candle in candles_in(
                tick, one.instrument_key, self._calendar.session(day, group_of(one, day))
            )
        ]


class PriceRefresher:
    """Keeps *prices* a few seconds old at most between two runs of the feed's job, in a thread of
    its own.

    What the store refuses is logged, once until it succeeds: the job raises it when its turn comes.
    """

    def __init__(
        self,
        prices: FeedPrices,
        clock: Clock,
        seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._prices = prices
        self._clock = clock
        self._seconds = seconds
        self._stop = Event()
        self._thread: Thread | None = None
        self._problem = ""

    def start(self) -> None:
        """Begin to refresh. Without effect while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._thread = Thread(target=self._run, name="live-prices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when nothing is stored any more. A second call does nothing."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._prices.store(self._clock.now())
                self._problem = ""
            except DataFetchError as problem:
                if problem.message != self._problem:
                    log.warning("live_prices_not_stored", extra={"problem": problem.message})
                self._problem = problem.message


def _day_of(at: datetime) -> date:
    return at.astimezone(IST).date()
