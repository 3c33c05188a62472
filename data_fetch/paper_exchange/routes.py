"""The paths of the paper exchange and what each one answers: Upstox's, and NSE's website.

The control endpoints of this server, `/paper/...`, are no provider's and not here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from data_fetch.paper_exchange.faults.faults import Fault, Scene
from data_fetch.paper_exchange.faults.misbehaviour import poisoned, written
from data_fetch.paper_exchange.market.days import Moment
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.nse.chains import NseChainAnswers
from data_fetch.paper_exchange.nse.visits import NseVisits
from data_fetch.paper_exchange.nse.wire import NOT_FOUND, OPTION_CHAIN_PAGE, told
from data_fetch.paper_exchange.upstox.candles import CandleAnswers, Quiet
from data_fetch.paper_exchange.upstox.chains import ChainAnswers
from data_fetch.paper_exchange.upstox.market_times import MarketTimes
from data_fetch.paper_exchange.upstox.quotes import QuoteAnswers
from data_fetch.paper_exchange.upstox.tokens import Tokens
from data_fetch.paper_exchange.wire import HTML, Answer, refuse

GZIP = "application/gzip"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be answered: path fields and query decoded, faults picked."""

    fields: dict[str, str]
    query: dict[str, str]
    keys: tuple[str, ...]
    now: Moment
    faults: tuple[Fault, ...]

    def suffers(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self.faults)

    @property
    def seen(self) -> Moment:
        """The instant of which a chain tells: now, unless a fault has frozen it."""
        frozen = (fault.since for fault in self.faults if fault.kind == "frozen-chain")
        return next((Moment.of(since) for since in frozen if since is not None), self.now)


class Entry(Enum):
    """What a request must bring."""

    TOKEN = auto()
    COOKIES = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """One path. *api* names its rate windows and *about* the query field of its instruments.

    A *slow* answer takes long to think out, and must not hold up the quick ones.
    """

    path: str
    api: str
    answer: Callable[[Asked], Answer]
    method: str = "GET"
    entry: Entry = Entry.TOKEN
    about: str = "instrument_key"
    limited: bool = True
    slow: bool = False


class Routes:
    """Every path of the providers that this exchange serves."""

    def __init__(
        self, market: PaperMarket, tokens: Tokens, visits: NseVisits, quiet: Quiet
    ) -> None:
        self._market = market
        self._tokens = tokens
        self._visits = visits
        self._quotes = QuoteAnswers(market)
        self._candles = CandleAnswers(market, quiet)
        self._chains = ChainAnswers(market)
        self._nse_chains = NseChainAnswers(market)
        self._times = MarketTimes(market.days)

    def table(self) -> tuple[Route, ...]:
        return (*self._upstox(), *self._nse())

    def _nse(self) -> tuple[Route, ...]:
        """NSE's website. The legacy paths are dead: each expiry is asked for by itself now."""
        contract_info, chain = "/api/option-chain-contract-info", "/api/option-chain-v3"
        return (
            _nse_route("/", "nse-page", self._page, Entry.NOTHING),
            _nse_route("/option-chain", "nse-page", self._page, Entry.NOTHING),
            _nse_route(contract_info, "nse-contract-info", self._document(self._contract_info)),
            _nse_route(chain, "nse-chain", self._document(self._nse_chain)),
            _nse_route("/api/option-chain-indices", "nse-legacy", _dead, Entry.NOTHING),
            _nse_route("/api/option-chain-equities", "nse-legacy", _dead, Entry.NOTHING),
        )

    def _upstox(self) -> tuple[Route, ...]:
        ltp, ohlc = "/v3/market-quote/ltp", "/v3/market-quote/ohlc"
        candles = "/v3/historical-candle"
        wanted = "{key}/{unit}/{interval}"
        expired = "/v2/expired-instruments/historical-candle/{key}/{interval}/{to_date}/{from_date}"
        options, market = "/v2/option", "/v2/market"
        files = "/market-quote/instruments/exchange"
        data, freely = self._data, partial(Route, entry=Entry.NOTHING)
        history = data(self._history)
        return (
            Route(ltp, "ltp", data(self._ltp)),
            Route(ohlc, "ohlc", data(self._ohlc)),
            _candle_route(f"{candles}/intraday/{wanted}", data(self._intraday)),
            _candle_route(f"{candles}/{wanted}/{{to_date}}", history),
            _candle_route(f"{candles}/{wanted}/{{to_date}}/{{from_date}}", history),
            Route(expired, "expired-candles", data(self._expired), slow=True),
            Route(f"{options}/contract", "option-contract", data(self._contracts), slow=True),
            Route(f"{options}/chain", "option-chain", data(self._chain), slow=True),
            freely(f"{market}/holidays", "holidays", data(self._holidays)),
            freely(f"{market}/holidays/{{date}}", "holidays", data(self._holiday)),
            freely(f"{market}/timings/{{date}}", "timings", data(self._timings)),
            Route(f"{market}/status/{{exchange}}", "market-status", data(self._status)),
            freely("/v2/login/authorization/token", "login", self._login, method="POST"),
            _master_route(f"{files}/NSE.json.gz", self._master),
            _master_route(f"{files}/complete.json.gz", self._master),
        )

    def _ltp(self, asked: Asked) -> Any:
        return self._quotes.ltp(asked.keys, asked.now)

    def _ohlc(self, asked: Asked) -> Any:
        return self._quotes.ohlc(asked.keys, asked.query.get("interval"), asked.now)

    def _history(self, asked: Asked) -> Any:
        key, unit, interval = (asked.fields[name] for name in ("key", "unit", "interval"))
        to_date, from_date = asked.fields["to_date"], asked.fields.get("from_date")
        return {
            "candles": self._candles.historical(key, unit, interval, to_date, from_date, asked.now)
        }

    def _intraday(self, asked: Asked) -> Any:
        key, unit, interval = (asked.fields[name] for name in ("key", "unit", "interval"))
        stale = None
        if asked.suffers("yesterdays-bars"):
            stale = self._market.days.before(asked.now.day)
        return {"candles": self._candles.intraday(key, unit, interval, asked.now, stale)}

    def _expired(self, asked: Asked) -> Any:
        key, interval, to_date, from_date = (
            asked.fields[name] for name in ("key", "interval", "to_date", "from_date")
        )
        return {"candles": self._candles.expired(key, interval, to_date, from_date, asked.now)}

    def _contracts(self, asked: Asked) -> Any:
        query = asked.query
        return self._chains.contracts(
            query.get("instrument_key"), query.get("expiry_date"), asked.now
        )

    def _chain(self, asked: Asked) -> Any:
        query = asked.query
        return self._chains.chain(query.get("instrument_key"), query.get("expiry_date"), asked.seen)

    def _page(self, asked: Asked) -> Answer:
        return Answer(
            OPTION_CHAIN_PAGE, content_type=HTML, cookies=self._visits.begin(asked.now.at)
        )

    def _contract_info(self, asked: Asked) -> Any:
        return self._nse_chains.contract_info(asked.query.get("symbol", ""), asked.now)

    def _nse_chain(self, asked: Asked) -> Any:
        kind, symbol, expiry = (asked.query.get(name, "") for name in ("type", "symbol", "expiry"))
        return self._nse_chains.chain(kind, symbol, expiry, asked.seen)

    def _holidays(self, asked: Asked) -> Any:
        return self._times.holidays(asked.now)

    def _holiday(self, asked: Asked) -> Any:
        return self._times.holiday(asked.fields["date"])

    def _timings(self, asked: Asked) -> Any:
        return self._times.timings(asked.fields["date"])

    def _status(self, asked: Asked) -> Any:
        return self._times.status(asked.fields["exchange"], asked.now)

    def _login(self, asked: Asked) -> Answer:
        """A token for any login whose form is complete. Flat, without the envelope."""
        form = ("code", "client_id", "client_secret", "redirect_uri")
        if asked.query.get("grant_type") != "authorization_code" or not all(
            asked.query.get(name) for name in form
        ):
            raise refuse("UDAPI100016")
        return login_answer(self._tokens.issue(asked.now.at))

    def _master(self, asked: Asked) -> Answer:
        file = self._market.master.file(asked.now.day)
        return Answer(file, content_type=GZIP)

    def _data(self, tell: Callable[[Asked], Any]) -> Callable[[Asked], Answer]:
        """Put what *tell* says into Upstox's envelope, spoilt where a fault wants it."""
        return lambda asked: written(asked.faults, self._poisoned(asked, tell(asked)))

    def _document(self, tell: Callable[[Asked], Any]) -> Callable[[Asked], Answer]:
        """What *tell* says as NSE's website sends it, spoilt where a fault wants it."""
        return lambda asked: told(self._poisoned(asked, tell(asked)))

    def _poisoned(self, asked: Asked, data: Any) -> Any:
        if not asked.faults:
            return data
        named = {listing.lot_size for key in asked.keys if (listing := self._listing(key))}
        return poisoned(asked.faults, data, Scene(asked.now.at, max(named, default=1)))

    def _listing(self, name: str) -> Listing | None:
        """An underlying by its key or, as NSE has it, by its symbol."""
        return self._market.listings.get(name) or self._market.underlyings.get(name)


def _dead(_: Asked) -> Answer:
    return NOT_FOUND


def _nse_route(
    path: str, api: str, answer: Callable[[Asked], Answer], entry: Entry = Entry.COOKIES
) -> Route:
    # No published limit there; a visitor that keeps to the website's pace is let in.
    asks = entry is Entry.COOKIES
    return Route(path, api, answer, entry=entry, about="symbol", limited=False, slow=asks)


def _candle_route(path: str, answer: Callable[[Asked], Answer]) -> Route:
    return Route(path, "candles", answer, entry=Entry.NOTHING, slow=True)


def _master_route(path: str, answer: Callable[[Asked], Answer]) -> Route:
    # Plain files on another host of the provider: no token there, and no limit.
    return Route(path, "master", answer, entry=Entry.NOTHING, limited=False, slow=True)


def login_answer(token: str) -> Answer:
    account: dict[str, Any] = {
        "email": "paper@example.in",
        "exchanges": ["NSE", "NFO"],
        "products": ["D", "I"],
        "broker": "UPSTOX",
        "user_id": "PAPER1",
        "user_name": "Paper Trader",
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "user_type": "individual",
        "poa": False,
        "is_active": True,
        "access_token": token,
        "extended_token": "",
    }
    return Answer(orjson.dumps(account))


def decoded(request: web.Request, about: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The query, and the instruments that the request is about, named in its field *about*."""
    query = dict(request.query)
    named = query.get(about, "")
    keys = tuple(key for key in named.split(",") if key)
    if "key" in request.match_info:
        keys = (request.match_info["key"],)
    return query, keys
