"""Candles from Upstox: one window of one instrument a request."""

from threading import Event

from data_fetch.core.candles.candles import CandleReply, no_candles
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError, Stopped
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_endpoints import EXPIRED, INTRADAY, UpstoxCandleEndpoints
from data_fetch.sources.upstox.candle_rows import read_candles
from data_fetch.sources.upstox.responses import Answer


class UpstoxCandleClient(UpstoxCandleEndpoints):
    """Asks at the door that a window names. Safe to share between threads."""

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def candles(self, window: Window, stop: Event) -> CandleReply:
        """What the provider says of *window*; a refusal or an outage is in `problem`.

        Setting *stop* ends all waiting for a turn; the request is then not sent.
        """
        context = self._api.context(Lane.BACKFILL, stop)
        key, interval = window.instrument.instrument_key, window.interval
        try:
            self._refuse_yesterday(window)
            answer = self._ask(window, context)
            received_at = self._clock.now()
            self._refuse_yesterday(window)
            read = read_candles(
                answer,
                instrument_key=key,
                interval=interval,
                first_day=window.first,
                last_day=window.last,
                received_at=received_at,
            )
        except DataFetchError as problem:
            return CandleReply(
                block=no_candles(key, interval),
                complete=False,
                problem=problem,
                requests=context.requests,
                received_at=self._clock.now(),
            )
        return CandleReply(
            block=read.block,
            complete=read.complete,
            rejected_rows=read.rejected_rows,
            requests=context.requests,
            received_at=received_at,
        )

    def _refuse_yesterday(self, window: Window) -> None:
        """Raise Stopped when the day of an intraday window is over: the answer may be about
        either day, and the next plan asks history."""
        today = self._clock.now().astimezone(IST).date()
        if window.endpoint == INTRADAY and window.last != today:
            raise Stopped(f"{window.last} ended before its candles were there")

    def _ask(self, window: Window, context: RequestContext) -> Answer:
        live_key, interval = window.instrument.live_key, window.interval
        first, last = window.first, window.last
        if window.endpoint == INTRADAY:
            return self._api.intraday_candles(live_key, interval, context=context)
        if window.endpoint == EXPIRED:
            key = window.instrument.instrument_key
            return self._api.expired_candles(key, interval, first, last, context=context)
        return self._api.historical_candles(live_key, interval, first, last, context=context)
