"""Upstox's API through the official SDK: paced, retried, raw JSON out.

Every request of the package to Upstox goes through `UpstoxApi`. Nothing is imported,
connected or started before the first request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    RateLimited,
    RequestRefused,
    TokenRejected,
    Unreachable,
)
from data_fetch.core.ports import Clock, Lane, Pacing
from data_fetch.core.world import World
from data_fetch.sources.transport.recording import RecordingRequestContext
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.transport.retrying import RequestContext, RetryPolicy
from data_fetch.sources.upstox.ltp_rows import refuse_rowless
from data_fetch.sources.upstox.responses import read_response
from data_fetch.sources.upstox.token import TokenKeeper

if TYPE_CHECKING:
    from data_fetch.sources.upstox.sdk import UpstoxSdk

# The most instrument keys that one request for quotes or candles may name.
LARGEST_BATCH = 500

# The candle paths' names of an interval; those of expired contracts use ours.
UNITS = {CandleInterval.MINUTE: ("minutes", 1), CandleInterval.DAY: ("days", 1)}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One call of the SDK: *api* is its rate budget, *shape* the required type of `data`."""

    api: str
    owner: str
    method: str
    shape: type
    needs_token: bool = True


LTP = Endpoint("ltp", "MarketQuoteV3Api", "get_ltp", dict)
OHLC = Endpoint("ohlc", "MarketQuoteV3Api", "get_market_quote_ohlc", dict)
EXPIRED_CANDLES = Endpoint(
    "expired-candles", "ExpiredInstrumentApi", "get_expired_historical_candle_data", dict
)
OPTION_CONTRACTS = Endpoint("option-contract", "OptionsApi", "get_option_contracts", list)
OPTION_CHAIN = Endpoint("option-chain", "OptionsApi", "get_put_call_option_chain", list)
FEED = Endpoint("feed", "WebsocketApi", "get_market_data_feed_authorize_v3", dict)
MARKET_STATUS = Endpoint("market-status", "MarketHolidaysAndTimingsApi", "get_market_status", dict)
# The SDK sends these without a token. The two candle paths share one budget.
HISTORY = Endpoint("candles", "HistoryV3Api", "get_historical_candle_data1", dict, False)
INTRADAY = Endpoint("candles", "HistoryV3Api", "get_intra_day_candle_data", dict, False)
HOLIDAYS = Endpoint("holidays", "MarketHolidaysAndTimingsApi", "get_holidays", list, False)
TIMINGS = Endpoint("timings", "MarketHolidaysAndTimingsApi", "get_exchange_timings", list, False)


def _accept(_: Response) -> None:
    """Any good response will do."""


class UpstoxApi:
    """One account at one host. Safe to share between threads.

    Every method raises by class of `core.errors`: TokenRejected (by this API; the others go
    on), AccessDenied, RequestRefused, WrongWorld for a response of another world than *world*,
    and the TransientErrors that outlasted the retries.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: TokenKeeper,
        pacing: Pacing,
        clock: Clock,
        world: World,
        timeout_seconds: float = 10,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._base_url = base_url
        self._token = token
        self._pacing = pacing
        self._clock = clock
        self._world = world
        self._timeout_seconds = timeout_seconds
        self._policy = policy or RetryPolicy(clock)
        self._sdk: UpstoxSdk | None = None
        self._requests_sent = 0
        self._lock = Lock()

    @property
    def requests_sent(self) -> int:
        """How many requests this object has sent, retries included."""
        with self._lock:
            return self._requests_sent

    def context(self, lane: Lane, stop: Event | None = None) -> RequestContext:
        """The context of requests that begin now, with the time limit of their lane.

        Setting *stop* ends all its waiting, which raises Stopped.
        """
        return RequestContext.begin(lane, self._clock.now(), stop)

    def ltp(
        self,
        instrument_keys: Sequence[str],
        context: RequestContext,
    ) -> Response:
        """The last prices of at most 500 instruments: `data` of one request, raw.

        Its map keys are `SEGMENT:SYMBOL`; the instrument key is inside each row. One unknown
        key makes Upstox reject the whole request (UnknownInstrument).
        """
        return self._rows(LTP, instrument_keys, context)

    def ohlc(
        self,
        instrument_keys: Sequence[str],
        context: RequestContext,
    ) -> Response:
        """The forming minute and the completed one before it of at most 500 instruments, raw.

        Keyed and rejected as `ltp` is.
        """
        return self._rows(OHLC, instrument_keys, context, "I1")

    def option_contracts(
        self,
        live_key: str,
        context: RequestContext,
    ) -> Response:
        """The listed options of an underlying, of all expiries: raw rows."""
        return self._get(OPTION_CONTRACTS, context, live_key)

    def option_chain(
        self,
        live_key: str,
        expiry: date,
        context: RequestContext,
    ) -> Response:
        """The put-call chain of one expiry of an underlying, one raw row per strike.

        There are no rows for an expiry that is not listed.
        """
        return self._get(OPTION_CHAIN, context, live_key, expiry.isoformat())

    def historical_candles(
        self,
        live_key: str,
        interval: CandleInterval,
        first_day: date,
        last_day: date,
        context: RequestContext,
    ) -> Response:
        """Candles of completed days, both dates included: `data` of one request, raw.

        RequestRefused (UDAPI1148) beyond 31 days of minutes or ten years of days;
        UnknownInstrument for a contract that has expired.
        """
        unit, count = UNITS[interval]
        days = (last_day.isoformat(), first_day.isoformat())
        return self._get(HISTORY, context, live_key, unit, count, *days)

    def intraday_candles(
        self,
        live_key: str,
        interval: CandleInterval,
        context: RequestContext,
    ) -> Response:
        """Today's candles so far, raw; the newest may still be forming.

        Before the open they may be those of the last trading day.
        """
        unit, count = UNITS[interval]
        return self._get(INTRADAY, context, live_key, unit, count)

    def expired_candles(
        self,
        expired_key: str,
        interval: CandleInterval,
        first_day: date,
        last_day: date,
        context: RequestContext,
    ) -> Response:
        """Candles of an expired contract (``NSE_FO|47983|30-01-2025``), both dates included, raw.

        AccessDenied without the Upstox Plus plan.
        """
        days = (last_day.isoformat(), first_day.isoformat())
        return self._get(EXPIRED_CANDLES, context, expired_key, interval.value, *days)

    def holidays(self, context: RequestContext) -> list[Any]:
        """The holidays of the current year, raw rows."""
        rows: list[Any] = self._whole(HOLIDAYS, context)
        return rows

    def timings(self, day: date, context: RequestContext) -> list[Any]:
        """Which exchanges open on *day* and when, raw rows; none when all are closed."""
        rows: list[Any] = self._whole(TIMINGS, context, day.isoformat())
        return rows

    def market_status(self, exchange: str, context: RequestContext) -> dict[str, Any]:
        """The state of *exchange* (NSE, NFO, BSE, ...; a segment name is rejected), raw."""
        state: dict[str, Any] = self._whole(MARKET_STATUS, context, exchange)
        return state

    def feed_address(self, context: RequestContext) -> str:
        """The address of a socket of the market data feed, for one connection that begins soon.

        One request: the feed waits longer between its attempts than a retry would.
        """
        try:
            data = self._send(FEED, context).data
        except TokenRejected:
            # Raises, with a hint, unless `.env` was saved.
            self._token.current(FEED.api, self._clock.now())
            raise
        address = data.get("authorized_redirect_uri") or data.get("authorizedRedirectUri")
        if not isinstance(address, str):
            raise BadResponse("Upstox returned no address of the feed")
        return address

    def _whole(self, endpoint: Endpoint, context: RequestContext, *args: object) -> Any:
        response = self._get(endpoint, context, *args)
        if response.partial:
            raise BadResponse(f"Upstox returned only a part of {endpoint.api}")
        return response.data

    def _rows(
        self,
        endpoint: Endpoint,
        instrument_keys: Sequence[str],
        context: RequestContext,
        *args: object,
    ) -> Response:
        """The rows of several instruments; without any it is requested again."""
        keys = _listed(instrument_keys)
        check = refuse_rowless if len(instrument_keys) > 1 else _accept
        return self._get(endpoint, context, *args, check=check, instrument_key=keys)

    def _get(
        self,
        endpoint: Endpoint,
        context: RequestContext,
        *args: object,
        check: Callable[[Response], None] = _accept,
        **params: object,
    ) -> Response:
        """A good response, which *check* accepts: it may raise a TransientError."""

        def attempt() -> Response:
            response = self._send(endpoint, context, *args, **params)
            check(response)
            return response

        while True:
            try:
                return self._policy.run(attempt, context)
            except TokenRejected:
                # Raises, with a hint, unless `.env` was saved.
                self._token.current(endpoint.api, self._clock.now())

    def _send(
        self, endpoint: Endpoint, context: RequestContext, *args: object, **params: object
    ) -> Response:
        """One request, with the permission of the pacer."""
        if self._clock.now() >= context.deadline:
            raise Unreachable("No time is left for this request", hint="It was not sent.")
        token = self._token.current(endpoint.api, self._clock.now()) if endpoint.needs_token else ""
        sdk = self._opened_sdk()
        with self._pacing.request(endpoint.api, context.lane, context.deadline, context.stop):
            context.requests += 1
            self._count()
            requested_at = self._clock.now()
            raw = sdk.get(
                endpoint.owner,
                endpoint.method,
                *args,
                token=token,
                timeout=self._timeout_for(context),
                **params,
            )
        if isinstance(context, RecordingRequestContext):
            context.raw_responses.append(raw)
        return replace(self._read(raw, endpoint, token), requested_at=requested_at)

    def _read(self, raw: RawResponse, endpoint: Endpoint, token: str) -> Response:
        """The data of *raw*; a rejected *token* and a required pause are recorded."""
        try:
            response = read_response(raw, endpoint.shape)
        except TokenRejected as rejected:
            if not endpoint.needs_token:
                raise AccessDenied(
                    f"Upstox requires an access token for {endpoint.api} (401)",
                    hint="The SDK sends none there: install a newer version of it.",
                ) from rejected
            self._token.reject(endpoint.api, token, self._clock.now())
            raise
        except RequestRefused:
            self._token.accept(endpoint.api, token)
            raise
        except RateLimited as limited:
            if limited.retry_after:
                self._pacing.pause(endpoint.api, limited.retry_after)
            raise
        self._token.accept(endpoint.api, token)
        return response

    def _timeout_for(self, context: RequestContext) -> int:
        """Whole seconds: the usual timeout, less when the deadline comes before it."""
        left = (context.deadline - self._clock.now()).total_seconds()
        return max(1, ceil(min(self._timeout_seconds, left)))

    def _opened_sdk(self) -> "UpstoxSdk":
        with self._lock:
            if self._sdk is None:
                # The SDK takes a third of a second to import, and most commands send no request.
                from data_fetch.sources.upstox.sdk import UpstoxSdk

                self._sdk = UpstoxSdk(self._base_url, self._clock, self._world)
            return self._sdk

    def _count(self) -> None:
        with self._lock:
            self._requests_sent += 1


def _listed(instrument_keys: Sequence[str]) -> str:
    """The keys as the query takes them."""
    if not 1 <= len(instrument_keys) <= LARGEST_BATCH:
        raise ValueError(f"1 to {LARGEST_BATCH} keys at a time, not {len(instrument_keys)}")
    return ",".join(instrument_keys)
