"""Days of every dataset in a store: small, with values of all kinds, each day different."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from candle_shelf import RELIANCE, Shelf, stock
from chain_shelf import a_run, chain, received

from data_fetch.analytics.row_digests import digest_of
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import TABLES, Dataset
from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.storage.chains.snapshots import ChainStore, Received
from data_fetch.storage.database.store import Store
from data_fetch.storage.day_rows import day_portions, stored_table
from data_fetch.storage.quotes import QuoteStore

TUESDAY, WEDNESDAY, THURSDAY = date(2026, 9, 15), date(2026, 9, 16), date(2026, 9, 17)
CALENDAR = MarketCalendar.reviewed()
STOCKS = (RELIANCE, stock("M&M", "INE101A01026"))
UNDERLYINGS = ("BANKNIFTY", "M&M", "NIFTY")
ALL_TABLES = [(dataset, name) for dataset, tables in TABLES.items() for name in tables]


def opening(day: date, minutes: float = 0) -> datetime:
    """So many minutes after 09:15 IST of *day*, in UTC."""
    return datetime.combine(day, time(9, 15), IST).astimezone(UTC) + timedelta(minutes=minutes)


def store_day(store: Store, day: date, looks: int = 4) -> None:
    """*looks* at each chain, as many slots of quotes, and as many candles of each stock."""
    store_chains(store, day, looks)
    store_quotes(store, day, looks)
    store_candles(store, day, looks)


def store_chains(store: Store, day: date, looks: int, first: int = 0) -> None:
    ChainStore(store).record(
        [
            looked(day, underlying, look, source)
            for look in range(first, first + looks)
            for underlying in UNDERLYINGS
            for source in (ChainSource.UPSTOX, ChainSource.NSE)
        ],
        a_run(f"chains of {day}"),
        (),
    )


def looked(day: date, underlying: str, look: int, source: ChainSource) -> Received:
    """A chain as it was received at a look of the day; every third one as the one before."""
    content = look - 1 if look % 3 == 2 else look
    chance = Random(f"{day}{underlying}{content}{source}")
    legs = tuple(
        ChainLeg(
            strike=Decimal(24000 + 50 * place) + Decimal("0.5") * (place % 2),
            option_type=kind,
            ltp=chance.random() * 100,
            bid=None if place else chance.random(),
            oi=float(chance.randrange(10_000) * 75),
            volume=75.0 * place,
            provider_iv=chance.random(),
        )
        for place in range(3)
        for kind in OptionType
    )
    of = chain(
        24000 + chance.random(),
        *legs,
        underlying=underlying,
        expiry=day + timedelta(days=6),
        source=source,
        unit=QuantityUnit.CONTRACTS if source is ChainSource.NSE else QuantityUnit.SHARES,
        exchange_time=opening(day, look),
    )
    at = opening(day, look) + timedelta(microseconds=chance.randrange(1_000_000))
    return received(of, at, lot_size=75)


def store_quotes(store: Store, day: date, slots: int, first: int = 0) -> None:
    for slot in range(first, first + slots):
        chance, at = Random(f"{day}{slot}"), opening(day, slot)
        quotes = [
            StoredQuote(
                symbol=one.symbol,
                slot=at,
                quote=Quote(
                    instrument_key=one.instrument_key,
                    last_price=chance.random() * 1000,
                    volume=None if slot % 2 else chance.randrange(5_000_000_000),
                    ltq=None,
                    prev_close=chance.random() * 1000,
                ),
                off_session=slot % 2 == 1,
                received_at=at + timedelta(seconds=60, microseconds=chance.randrange(1_000_000)),
                source="paper",
                run_id=f"quotes of {day}",
            )
            for one in STOCKS
        ]
        run = SyncRun.begin("quotes", at, at).finish(at, Outcome.COMPLETED)
        QuoteStore(store).record_slot(run, quotes, ())


def store_candles(store: Store, day: date, minutes: int) -> None:
    """Candles of which one was corrected."""
    shelf = Shelf(store, Settings.load({}, Path("nowhere")), CALENDAR)
    for place, one in enumerate(STOCKS):
        closes = {minute: 1500.25 + place + minute / 20 for minute in range(minutes)}
        shelf.keeps(one, day, closes, at=opening(day, 400))
        shelf.keeps(one, day, {1: 1600.0 + day.day}, at=opening(day, 500))


def digests(
    store: Store, days: Sequence[date], datasets: Sequence[Dataset] = tuple(Dataset)
) -> dict[tuple[str, date], tuple[int, str]]:
    """Rows and digest of every table and day, as the store has them."""
    found = {}
    for dataset in datasets:
        for name in TABLES[dataset]:
            schema = ARCHIVE_SCHEMAS[name]
            for day in days:
                digest = digest_of(
                    day_portions(store.reading, stored_table(name), day, schema.arrow, schema.key)
                )
                found[name, day] = (digest.rows, digest.value)
    return found
