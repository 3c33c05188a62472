"""Routes of the paper exchange: Upstox's API and NSE's website.

The control endpoints, `/paper/...`, belong to no provider and are in `server`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

from aiohttp import web

from data_fetch.paper_exchange.faults.effects import change_data, envelope_response
from data_fetch.paper_exchange.faults.faults import Fault, FaultContext
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.nse.chains import NseChainApi
from data_fetch.paper_exchange.nse.holidays import holiday_list
from data_fetch.paper_exchange.nse.sessions import NseSessions
from data_fetch.paper_exchange.nse.wire import NOT_FOUND, OPTION_CHAIN_PAGE, json_response
from data_fetch.paper_exchange.upstox.candles import CandleApi, Quiet
from data_fetch.paper_exchange.upstox.chains import ChainApi
from data_fetch.paper_exchange.upstox.feed_codes import FeedCodes, used_address
from data_fetch.paper_exchange.upstox.login import LoginApi
from data_fetch.paper_exchange.upstox.market_times import MarketTimesApi
from data_fetch.paper_exchange.upstox.quotes import QuoteApi
from data_fetch.paper_exchange.wire import HTML, Response

GZIP = "application/gzip"
FOUND = 302
FEED = "/v3/feed/market-data-feed"
# The port of the discard protocol: nothing listens there.
NOWHERE = "ws://127.0.0.1:9/"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A decoded request: path fields, query, instruments, time, and the faults that apply.

    *host* is the exchange's name and port as the client knows them.
    """

    fields: dict[str, str]
    query: dict[str, str]
    keys: tuple[str, ...]
    now: Moment
    faults: tuple[Fault, ...]
    host: str
    authorization: str

    def has_fault(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self.faults)

    @property
    def chain_time(self) -> Moment:
        """The time for which a chain is served: now, unless a fault has frozen it."""
        frozen = (fault.since for fault in self.faults if fault.kind == "frozen-chain")
        return next((Moment.of(since) for since in frozen if since is not None), self.now)


class Credentials(Enum):
    """What a request must carry."""

    TOKEN = auto()
    COOKIES = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a provider.

    *api* is the name of its rate windows, *key_field* the query field with its instruments.
    A *slow* route runs in a thread, so that it does not block the others.
    """

    path: str
    api: str
    respond: Callable[[ApiRequest], Response]
    method: str = "GET"
    credentials: Credentials = Credentials.TOKEN
    key_field: str = "instrument_key"
    limited: bool = True
    slow: bool = False


class Routes:
    """All routes of the providers that this exchange serves."""

    def __init__(
        self,
        market: PaperMarket,
        logins: LoginApi,
        sessions: NseSessions,
        feed_codes: FeedCodes,
        quiet: Quiet,
    ) -> None:
        self._market = market
        self._logins = logins
        self._feed_codes = feed_codes
        self._sessions = sessions
        self._quotes = QuoteApi(market)
        self._candles = CandleApi(market, quiet)
        self._chains = ChainApi(market)
        self._nse_chains = NseChainApi(market)
        self._times = MarketTimesApi(market.days)

    def table(self) -> tuple[Route, ...]:
        return (*self._upstox(), *self._nse())

    def _nse(self) -> tuple[Route, ...]:
        """Routes of NSE's website. The legacy paths return 404: chains are per expiry now."""
        contract_info, chain = "/api/option-chain-contract-info", "/api/option-chain-v3"
        return (
            _nse_route("/", "nse-page", self._page, Credentials.NONE),
            _nse_route("/option-chain", "nse-page", self._page, Credentials.NONE),
            _nse_route(contract_info, "nse-contract-info", self._document(self._contract_info)),
            _nse_route(chain, "nse-chain", self._document(self._nse_chain)),
            _nse_route("/api/holiday-master", "nse-holidays", self._document(self._nse_holidays)),
            _nse_route("/api/option-chain-indices", "nse-legacy", _not_found, Credentials.NONE),
            _nse_route("/api/option-chain-equities", "nse-legacy", _not_found, Credentials.NONE),
        )

    def _upstox(self) -> tuple[Route, ...]:
        ltp, ohlc = "/v3/market-quote/ltp", "/v3/market-quote/ohlc"
        candles = "/v3/historical-candle"
        series = "{key}/{unit}/{interval}"
        expired = "/v2/expired-instruments/historical-candle/{key}/{interval}/{to_date}/{from_date}"
        options, market = "/v2/option", "/v2/market"
        files = "/market-quote/instruments/exchange"
        data, public = self._data, partial(Route, credentials=Credentials.NONE)
        history = data(self._history)
        return (
            Route(ltp, "ltp", data(self._ltp)),
            Route(ohlc, "ohlc", data(self._ohlc)),
            _candle_route(f"{candles}/intraday/{series}", data(self._intraday)),
            _candle_route(f"{candles}/{series}/{{to_date}}", history),
            _candle_route(f"{candles}/{series}/{{to_date}}/{{from_date}}", history),
            Route(expired, "expired-candles", data(self._expired), slow=True),
            Route(f"{options}/contract", "option-contract", data(self._contracts), slow=True),
            Route(f"{options}/chain", "option-chain", data(self._chain), slow=True),
            public(f"{market}/holidays", "holidays", data(self._holidays)),
            public(f"{market}/holidays/{{date}}", "holidays", data(self._holiday)),
            public(f"{market}/timings/{{date}}", "timings", data(self._timings)),
            Route(f"{market}/status/{{exchange}}", "market-status", data(self._status)),
            public("/v2/login/authorization/dialog", "login-dialog", self._dialog),
            public("/v2/login/authorization/token", "login", self._login, method="POST"),
            public(
                "/v3/login/auth/token/request/{client_id}",
                "login-approval",
                data(self._approval),
                method="POST",
            ),
            Route(f"{FEED}/authorize", "feed-authorize", data(self._feed_authorize)),
            Route(FEED, "feed-connect", self._feed_redirect),
            _master_route(f"{files}/NSE.json.gz", self._master),
            _master_route(f"{files}/complete.json.gz", self._master),
        )

    def _ltp(self, request: ApiRequest) -> Any:
        return self._quotes.ltp(request.keys, request.now)

    def _ohlc(self, request: ApiRequest) -> Any:
        return self._quotes.ohlc(request.keys, request.query.get("interval"), request.now)

    def _history(self, request: ApiRequest) -> Any:
        key, unit, interval = (request.fields[name] for name in ("key", "unit", "interval"))
        to_date, from_date = request.fields["to_date"], request.fields.get("from_date")
        return {
            "candles": self._candles.historical(
                key, unit, interval, to_date, from_date, request.now
            )
        }

    def _intraday(self, request: ApiRequest) -> Any:
        key, unit, interval = (request.fields[name] for name in ("key", "unit", "interval"))
        stale = None
        if request.has_fault("yesterdays-bars"):
            stale = self._market.days.before(request.now.day)
        return {"candles": self._candles.intraday(key, unit, interval, request.now, stale)}

    def _expired(self, request: ApiRequest) -> Any:
        key, interval, to_date, from_date = (
            request.fields[name] for name in ("key", "interval", "to_date", "from_date")
        )
        return {"candles": self._candles.expired(key, interval, to_date, from_date, request.now)}

    def _contracts(self, request: ApiRequest) -> Any:
        query = request.query
        return self._chains.contracts(
            query.get("instrument_key"), query.get("expiry_date"), request.now
        )

    def _chain(self, request: ApiRequest) -> Any:
        query = request.query
        return self._chains.chain(
            query.get("instrument_key"), query.get("expiry_date"), request.chain_time
        )

    def _page(self, request: ApiRequest) -> Response:
        return Response(
            OPTION_CHAIN_PAGE, content_type=HTML, cookies=self._sessions.start(request.now.at)
        )

    def _contract_info(self, request: ApiRequest) -> Any:
        return self._nse_chains.contract_info(request.query.get("symbol", ""), request.now)

    def _nse_chain(self, request: ApiRequest) -> Any:
        kind, symbol, expiry = (
            request.query.get(name, "") for name in ("type", "symbol", "expiry")
        )
        return self._nse_chains.chain(kind, symbol, expiry, request.chain_time)

    def _nse_holidays(self, request: ApiRequest) -> Any:
        return holiday_list(self._market.days, request.now.day.year)

    def _holidays(self, request: ApiRequest) -> Any:
        return self._times.holidays(request.now)

    def _holiday(self, request: ApiRequest) -> Any:
        return self._times.holiday(request.fields["date"])

    def _timings(self, request: ApiRequest) -> Any:
        return self._times.timings(request.fields["date"])

    def _status(self, request: ApiRequest) -> Any:
        return self._times.status(request.fields["exchange"], request.now)

    def _dialog(self, request: ApiRequest) -> Response:
        return self._logins.dialog(request.query, denied=request.has_fault("login-denied"))

    def _login(self, request: ApiRequest) -> Response:
        return self._logins.token(request.query, request.now.at)

    def _approval(self, request: ApiRequest) -> Any:
        secret = request.query.get("client_secret", "")
        return self._logins.approval(request.fields["client_id"], secret, request.now.at)

    def _feed_authorize(self, request: ApiRequest) -> Any:
        return {"authorized_redirect_uri": self._feed_address(request)}

    def _feed_redirect(self, request: ApiRequest) -> Response:
        return Response(b"", FOUND, headers={"Location": self._feed_address(request)})

    def _feed_address(self, request: ApiRequest) -> str:
        """Where the socket is: an address that is good for one connection, unless faults apply."""
        if request.has_fault("feed-nowhere"):
            return NOWHERE
        if request.has_fault("feed-used-code"):
            return used_address(request.host)
        return self._feed_codes.address(request.host, request.authorization, request.now.at)

    def _master(self, request: ApiRequest) -> Response:
        file = self._market.master.file(request.now.day)
        return Response(file, content_type=GZIP)

    def _data(self, handler: Callable[[ApiRequest], Any]) -> Callable[[ApiRequest], Response]:
        """A route that sends the handler's data in Upstox's envelope, changed by faults."""
        return lambda request: envelope_response(
            request.faults, self._with_faults(request, handler(request))
        )

    def _document(self, handler: Callable[[ApiRequest], Any]) -> Callable[[ApiRequest], Response]:
        """A route that sends the handler's data as NSE's website does, changed by faults."""
        return lambda request: json_response(self._with_faults(request, handler(request)))

    def _with_faults(self, request: ApiRequest, data: Any) -> Any:
        if not request.faults:
            return data
        lots = {listing.lot_size for key in request.keys if (listing := self._listing(key))}
        context = FaultContext(request.now.at, max(lots, default=1))
        return change_data(request.faults, data, context)

    def _listing(self, name: str) -> Listing | None:
        """An underlying by its key or, for NSE's website, by its symbol."""
        return self._market.listings.get(name) or self._market.underlyings.get(name)


def _not_found(_: ApiRequest) -> Response:
    return NOT_FOUND


def _nse_route(
    path: str,
    api: str,
    respond: Callable[[ApiRequest], Response],
    credentials: Credentials = Credentials.COOKIES,
) -> Route:
    # The website publishes no limit, so there are no rate windows here.
    is_api = credentials is Credentials.COOKIES
    return Route(
        path, api, respond, credentials=credentials, key_field="symbol", limited=False, slow=is_api
    )


def _candle_route(path: str, respond: Callable[[ApiRequest], Response]) -> Route:
    return Route(path, "candles", respond, credentials=Credentials.NONE, slow=True)


def _master_route(path: str, respond: Callable[[ApiRequest], Response]) -> Route:
    # Static files on another host of the provider: no token, no limit.
    return Route(path, "master", respond, credentials=Credentials.NONE, limited=False, slow=True)


def decode_query(request: web.Request, key_field: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The query, and the instruments in its field *key_field* or in the path."""
    query = dict(request.query)
    listed = query.get(key_field, "")
    keys = tuple(key for key in listed.split(",") if key)
    if "key" in request.match_info:
        keys = (request.match_info["key"],)
    return query, keys
