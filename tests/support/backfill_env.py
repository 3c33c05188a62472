"""A paper exchange that leaves quiet minutes out, a virtual clock, a store, and a backfill."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import orjson
import urllib3
from paced import file_pacer
from sqlalchemy import select

from data_fetch.core.candles.candles import CandleInterval, CandleReply
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST, MINUTE, VirtualClock, minute_of
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.market.members import Members
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.upstox.candles import Quiet
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.services.outage import Patience
from data_fetch.services.quotes import LtpService
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.ltp_client import UpstoxLtpClient
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import CandleRow
from data_fetch.storage.quotes import QuoteStore

CALENDAR = MarketCalendar.reviewed()
NO_PATIENCE = Patience(short=(), long=())


class DatedCandles(UpstoxCandleClient):
    """Remembers when the response to each window was received."""

    def __init__(self, api: UpstoxApi, clock: VirtualClock) -> None:
        super().__init__(api, clock)
        self.received: dict[Window, datetime] = {}

    def candles(self, window: Window, stop: Event) -> CandleReply:
        reply = super().candles(window, stop)
        self.received[window] = reply.received_at
        return reply


@dataclass
class BackfillEnv:
    """Everything a backfill needs, and ways to look at what it left behind."""

    exchange: PaperExchange
    clock: VirtualClock
    store: Store
    api: UpstoxApi
    service: BackfillService
    instruments: Sequence[Instrument]
    stop: Event
    source: DatedCandles

    def instrument(self, symbol: str) -> Instrument:
        return next(one for one in self.instruments if one.symbol == symbol)

    def until(self, instant: datetime) -> None:
        """Let the market go on to *instant*."""
        self.clock.sleep(instant - self.clock.now())

    def faults(self, *faults: dict[str, Any]) -> None:
        """From now on the exchange has these faults and no others."""
        where = f"{self.exchange.url}/paper/faults"
        urllib3.request("DELETE", where)
        answer = urllib3.request("POST", where, body=orjson.dumps({"fault": list(faults)}))
        assert answer.status < 300, answer.data

    def collect_quotes(self) -> None:
        """Store one quote of every instrument, as the quotes job does."""
        now = self.clock.now()
        LtpService(
            source=UpstoxLtpClient(self.api, self.clock),
            source_name="paper",
            quotes_repository=QuoteStore(self.store),
            members=Members.as_of(self.instruments, now),
            calendar=CALENDAR,
            clock=self.clock,
            last_recorded_slot=minute_of(now) - MINUTE,
            running_since=now,
        ).collect_now()

    def order(
        self,
        first: date,
        last: date,
        interval: CandleInterval = CandleInterval.MINUTE,
        *,
        symbols: Sequence[str] = (),
        retry_failed: bool = False,
    ) -> BackfillOrder:
        chosen = [one for one in self.instruments if not symbols or one.symbol in symbols]
        return BackfillOrder(
            instruments=chosen,
            interval=interval,
            first=first,
            last=last,
            retry_failed=retry_failed,
        )

    def backfill(self, order: BackfillOrder) -> BackfillReport:
        return self.service.run(self.service.plan(order))

    def ledger(self, order: BackfillOrder) -> dict[tuple[str, date], DayCoverage]:
        """Every day of *order* as the ledger has it now, by symbol and date."""
        expectation = Expectation(CALENDAR, self.clock.now(), order.listed)
        keys = [one.instrument_key for one in order.instruments]
        with self.store.reading() as connection:
            rows = load_days(connection, keys, order.interval, order.first, order.last)
        return {
            (one.symbol, day.day): day
            for one in order.instruments
            for day in expectation.days(one, order.interval, order.first, order.last, rows)
        }

    def candles(self, symbol: str, interval: CandleInterval) -> dict[int, Any]:
        """The stored candles of an instrument, by the epoch second they start at."""
        query = select(CandleRow).where(
            CandleRow.instrument_key == self.instrument(symbol).instrument_key,
            CandleRow.interval == interval.value,
        )
        with self.store.reading() as connection:
            return {int(row.timestamp.timestamp()): row for row in connection.execute(query)}


@contextmanager
def backfill_env(
    database_url: str,
    folder: Path,
    start: datetime,
    symbols: Sequence[str],
    *,
    seed: int = 1,
    illiquid: float = 0.6,
    quiet: Quiet = Quiet.LEFT_OUT,
    patience: Patience = NO_PATIENCE,
) -> Iterator[BackfillEnv]:
    """A desk at *start*, with the shares and indices named by *symbols*.

    Without *patience* no time passes while the provider does not answer.
    """
    clock, stop = VirtualClock(start), Event()
    hold = clock.hold()
    exchange = PaperExchange(
        clock, calendar=CALENDAR, seed=seed, symbols=symbols, illiquid=illiquid, quiet=quiet
    )
    store = open_store(database_url, World.PAPER)
    with exchange:
        pacer = file_pacer(folder, clock, account=exchange.url.rpartition(":")[2])
        api = UpstoxApi(
            world=World.PAPER,
            base_url=exchange.url,
            token=TokenKeeper("paper-analytics", env_file=None, in_environment=False),
            pacing=pacer,
            clock=clock,
            timeout_seconds=100,
            policy=RetryPolicy(clock, random=Random(0)),
        )
        source = DatedCandles(api, clock)
        service = BackfillService(
            source=source,
            source_name="paper",
            repository=CandleRepository(store),
            calendar=CALENDAR,
            clock=clock,
            limits=UPSTOX_LIMITS,
            spending=pacer.spending,
            stop=stop,
            patience=patience,
        )
        instruments = [instrument_of(exchange, symbol) for symbol in symbols]
        yield BackfillEnv(exchange, clock, store, api, service, instruments, stop, source)
    hold.release()
    store.close()


def instrument_of(exchange: PaperExchange, symbol: str) -> Instrument:
    """A share or an index, as the instrument master has it."""
    listings = exchange.market.listings.values()
    listing = next(one for one in listings if one.symbol == symbol)
    return Instrument(
        instrument_key=listing.key,
        live_key=listing.key,
        symbol=symbol,
        segment=listing.segment,
        instrument_type=listing.series,
        isin=listing.isin,
        cas_eligible=listing.group.auction and listing.isin is not None,
    )


def ist(day: date | str, time: str) -> datetime:
    """An instant on an Indian day."""
    return datetime.fromisoformat(f"{day} {time}").replace(tzinfo=IST)
