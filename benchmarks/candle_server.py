"""A provider of ready-made candle bodies that enforces the real rate windows.

`python -m benchmarks.candle_server` prints its port, serves until its standard input ends, and
tells at /state how many requests came and how many were refused. Bodies are made before the
port is printed, so that serving one costs next to nothing.
"""

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import orjson
from aiohttp import web

from data_fetch.core.candles.candles import CandleInterval, expected_spans
from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.market.calendar import OTHER_STOCK, MarketCalendar
from data_fetch.core.market.session import instant_of
from data_fetch.core.world import PAPER_MARK
from data_fetch.paper_exchange.upstox.limits import RateLimits
from data_fetch.paper_exchange.wire import ApiError

FIRST, LAST = date(2026, 6, 1), date(2026, 7, 31)
INSTRUMENTS = 210
# Different enough that nobody profits from having seen a body before.
VARIANTS = 4


def instrument_keys(instruments: int = INSTRUMENTS) -> list[str]:
    return [f"NSE_EQ|ZZP{number:06d}018" for number in range(instruments)]


def variant_of(key: str) -> int:
    """Which of the different bodies an instrument has."""
    return int(key.removeprefix("NSE_EQ|ZZP").removesuffix("018")) % VARIANTS


def windows() -> list[tuple[date, date]]:
    """The two months of one instrument in the fewest windows, newest first."""
    trading = [day for day in _days(FIRST, LAST) if _minutes(day)]
    found = []
    while trading:
        last = trading[-1]
        begins = next(day for day in trading if (last - day).days <= 30)
        found.append((begins, last))
        trading = [day for day in trading if day < begins]
    return found


def body(first: date, last: date, variant: int) -> bytes:
    """An answer as the provider writes it: newest first, seven values a row."""
    minutes = [minute for day in _days(first, last) for minute in _minutes(day)]
    random = np.random.default_rng(variant)
    close = np.round(1000 + np.cumsum(random.normal(0, 0.5, len(minutes))), 2)
    opened = np.round(close + random.normal(0, 0.3, len(minutes)), 2)
    high = np.round(np.maximum(opened, close) + 0.2, 2)
    low = np.round(np.minimum(opened, close) - 0.2, 2)
    volume = random.integers(100, 90_000, len(minutes))
    stamps = [instant_of(minute).astimezone(IST).isoformat() for minute in minutes]
    columns = (opened, high, low, close, volume)
    rows = zip(stamps, *(column.tolist() for column in columns), strict=True)
    candles = [[*row, 0] for row in rows][::-1]
    return orjson.dumps({"status": "success", "data": {"candles": candles}})


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _minutes(day: date) -> list[int]:
    session = MarketCalendar.reviewed().session(day, OTHER_STOCK)
    spans = expected_spans(session, CandleInterval.MINUTE)
    return [minute for first, end in spans for minute in range(first, end)]


class Provider:
    def __init__(self) -> None:
        self._clock = SystemClock()
        self._limits = RateLimits()
        self._requests = 0
        self._bodies = {
            (last.isoformat(), first.isoformat(), variant): body(first, last, variant)
            for first, last in (*windows(), (LAST, LAST))
            for variant in range(VARIANTS)
        }

    def application(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(_mark)
        history = "/v3/historical-candle/{key}/minutes/1/{last}/{first}"
        app.router.add_get(history, self._candles)
        app.router.add_get("/v3/market-quote/ltp", self._quotes)
        app.router.add_get("/state", self._state)
        return app

    async def _candles(self, request: web.Request) -> web.Response:
        asked = request.match_info
        self._requests += 1
        variant = variant_of(asked["key"])
        return self._answer("candles", self._bodies[asked["last"], asked["first"], variant])

    async def _quotes(self, request: web.Request) -> web.Response:
        keys = request.query["instrument_key"].split(",")
        rows = {
            key.replace("|", ":"): {
                "last_price": 100.0,
                "instrument_token": key,
                "ltq": 1,
                "volume": int(datetime.now(UTC).timestamp()),
                "cp": 99.0,
            }
            for key in keys
        }
        return self._answer("ltp", orjson.dumps({"status": "success", "data": rows}))

    def _answer(self, api: str, body: bytes) -> web.Response:
        try:
            self._limits.admit(api, self._clock.now())
        except ApiError as error:
            return web.Response(body=error.response.body, status=error.response.status)
        return web.Response(body=body, content_type="application/json")

    async def _state(self, _: web.Request) -> web.Response:
        refused = sum(self._limits.refused.values())
        return web.json_response({"requests": self._requests, "refused": refused})


async def _mark(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[PAPER_MARK] = "ready-made candles"


async def serve() -> None:
    runner = web.AppRunner(Provider().application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
