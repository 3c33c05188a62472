"""The store that the dashboard is measured on: 214 instruments, 60 days, and the chains of a day.

A paper market that stands still half a minute before the close of its last day. Everything of the
212 stocks and two indices that the pages look at is there: ledger, quotes of the day, runs, a
chain of each, and of NIFTY four expiries of 120 strikes, the nearest one minute by minute.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import exp
from pathlib import Path

import numpy as np
import orjson

from benchmarks.bench_coverage import CAME_FROM, NOW, block_of, instrument, ledger_days, question
from data_fetch.analytics.pricing import black
from data_fetch.core.candles.coverage import State
from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.symbol_config import default_config
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.core.timetable import CHAINS, FRESHNESS, QUOTES
from data_fetch.runtime.logs import TIMESTAMP
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.storage.candles.candles import begin_candle_writing, insert_candles
from data_fetch.storage.candles.coverage import save_days
from data_fetch.storage.chains.snapshots import ChainStore
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import record_runs

STOCKS, STRIKES, STRIKES_OF_A_STOCK = 212, 120, 20
# 60 trading days.
FIRST, LAST = date(2025, 5, 5), date(2025, 7, 29)
STANDS_AT = datetime.combine(LAST, datetime.min.time(), IST) + timedelta(hours=15, minutes=29.5)
EXPIRIES = tuple(date(2025, 7, 31) + timedelta(days=days) for days in (0, 7, 14, 28))
SPOT, STEP, LOT, RATE = 24_800.0, 50, 75, 0.065
SHOWN_STOCK = "PAPER0"
LOG_LINES = 2_000


def settings_in(folder: Path, url: str) -> Settings:
    """The settings of a dashboard in *folder* on the store at *url*."""
    given = {"DATA_SOURCE": "paper", "DATABASE_URL": url, "ARCHIVE_ENABLED": "false"}
    return Settings.load(given, folder)


def fill(store: Store, settings: Settings) -> None:
    """Fill an empty store of the paper world, and the working folder of *settings*."""
    members = [*_indices(), *(instrument(number) for number in range(STOCKS))]
    _folder(settings, members)
    contracts = (each for one in members for each in _contracts(one))
    save_master(store, (each for many in (members, contracts) for each in many), FIRST, NOW)
    _ledger(store, members)
    days = _sessions()
    _quotes(store, members, days[-1])
    _runs(store, days)
    configs = SymbolConfigs(store)
    for each in members:
        configs.set(default_config(each), NOW)
    _chains(store, members, days)


def _folder(settings: Settings, members: Sequence[Instrument]) -> None:
    (settings.folder / "nse_fo_stock_symbols.txt").write_text(
        "\n".join(each.symbol for each in members)
    )
    settings.data_folder.mkdir(exist_ok=True)
    (settings.data_folder / "paper_clock.json").write_bytes(
        orjson.dumps({"now": STANDS_AT.isoformat()})
    )
    settings.log_folder.mkdir(exist_ok=True)
    stamp = STANDS_AT.strftime(TIMESTAMP)
    line = {"timestamp": stamp, "service": "collector", "level": "warning", "event": "slot late"}
    lines = (orjson.dumps({**line, "number": number}) for number in range(LOG_LINES))
    (settings.log_folder / "collector.log").write_bytes(b"\n".join(lines))


def _indices() -> list[Instrument]:
    return [
        Instrument(
            instrument_key=key,
            live_key=key,
            symbol=symbol,
            segment="NSE_INDEX",
            instrument_type="INDEX",
        )
        for symbol, key in (("NIFTY", "NSE_INDEX|Nifty 50"), ("BANKNIFTY", "NSE_INDEX|Nifty Bank"))
    ]


_tokens = count(40_000)


def _contracts(of: Instrument) -> Iterator[Instrument]:
    """The listed options on *of*: two expiries of a stock, four of an index."""
    index = of.segment == "NSE_INDEX"
    for expiry in EXPIRIES if index else EXPIRIES[::3]:
        for strike in _strikes(STRIKES if index else STRIKES_OF_A_STOCK):
            for side in OptionType:
                live_key = f"NSE_FO|{next(_tokens)}"
                yield Instrument(
                    instrument_key=f"{live_key}|{expiry:%d-%m-%Y}",
                    live_key=live_key,
                    symbol=f"{of.symbol}{expiry:%d%b%y}{strike}{side.value}",
                    segment="NSE_FO",
                    instrument_type=side.value,
                    underlying_key=of.instrument_key,
                    underlying_symbol=of.symbol,
                    expiry=expiry,
                    strike=Decimal(strike),
                    lot_size=LOT,
                )


def _ledger(store: Store, members: Sequence[Instrument]) -> None:
    """The ledger of all, and the candles of one."""
    asked = replace(question(members), first=FIRST, last=LAST)
    with store.writing() as connection:
        begin_candle_writing(connection)
        for one, days in zip(members, ledger_days(asked), strict=True):
            save_days(connection, days, CAME_FROM.run_id, NOW)
            if one.symbol == SHOWN_STOCK:
                starts = [
                    minute
                    for day in days
                    for first, end in day.spans(State.PRESENT)
                    for minute in range(first, end)
                ]
                insert_candles(connection, [block_of(one, starts)], CAME_FROM)


def _sessions() -> list[Sequence[datetime]]:
    """The slots of each trading day, as far as they are over."""
    calendar = MarketCalendar.reviewed()
    days = (FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
    slots = (calendar.session(day, FUTURES_AND_OPTIONS).slot_instants for day in days)
    return [
        [slot for slot in of_day if slot + MINUTE <= STANDS_AT - MINUTE]
        for of_day in slots
        if of_day
    ]


def _quotes(store: Store, members: Sequence[Instrument], slots: Sequence[datetime]) -> None:
    quotes = QuoteStore(store)
    for number, slot in enumerate(slots):
        at = slot + MINUTE + timedelta(milliseconds=700)
        run = _run(QUOTES, slot, len(members))
        prices = [
            StoredQuote(
                symbol=each.symbol,
                slot=slot,
                quote=Quote(
                    instrument_key=each.instrument_key,
                    last_price=1_000 + place + number * 0.05,
                    volume=None if each.segment == "NSE_INDEX" else 10_000 * (number + 1),
                    prev_close=990.0 + place,
                    ltq=75,
                ),
                off_session=False,
                received_at=at,
                source="paper",
                run_id=run.run_id,
            )
            for place, each in enumerate(members)
        ]
        quotes.record_slot(run, prices, ())


def _run(job: str, slot: datetime, stored: int) -> SyncRun:
    began = SyncRun.begin(job, slot + MINUTE, slot)
    ended = began.started_at + timedelta(milliseconds=800)
    return began.finish(
        ended, Outcome.COMPLETED, requested=stored, stored=stored, requests=1, details=DETAILS
    )


DETAILS: Mapping[str, object] = {"process": {"pid": 1, "host": "bench"}}


def _runs(store: Store, days: Sequence[Sequence[datetime]]) -> None:
    """A run a minute of three jobs; those of the quotes of the last day are there."""
    for day in days:
        jobs = (CHAINS, FRESHNESS) if day is days[-1] else (QUOTES, CHAINS, FRESHNESS)
        record_runs(store, [_run(job, slot, STOCKS) for slot in day for job in jobs])


@dataclass(frozen=True, slots=True)
class ChainWriter:
    """Prices and stores chains as a collector does."""

    store: Store
    enricher: ChainEnricher

    @classmethod
    def to(cls, store: Store) -> "ChainWriter":
        return cls(store, ChainEnricher(store, MarketCalendar.reviewed()))

    def write(self, chains: Sequence[Chain], at: datetime) -> None:
        received = self.enricher.received([ParsedResponse(chains=chains, received_at=at)])
        slot = at.replace(second=0, microsecond=0)
        run = _run(CHAINS, slot - MINUTE, len(received))
        ChainStore(self.store).record(received, run, ())


def _chains(
    store: Store, members: Sequence[Instrument], days: Sequence[Sequence[datetime]]
) -> None:
    writer = ChainWriter.to(store)
    for earlier in days[:-1]:
        at = earlier[-1] - 30 * MINUTE
        writer.write([nifty_chain(at, expiry) for expiry in EXPIRIES[2:]], at)
    for slot in days[-1]:
        writer.write([nifty_chain(slot, EXPIRIES[0])], slot + MINUTE)
    at = days[-1][-1] + MINUTE
    others = [
        chain_of(each.symbol, at, EXPIRIES[0], _strikes(STRIKES_OF_A_STOCK)) for each in members[1:]
    ]
    writer.write([*(nifty_chain(at, expiry) for expiry in EXPIRIES[1:]), *others], at)


def nifty_chain(at: datetime, expiry: date) -> Chain:
    """The chain of 120 strikes as of *at*; another one for another instant."""
    return chain_of("NIFTY", at, expiry, _strikes(STRIKES))


def chain_of(symbol: str, at: datetime, expiry: date, strikes: Sequence[int]) -> Chain:
    """Traded options with a smile."""
    # No two looks find the same open interest.
    changed = int(at.timestamp() * 100) % 5_000
    moved = (at - at.replace(hour=0, minute=0, second=0)).total_seconds() / 60
    spot = SPOT + 40 * np.sin(moved / 30)
    years = ((expiry - at.astimezone(IST).date()).days + 0.3) / 365
    forward = spot * exp(RATE * years)
    levels = np.repeat(np.array(strikes, dtype=float), 2)
    is_call = np.tile([True, False], len(strikes))
    away = np.log(levels / forward)
    prices = black(forward, levels, years, 0.13 - 0.2 * away + 1.5 * away**2, is_call)
    prices = np.maximum(0.05, np.round(prices / 0.05) * 0.05)
    legs = tuple(
        ChainLeg(
            strike=Decimal(strike),
            option_type=side,
            ltp=price,
            prev_close=round(price * 1.1 + 1, 2),
            bid=max(0.05, price - 0.05),
            ask=price + 0.05,
            bid_qty=LOT,
            ask_qty=LOT,
            volume=float(LOT * (10_000 + number)),
            oi=float(LOT * (4_000 + 37 * number + changed)),
            prev_oi=float(LOT * (3_900 + 31 * number)),
        )
        for number, (strike, side, price) in enumerate(
            zip(
                (each for each in strikes for _ in OptionType),
                (side for _ in strikes for side in (OptionType.CALL, OptionType.PUT)),
                prices.tolist(),
                strict=True,
            )
        )
    )
    return Chain(
        underlying=symbol,
        expiry=expiry,
        source=ChainSource.UPSTOX,
        unit=QuantityUnit.SHARES,
        exchange_time=None,
        spot=float(spot),
        legs=legs,
    )


def _strikes(number: int) -> list[int]:
    first = int(SPOT) - number // 2 * STEP
    return [first + place * STEP for place in range(number)]
