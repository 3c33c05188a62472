"""A provider whose instruments change over the days, and a store that follows it.

The provider has candles by key and day; it refuses keys that it no longer knows. Everything else
is real: masters, backfill, ledger, and the ways to read them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from threading import Event

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    CandleReply,
    Kind,
    no_candles,
)
from data_fetch.core.candles.request_planner import Window
from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.errors import UnknownInstrument
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.runtime.stores import named_instruments, selection_of
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.upstox.candle_endpoints import EXPIRED, UpstoxCandleEndpoints
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

MINUTE = CandleInterval.MINUTE


@dataclass
class ListedCandles(UpstoxCandleEndpoints):
    """A source of candles: *bars* has, by key and day, how many the day begins with."""

    clock: VirtualClock
    calendar: MarketCalendar
    bars: dict[str, dict[date, int]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    asked: list[tuple[str, date, date]] = field(default_factory=list)

    def candles(self, window: Window, stop: Event) -> CandleReply:
        key, now = self._key(window), self.clock.now()
        self.asked.append((key, window.first, window.last))
        if key in self.unknown:
            return CandleReply(
                block=no_candles(window.instrument.instrument_key, MINUTE),
                complete=False,
                problem=UnknownInstrument("the provider does not know the key: UDAPI100011"),
                requests=1,
                received_at=now,
            )
        return CandleReply(
            block=self._block(window, key), complete=True, requests=1, received_at=now
        )

    def _key(self, window: Window) -> str:
        if window.endpoint == EXPIRED:
            return window.instrument.dated_key
        return window.instrument.live_key

    def _block(self, window: Window, key: str) -> CandleBlock:
        starts = [
            minute
            for day, number in sorted(self.bars.get(key, {}).items())
            if window.first <= day <= window.last
            for minute in self._minutes(window.instrument, day)[:number]
        ]
        return CandleBlock(
            instrument_key=window.instrument.instrument_key,
            interval=MINUTE,
            starts=starts,
            open=[100.0] * len(starts),
            high=[101.0] * len(starts),
            low=[99.0] * len(starts),
            close=[100.5] * len(starts),
            volume=[10] * len(starts),
            oi=[0] * len(starts),
            kinds=[Kind.TRADED] * len(starts),
        )

    def _minutes(self, instrument: Instrument, day: date) -> list[int]:
        session = self.calendar.session(day, group_of(instrument, day))
        return [minute for first, end in session.spans for minute in range(first, end)]


@dataclass
class ListedMarket:
    """The provider's candles, the store, and the backfill that fills it."""

    store: Store
    settings: Settings
    clock: VirtualClock
    calendar: MarketCalendar
    source: ListedCandles
    service: BackfillService

    def lists(self, day: date, *instruments: Instrument) -> None:
        """The master of *day*, read at 08:00; the clock goes on to it."""
        morning = datetime.combine(day, time(8), IST).astimezone(UTC)
        self.clock.sleep(max(timedelta(0), morning - self.clock.now()))
        save_master(self.store, iter(instruments), day, self.clock.now())

    def trades(self, key: str, days: Mapping[date, int]) -> None:
        self.source.bars.setdefault(key, {}).update(days)

    def backfill(
        self, symbols: Sequence[str], first: date, last: date, *, retry_failed: bool = False
    ) -> BackfillReport:
        with self.store.reading() as connection:
            chosen = selection_of(connection, named_instruments(connection, symbols))
        order = BackfillOrder(
            instruments=chosen.instruments,
            interval=MINUTE,
            first=first,
            last=last,
            retry_failed=retry_failed,
            listed=chosen.listed,
        )
        return self.service.run(self.service.plan(order))

    def trading_days(self, instrument: Instrument, first: date, last: date) -> list[date]:
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        return [day for day in days if self.calendar.session(day, group_of(instrument, day)).open]


@contextmanager
def listed_market(database_url: str, folder: Path, start: datetime) -> Iterator[ListedMarket]:
    clock, calendar = VirtualClock(start), MarketCalendar.reviewed()
    hold = clock.hold()
    settings = Settings.load({"DATA_SOURCE": "upstox", "DATABASE_URL": database_url}, folder)
    store = open_store(database_url, World.LIVE)
    source = ListedCandles(clock, calendar)
    service = BackfillService(
        source=source,
        source_name="upstox",
        repository=CandleRepository(store),
        calendar=calendar,
        clock=clock,
        limits=UPSTOX_LIMITS,
        spending=lambda _: (),
        stop=Event(),
    )
    yield ListedMarket(store, settings, clock, calendar, source, service)
    hold.release()
    store.close()
