"""Stores what the feed has and no request has brought yet: minutes of the universe, and legs."""

from collections.abc import Mapping
from datetime import date, datetime

from data_fetch.core.clock import IST
from data_fetch.core.feed.live_prices import FeedCandle, candles_in, legs_in
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.members import Members
from data_fetch.storage.live_prices import LivePrices


class FeedPrices:
    """Keeps the live prices of *repository* up to date, and of today only.

    *contracts* has the options by live key; it may grow. Nothing is written of a tick twice.
    """

    def __init__(
        self,
        *,
        members: Members,
        calendar: MarketCalendar,
        contracts: Mapping[str, Instrument],
        repository: LivePrices,
    ) -> None:
        self._members = members
        self._calendar = calendar
        self._contracts = contracts
        self._repository = repository
        self._day: date | None = None
        self._stored: Mapping[str, Tick] = {}

    def store(self, ticks: Mapping[str, Tick], now: datetime) -> None:
        """Store what the newest *ticks*, by live key, have since the last call.

        Raises what the store raises; the next call stores it then.
        """
        day = now.astimezone(IST).date()
        if day != self._day:
            self._repository.drop_before(day)
            self._day = day
        fresh = {
            key: tick
            for key, tick in ticks.items()
            if tick is not self._stored.get(key) and tick.received_at.astimezone(IST).date() == day
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
