"""The paper exchange: a real HTTP server with invented prices, in Upstox's and NSE's wire format.

Whatever depends on time asks the clock that was handed in: prices, rate windows, token
life, and the instants of faults. Only a slow body takes real seconds.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from aiohttp import web

from data_fetch.core.errors import SetupError
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.paper_exchange.faults.faults import Fault
from data_fetch.paper_exchange.market.listings import DEFAULT_SYMBOLS
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.routes import Routes
from data_fetch.paper_exchange.server import PaperServer, ServerState, Telling
from data_fetch.paper_exchange.upstox.candles import Quiet

# 500 equity keys make a request line of 12,033 characters (reference, section 3.2).
LONGEST_LINE = 16 * 1024
ILLIQUID = 0.1

# The port, and how to end the server from another thread.
Listening = tuple[int, Callable[[], object]]


class PaperExchange:
    """A server on *host*, at a free port unless one is named; `url` once it has started.

    *symbols* are trading symbols of F&O stocks and index underlyings. The same *seed*,
    symbols and instant give the same bytes. *illiquid* is the share of stocks with quiet
    minutes, and *quiet* says how candle answers tell them.
    """

    def __init__(
        self,
        clock: Telling,
        *,
        calendar: MarketCalendar | None = None,
        seed: int = 1,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Sequence[Fault] = (),
        illiquid: float = ILLIQUID,
        quiet: Quiet = Quiet.ZERO_VOLUME,
    ) -> None:
        self.market = PaperMarket(
            symbols, calendar or MarketCalendar.reviewed(), seed=seed, illiquid=illiquid
        )
        self._state = ServerState()
        self._state.faults.order(faults)
        routes = Routes(self.market, self._state.tokens, self._state.visits, quiet)
        self._server = PaperServer(self.market, routes, self._state, clock)
        self._host, self._port = host, port
        self._stop: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Listen. Raises SetupError when the host and port cannot be had."""
        listening: Future[Listening] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._listen(listening)), name="paper-exchange", daemon=True
        )
        self._thread.start()
        try:
            self._port, self._stop = listening.result()
        except (OSError, UnicodeError) as refused:
            raise SetupError(
                f"the paper exchange cannot listen on {self._host}:{self._port} ({refused})",
                hint="Choose another port (0 takes a free one), or an address of this computer.",
            ) from refused
        return self

    def stop(self) -> None:
        """Stop listening and let go of every connection. Again changes nothing."""
        if self._thread is not None and self._stop is not None:
            self._stop()
            self._thread.join()
        self._thread = self._stop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def _listen(self, listening: Future[Listening]) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(
            self._server.application(),
            access_log=None,
            max_line_size=LONGEST_LINE,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            port = int(runner.addresses[0][1])
            listening.set_result((port, lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()
        except (OSError, UnicodeError) as refused:
            # A host that is no name at all is a UnicodeError.
            listening.set_exception(refused)
        finally:
            await runner.cleanup()
