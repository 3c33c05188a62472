"""HTTP clients of a paper exchange for tests, and a clock to control it with."""

from datetime import datetime, timedelta
from threading import Event
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import urllib3

from data_fetch.core.clock import FREE_HOLD, IST
from data_fetch.core.ports import Hold
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.market.days import Moment

SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE", "TCS", "IDEA", "M&M")
GLANCE_SECONDS = 0.02
NO_RETRY = urllib3.Retry(total=0, redirect=0, respect_retry_after_header=False)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


class ManualClock:
    """A clock that only moves when it is set."""

    def __init__(self, at: str) -> None:
        self.set_to(at)

    def set_to(self, at: str) -> None:
        self._now = ist(at)

    def set(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def wait(self, until: datetime, stop: Event) -> bool:
        while self.now() < until:
            if stop.wait(GLANCE_SECONDS):
                return True
        return stop.is_set()

    def elapsed_in(self, real: timedelta) -> timedelta:
        return timedelta()

    def hold(self) -> Hold:
        return FREE_HOLD


class ExchangeClient:
    """A client of the Upstox API and of the control endpoints, without retries."""

    def __init__(self, exchange: PaperExchange, clock: ManualClock) -> None:
        self.exchange = exchange
        self.clock = clock
        self.token: str | None = "paper-analytics-test"
        self._http = urllib3.PoolManager(retries=NO_RETRY)

    def key(self, symbol: str) -> str:
        listings = self.exchange.market.listings.values()
        return next(listing.key for listing in listings if listing.symbol == symbol)

    def future(self, symbol: str) -> str:
        """The key of the underlying's nearest future."""
        contracts = self.exchange.market.contracts.on(Moment.of(self.clock.now()).day)
        return next(
            contract.key
            for contract in contracts.values()
            if contract.kind == "FUT" and contract.underlying.symbol == symbol
        )

    def request(self, path: str, method: str = "GET", **options: Any) -> urllib3.BaseHTTPResponse:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return self._http.request(method, self.exchange.url + path, headers=headers, **options)

    def data(self, path: str) -> Any:
        response = self.request(path)
        assert response.status == 200, response.data
        return orjson.loads(response.data)["data"]

    def refusal(self, path: str) -> tuple[int, str]:
        """The HTTP status and the error code."""
        response = self.request(path)
        error = orjson.loads(response.data)["errors"][0]
        assert error["errorCode"] == error["error_code"]
        return response.status, error["errorCode"]

    def ltp_path(self, *keys: str) -> str:
        return f"/v3/market-quote/ltp?instrument_key={quote_plus(','.join(keys))}"

    def ltp(self, *keys: str) -> dict[str, dict[str, Any]]:
        """Quotes by instrument key."""
        rows = self.data(self.ltp_path(*keys)).values()
        return {row["instrument_token"]: row for row in rows}

    def ohlc(self, key: str, interval: str) -> dict[str, Any]:
        path = f"/v3/market-quote/ohlc?instrument_key={quote_plus(key)}&interval={interval}"
        [row] = self.data(path).values()
        return row

    def intraday(self, key: str, unit: str = "minutes", interval: int = 1) -> list[list[Any]]:
        path = f"/v3/historical-candle/intraday/{quote(key, safe='')}/{unit}/{interval}"
        return self.data(path)["candles"]

    def history_path(self, key: str, to_date: str, from_date: str, unit: str, interval: int) -> str:
        parts = f"{quote(key, safe='')}/{unit}/{interval}/{to_date}/{from_date}"
        return f"/v3/historical-candle/{parts}"

    def history(
        self, key: str, to_date: str, from_date: str, unit: str = "minutes", interval: int = 1
    ) -> list[list[Any]]:
        return self.data(self.history_path(key, to_date, from_date, unit, interval))["candles"]

    def truth(self, key: str, day: str) -> list[dict[str, Any]]:
        """The minutes of *day* without any fault."""
        response = self.request(f"/paper/truth?instrument_key={quote_plus(key)}&date={day}")
        assert response.status == 200, response.data
        minutes: list[dict[str, Any]] = orjson.loads(response.data)["minutes"]
        return minutes

    def inject(self, **fault: Any) -> None:
        response = self.request("/paper/faults", "POST", body=orjson.dumps(fault))
        assert response.status == 200, response.data

    def advance(self, at: str) -> None:
        """Set the exchange's clock. Returns when its feed has sent what is due then."""
        body = orjson.dumps({"now": ist(at).isoformat()})
        response = self.request("/paper/clock", "POST", body=body)
        assert response.status == 200, response.data

    def chain(self, symbol: str, expiry: str) -> list[dict[str, Any]]:
        """The put-call chain in Upstox's format."""
        query = f"instrument_key={quote_plus(self.key(symbol))}&expiry_date={expiry}"
        rows: list[dict[str, Any]] = self.data(f"/v2/option/chain?{query}")
        return rows

    def chain_truth(self, symbol: str, expiry: str) -> dict[str, Any]:
        """The unrounded fair values of the options of that expiry at the exchange's time."""
        response = self.request(f"/paper/chain-truth?symbol={quote_plus(symbol)}&expiry={expiry}")
        assert response.status == 200, response.data
        truth: dict[str, Any] = orjson.loads(response.data)
        return truth


class Browser:
    """A client of NSE's website with the cookies of the last page it opened, without retries."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._url = exchange.url
        self.cookies: dict[str, str] = {}
        self._http = urllib3.PoolManager(retries=NO_RETRY)

    def open(self, path: str = "/option-chain") -> urllib3.BaseHTTPResponse:
        page = self.request(path)
        for cookie in page.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return page

    def request(self, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies} if cookies else {}
        return self._http.request("GET", self._url + path, headers=headers, **options)

    def chain_path(self, symbol: str, expiry: str, kind: str = "Indices") -> str:
        return f"/api/option-chain-v3?type={kind}&symbol={quote_plus(symbol)}&expiry={expiry}"

    def get_json(self, path: str) -> Any:
        """The document at *path*, requested with new cookies."""
        self.open()
        response = self.request(path)
        assert response.status == 200, response.data
        return orjson.loads(response.data)

    def chain(self, symbol: str, expiry: str, kind: str = "Indices") -> Any:
        return self.get_json(self.chain_path(symbol, expiry, kind))
