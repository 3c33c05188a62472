"""A scripted provider with a history of candles, a store, a clock, and backfills by symbol."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from threading import Event
from typing import Any
from urllib.parse import unquote

from sqlalchemy import func, select
from upstox_stub import Scripted, Seen, Stub, api_for, good

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import DayCoverage
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import OTHER_STOCK, MarketCalendar
from data_fetch.core.world import World
from data_fetch.runtime.stores import Selection, selection_of
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import CandleRevision, CandleRow, table
from data_fetch.storage.instruments.instruments import instruments_named, save_master

CALENDAR = MarketCalendar.reviewed()
MINUTES, DAYS = CandleInterval.MINUTE, CandleInterval.DAY
# A minute of the day, with price and volume; the candle is flat.
Minute = tuple[str, float, int]


@dataclass
class HistoryEnv:
    """*history* is what the provider has, by its key and unit, oldest first; *withheld* are days
    that it leaves out of its answers."""

    store: Store
    clock: VirtualClock
    stub: Stub
    service: BackfillService
    history: dict[tuple[str, str], list[list[Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    withheld: set[date] = field(default_factory=set)

    def until(self, instant: datetime) -> None:
        self.clock.sleep(instant - self.clock.now())

    def lists(self, day: date, *instruments: Instrument) -> None:
        """The master of a date."""
        save_master(self.store, iter(instruments), day, self.clock.now())

    def trades(self, of: Instrument, day: date, minutes: Sequence[Minute]) -> None:
        """These minutes are in the provider's history."""
        self.history[of.live_key, "minutes"] += [
            [f"{day}T{at}:00+05:30", price, price, price, price, volume, 0]
            for at, price, volume in minutes
        ]

    def selection(self, *symbols: str) -> Selection:
        with self.store.reading() as connection:
            return selection_of(connection, instruments_named(connection, symbols))

    def order(
        self,
        symbols: Sequence[str],
        first: date,
        last: date,
        interval: CandleInterval = MINUTES,
        *,
        retry_failed: bool = False,
    ) -> BackfillOrder:
        chosen = self.selection(*symbols)
        return BackfillOrder(
            instruments=chosen.instruments,
            interval=interval,
            first=first,
            last=last,
            retry_failed=retry_failed,
            listed=chosen.listed,
        )

    def backfill(self, order: BackfillOrder) -> BackfillReport:
        return self.service.run(self.service.plan(order))

    def ledger(self, order: BackfillOrder) -> dict[date, DayCoverage]:
        """The days of an order for one instrument, as the ledger has them now."""
        # By the store of now, as every reader has it.
        [instrument] = self.selection(*(one.symbol for one in order.instruments)).instruments
        expectation = Expectation(CALENDAR, self.clock.now(), order.listed)
        with self.store.reading() as connection:
            rows = load_days(
                connection, [instrument.instrument_key], order.interval, order.first, order.last
            )
        days = expectation.days(instrument, order.interval, order.first, order.last, rows)
        return {day.day: day for day in days}

    def kinds(self, day: date) -> dict[str, int]:
        """How many stored minutes of *day* there are of each kind."""
        begins = datetime.combine(day, time(), IST)
        query = (
            select(CandleRow.kind, func.count().label("minutes"))
            .where(CandleRow.timestamp >= begins, CandleRow.timestamp < begins + timedelta(days=1))
            .where(CandleRow.interval == MINUTES.value)
            .group_by(CandleRow.kind)
        )
        with self.store.reading() as connection:
            return {row.kind: row.minutes for row in connection.execute(query)}

    def revisions(self) -> int:
        with self.store.reading() as connection:
            found: int = connection.scalar(select(func.count()).select_from(table(CandleRevision)))
            return found

    def answer(self, seen: Seen) -> Scripted:
        """The candles of a window, newest first, as the provider sends them."""
        _, _, kind, *rest = unquote(seen.path).strip("/").split("/")
        if kind == "intraday":
            key, unit, _ = rest
            first = last = self.clock.now().astimezone(IST).date()
        else:
            key, unit, _, to_date, from_date = (kind, *rest)
            first, last = date.fromisoformat(from_date), date.fromisoformat(to_date)
        days = {
            day
            for day in (first + timedelta(days=n) for n in range((last - first).days + 1))
            if day not in self.withheld
        }
        rows = self.history[key, unit]
        return good({"candles": [r for r in rows[::-1] if date.fromisoformat(r[0][:10]) in days]})


def traded(first: str = "09:15", end: str = "15:30", price: float = 100.0) -> list[Minute]:
    """Trading in every minute from *first* to *end* (not included)."""
    times = clock_times(first, end)
    return [(at, round(price + n * 0.05, 2), 10 + n % 7) for n, at in enumerate(times)]


def auction_day(price: float = 100.0, printed: str = "15:28") -> list[Minute]:
    """A day of a stock in the closing auction, as the provider has it."""
    continuous = traded("09:15", "15:15", price)
    flat = continuous[-1][1]
    tail = [
        (at, flat if at < printed else flat + 1, 90_000 if at == printed else 0)
        for at in clock_times("15:15", "15:30")
    ]
    return [*continuous, *tail]


def clock_times(first: str, end: str) -> list[str]:
    """The minutes from *first* to *end* (not included)."""
    begins, ends = (datetime.combine(date.min, time.fromisoformat(at)) for at in (first, end))
    count = int((ends - begins).total_seconds() // 60)
    return [f"{begins + timedelta(minutes=n):%H:%M}" for n in range(count)]


def trading_days(first: date, last: date) -> list[date]:
    """The trading days of the cash segment."""
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if CALENDAR.session(day, OTHER_STOCK).open]


@contextmanager
def history_env(database_url: str, start: datetime) -> Iterator[HistoryEnv]:
    clock, stop = VirtualClock(start), Event()
    hold = clock.hold()
    store = open_store(database_url, World.LIVE)
    with Stub() as stub:
        service = BackfillService(
            source=UpstoxCandleClient(api_for(stub.url, clock), clock),
            source_name="upstox",
            repository=CandleRepository(store),
            calendar=CALENDAR,
            clock=clock,
            limits=UPSTOX_LIMITS,
            spending=lambda _: (),
            stop=stop,
        )
        env = HistoryEnv(store, clock, stub, service)
        stub.script = env.answer
        yield env
    hold.release()
    store.close()
