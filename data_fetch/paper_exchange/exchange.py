"""The paper exchange: a real HTTP server with invented prices, in Upstox's and NSE's wire format.

Prices, rate windows, token expiry and the times of faults follow the clock that is passed
in. Only a slow body takes real seconds.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from data_fetch.core.errors import SetupError
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.paper_exchange.faults.faults import Fault
from data_fetch.paper_exchange.feed.sockets import ExchangeClock, FeedSockets
from data_fetch.paper_exchange.market.listings import DEFAULT_SYMBOLS
from data_fetch.paper_exchange.market.market import PaperMarket
from data_fetch.paper_exchange.routes import Routes
from data_fetch.paper_exchange.server import PaperServer, ServerState
from data_fetch.paper_exchange.upstox.candles import Quiet
from data_fetch.paper_exchange.upstox.feed_limits import FeedRules
from data_fetch.paper_exchange.upstox.login import LoginApi
from data_fetch.paper_exchange.upstox.tokens import Tokens

# A request for 500 equity keys has a line of 12,033 characters (reference, section 3.2).
LONGEST_LINE = 16 * 1024
ILLIQUID = 0.1

# The port, and a function that stops the server from another thread.
Listening = tuple[int, Callable[[], object]]


class PaperExchange:
    """A server on *host* and *port*; port 0 takes a free one. `url` is valid after start().

    *symbols* are trading symbols of F&O stocks and index underlyings. The same *seed*,
    symbols and time give the same bytes. *illiquid* is the share of stocks with minutes
    without a trade, and *quiet* how candle responses show such minutes. With *issued_only* a
    request needs a token of a login. The *feed_rules* are limits of the market data feed; its
    frames are recorded in *feed_recordings*, a folder.
    """

    def __init__(
        self,
        clock: ExchangeClock,
        *,
        calendar: MarketCalendar | None = None,
        seed: int = 1,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Sequence[Fault] = (),
        illiquid: float = ILLIQUID,
        quiet: Quiet = Quiet.ZERO_VOLUME,
        issued_only: bool = False,
        feed_rules: FeedRules | None = None,
        feed_recordings: Path | None = None,
    ) -> None:
        self.market = PaperMarket(
            symbols, calendar or MarketCalendar.reviewed(), seed=seed, illiquid=illiquid
        )
        tokens = Tokens(issued_only=issued_only)
        self._state = ServerState(tokens, LoginApi(tokens))
        self._state.faults.add(faults)
        routes = Routes(
            self.market, self._state.logins, self._state.sessions, self._state.feed_codes, quiet
        )
        feed = FeedSockets(
            self.market,
            clock,
            tokens,
            self._state.faults,
            feed_rules or FeedRules(),
            feed_recordings,
        )
        self._server = PaperServer(self.market, routes, self._state, feed, clock)
        self._host, self._port = host, port
        self._stop: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Start listening. Raises SetupError when the host or port is not available."""
        listening: Future[Listening] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._listen(listening)), name="paper-exchange", daemon=True
        )
        self._thread.start()
        try:
            self._port, self._stop = listening.result()
        except (OSError, UnicodeError) as error:
            raise SetupError(
                f"the paper exchange cannot listen on {self._host}:{self._port} ({error})",
                hint="Choose another port (0 takes a free one), or an address of this computer.",
            ) from error
        return self

    def stop(self) -> None:
        """Stop listening and close every connection. A second call has no effect."""
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
        except (OSError, UnicodeError) as error:
            # A host that is not a valid name raises UnicodeError.
            listening.set_exception(error)
        finally:
            await runner.cleanup()
