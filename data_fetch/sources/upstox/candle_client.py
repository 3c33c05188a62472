"""Candles from Upstox: one window of one instrument per request."""

from threading import Event

from data_fetch.core.candles.candles import CandleReply, no_candles
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST
from data_fetch.core.errors import DataFetchError, RequestRefused, SetupError, Stopped
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_endpoints import EXPIRED, INTRADAY, UpstoxCandleEndpoints
from data_fetch.sources.upstox.candle_rows import read_candles

# More days than one request may name.
WINDOW_TOO_LONG = "UDAPI1148"


class UpstoxCandleClient(UpstoxCandleEndpoints):
    """Requests each window from the endpoint named in it. Safe to share between threads."""

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def candles(self, window: Window, stop: Event) -> CandleReply:
        """The candles of *window*; a rejection or an outage is in `problem`.

        Setting *stop* ends all waiting for permission; the request is then not sent. Raises
        WrongWorld.
        """
        context = self._api.context(Lane.BACKFILL, stop)
        key, interval = window.instrument.instrument_key, window.interval
        try:
            self._check_date(window)
            response = self._request(window, context)
            received_at = self._clock.now()
            self._check_date(window)
            parsed = read_candles(
                response,
                instrument_key=key,
                interval=interval,
                first_day=window.first,
                last_day=window.last,
                received_at=received_at,
            )
        except SetupError:
            # A setting has to be changed; that is no result of this window.
            raise
        except DataFetchError as problem:
            return CandleReply(
                block=no_candles(key, interval),
                complete=False,
                problem=problem,
                too_long=_is_too_long(problem),
                requests=context.requests,
                received_at=self._clock.now(),
            )
        return CandleReply(
            block=parsed.block,
            complete=parsed.complete,
            rejected_rows=parsed.rejected_rows,
            without_open_interest=parsed.without_open_interest,
            still_forming=parsed.still_forming,
            requests=context.requests,
            received_at=received_at,
        )

    def _check_date(self, window: Window) -> None:
        """Raise Stopped when the day of an intraday window is over: the response may be about
        either day, and the next plan uses the historical endpoint."""
        today = self._clock.now().astimezone(IST).date()
        if window.endpoint == INTRADAY and window.last != today:
            raise Stopped(f"{window.last} ended before its candles were received")

    def _request(self, window: Window, context: RequestContext) -> Response:
        live_key, interval = window.instrument.live_key, window.interval
        first, last = window.first, window.last
        if window.endpoint == INTRADAY:
            return self._api.intraday_candles(live_key, interval, context)
        if window.endpoint == EXPIRED:
            key = window.instrument.dated_key
            return self._api.expired_candles(key, interval, first, last, context)
        return self._api.historical_candles(live_key, interval, first, last, context)


def _is_too_long(problem: DataFetchError) -> bool:
    return isinstance(problem, RequestRefused) and problem.code == WINDOW_TOO_LONG
