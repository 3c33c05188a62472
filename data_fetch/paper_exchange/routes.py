"""The paths of the paper exchange and what each one answers.

Upstox's own paths know nothing of `/paper/...`, the control endpoints of this server.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from data_fetch.paper_exchange.candles import CandleAnswers, Quiet
from data_fetch.paper_exchange.chains import ChainAnswers
from data_fetch.paper_exchange.days import Moment
from data_fetch.paper_exchange.faults import Fault
from data_fetch.paper_exchange.market import PaperMarket
from data_fetch.paper_exchange.market_times import MarketTimes
from data_fetch.paper_exchange.misbehaviour import spoilt, written
from data_fetch.paper_exchange.quotes import QuoteAnswers
from data_fetch.paper_exchange.tokens import Tokens
from data_fetch.paper_exchange.wire import Answer, refuse

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


@dataclass(frozen=True, slots=True)
class Route:
    """One path. *api* names its rate windows; only an *open* one needs no token.

    A *slow* answer takes long to think out, and must not hold up the quick ones.
    """

    path: str
    api: str
    answer: Callable[[Asked], Answer]
    method: str = "GET"
    open: bool = False
    limited: bool = True
    slow: bool = False


class Routes:
    """Every path of Upstox that this exchange serves."""

    def __init__(self, market: PaperMarket, tokens: Tokens, quiet: Quiet) -> None:
        self._market = market
        self._tokens = tokens
        self._quotes = QuoteAnswers(market)
        self._candles = CandleAnswers(market, quiet)
        self._chains = ChainAnswers(market)
        self._times = MarketTimes(market.days)

    def table(self) -> tuple[Route, ...]:
        ltp, ohlc = "/v3/market-quote/ltp", "/v3/market-quote/ohlc"
        candles = "/v3/historical-candle"
        wanted = "{key}/{unit}/{interval}"
        expired = "/v2/expired-instruments/historical-candle/{key}/{interval}/{to_date}/{from_date}"
        options, market = "/v2/option", "/v2/market"
        files = "/market-quote/instruments/exchange"
        return (
            Route(ltp, "ltp", _data(self._ltp)),
            Route(ohlc, "ohlc", _data(self._ohlc)),
            _candle_route(f"{candles}/intraday/{wanted}", self._intraday),
            _candle_route(f"{candles}/{wanted}/{{to_date}}", self._history),
            _candle_route(f"{candles}/{wanted}/{{to_date}}/{{from_date}}", self._history),
            Route(expired, "expired-candles", _data(self._expired), slow=True),
            Route(f"{options}/contract", "option-contract", _data(self._contracts), slow=True),
            Route(f"{options}/chain", "option-chain", _data(self._chain), slow=True),
            Route(f"{market}/holidays", "holidays", _data(self._holidays), open=True),
            Route(f"{market}/holidays/{{date}}", "holidays", _data(self._holiday), open=True),
            Route(f"{market}/timings/{{date}}", "timings", _data(self._timings), open=True),
            Route(f"{market}/status/{{exchange}}", "market-status", _data(self._status)),
            Route("/v2/login/authorization/token", "login", self._login, open=True, method="POST"),
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
        return self._chains.chain(query.get("instrument_key"), query.get("expiry_date"), asked.now)

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


def _data(tell: Callable[[Asked], Any]) -> Callable[[Asked], Answer]:
    """Put what *tell* says into the provider's envelope, spoilt where a fault wants it."""

    def answer(asked: Asked) -> Answer:
        return written(asked.faults, spoilt(asked.faults, tell(asked), asked.now.at))

    return answer


def _candle_route(path: str, tell: Callable[[Asked], Any]) -> Route:
    return Route(path, "candles", _data(tell), open=True, slow=True)


def _master_route(path: str, answer: Callable[[Asked], Answer]) -> Route:
    # Plain files on another host of the provider: no token there, and no limit.
    return Route(path, "master", answer, open=True, limited=False, slow=True)


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


def decoded(request: web.Request) -> tuple[dict[str, str], tuple[str, ...]]:
    """The query, and the instrument keys that the request is about."""
    query = dict(request.query)
    named = query.get("instrument_key", "")
    keys = tuple(key for key in named.split(",") if key)
    if "key" in request.match_info:
        keys = (request.match_info["key"],)
    return query, keys
