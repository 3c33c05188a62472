"""A store with stocks, candles and their ledger, written as the backfill writes them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.candles.coverage import (
    DayCoverage,
    Proof,
    before_first_candle,
    with_candles,
    with_response,
)
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.session import midnight_number
from data_fetch.core.settings import Settings
from data_fetch.core.spans import common, spans_of
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import begin_candle_writing, known_candles, merge_candles
from data_fetch.storage.candles.coverage import load_days, save_days
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

MINUTE = CandleInterval.MINUTE
TUESDAY, WEDNESDAY, THURSDAY = date(2025, 6, 10), date(2025, 6, 11), date(2025, 6, 12)
EVENING = datetime(2025, 6, 13, 14, 30, tzinfo=UTC)
OPENING = 9 * 60 + 15


def stock(symbol: str, isin: str = "INE002A01018") -> Instrument:
    key = f"NSE_EQ|{isin}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type="EQ",
        isin=isin,
        cas_eligible=True,
    )


RELIANCE = stock("RELIANCE")


@dataclass(frozen=True)
class Shelf:
    """*closes* are given by minutes after the opening; the other prices follow from them."""

    store: Store
    settings: Settings
    calendar: MarketCalendar

    def lists(self, on: date, *stocks: Instrument) -> None:
        """The master of a date."""
        save_master(self.store, iter(stocks), on, EVENING)

    def keeps(
        self,
        of: Instrument,
        day: date,
        closes: Mapping[int, float],
        *,
        at: datetime = EVENING,
        final: bool = True,
        kind: Kind = Kind.TRADED,
    ) -> None:
        """Minutes that arrived *at* an instant."""
        opens = midnight_number(day) + OPENING
        starts = sorted(opens + minute for minute in closes)
        prices = [closes[start - opens] for start in starts]
        block = CandleBlock(
            instrument_key=of.instrument_key,
            interval=MINUTE,
            starts=starts,
            open=[price - 0.05 for price in prices],
            high=[price + 1.1 for price in prices],
            low=[price - 0.95 for price in prices],
            close=prices,
            volume=[100 + start % 7 for start in starts],
            oi=[0] * len(starts),
            kinds=[kind] * len(starts),
        )
        came_from = Provenance(
            source="upstox", is_final=final, fetched_at=at, run_id=f"run of {at:%H:%M:%S}"
        )
        with self.store.writing() as connection:
            begin_candle_writing(connection)
            merge_candles(connection, [block], came_from)
        known = self.known(of, day, at)
        spans = spans_of(starts) if kind is Kind.TRADED else ()
        arrived = common(spans, known.spans(*(one.state for one in known.intervals)))
        self._save(with_candles(known, arrived, arrived if final else ()), at)

    def answered(self, of: Instrument, day: date, *, at: datetime = EVENING) -> None:
        """Record a complete response about the whole day."""
        proof = Proof("a complete answer", "run 7", at)
        self._save(with_response(self.known(of, day, at), proof), at)

    def unlisted(self, of: Instrument, day: date, *, at: datetime) -> None:
        """A candle of a later day was the first one: nothing is expected of *day* any more."""
        self._save(before_first_candle(self.known(of, day, at)), at)

    def known(self, of: Instrument, day: date, at: datetime) -> DayCoverage:
        session = self.calendar.session(day, group_of(of, day))
        with self.store.reading() as connection:
            rows = load_days(connection, [of.instrument_key], MINUTE, day, day)
        known = rows.get((of.instrument_key, day))
        return Expectation(self.calendar, at).day(of.instrument_key, MINUTE, session, known)

    def _save(self, day: DayCoverage, at: datetime) -> None:
        with self.store.writing() as connection:
            save_days(connection, [day], "run 7", at)


def candle_rows(
    connection: Connection,
    instrument_key: str,
    interval: str,
    first: int,
    end: int,
    as_of: datetime | None = None,
) -> list[Row[Any]]:
    """The stored candles that start in [first, end), oldest first."""
    query = known_candles(instrument_key, interval, first, end, as_of)
    return list(connection.execute(query.order_by("timestamp")))


def whole_day(price: float = 1500.0) -> dict[int, float]:
    """A close for every minute of continuous trading."""
    return {minute: price + minute / 20 for minute in range(375)}


def shelf_at(database_url: str, folder: Path) -> Shelf:
    settings = Settings.load(environment_for(database_url), folder)
    return Shelf(open_store(database_url, World.LIVE), settings, MarketCalendar.reviewed())


def environment_for(database_url: str) -> dict[str, str]:
    return {"DATA_SOURCE": "upstox", "DATABASE_URL": database_url}


def renamed(one: Instrument, symbol: str) -> Instrument:
    return replace(one, symbol=symbol)
