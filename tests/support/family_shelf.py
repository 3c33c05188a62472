"""A store for the calls of the older backends, and the instant at which it is served.

It is the morning of 16 September 2026. NIFTY has the chain of the nearest expiry in two snapshots,
the last of them received twice, and that of the next expiry in one; its lot is 75. M&M has a chain
in contracts, of an unknown lot. RELIANCE, which was RELIND until the day before, has a chain under
its former symbol, five quotes and twenty candles. TCS is known and has nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas  # noqa: F401 - it cannot be loaded while dates are frozen
from candle_shelf import Shelf, shelf_at, stock
from chain_shelf import EXPIRY, NEXT_EXPIRY, a_run
from freezegun import freeze_time
from option_chains import CALL, PUT, smile_chain
from range_shelf import keep_quotes
from served import Served, serving

from data_fetch.core.chains.chains import Chain, ChainSource, OptionType, QuantityUnit
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.serving.app import application
from data_fetch.storage.chains.snapshots import ChainStore

NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 9, 16), date(2026, 9, 15)
FIRST, SECOND, AGAIN = (datetime(2026, 9, 16, 4, minute, tzinfo=UTC) for minute in (0, 1, 2))
EVENING_BEFORE = datetime(2026, 9, 15, 10, 0, tzinfo=UTC)
LOT = 75
STRIKES = (23_500.0, 23_750.0, 24_000.0, 24_250.0, 24_500.0)
YEARS, RATE = 0.017, 0.065

NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    name="Nifty 50",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)
RELIND = stock("RELIND")
RELIANCE = replace(RELIND, symbol="RELIANCE")
TCS, M_AND_M = stock("TCS", "INE467B01029"), stock("M&M", "INE101A01026")


def contracts(of: Instrument, expiry: date, lot_size: int) -> list[Instrument]:
    """The options that make the lot size of an expiry known."""
    return [
        Instrument(
            instrument_key=f"NSE_FO|{number}|{expiry:%d-%m-%Y}",
            live_key=f"NSE_FO|{number}",
            symbol=f"{of.symbol} {strike:.0f} {kind} {expiry:%d %b %y}".upper(),
            segment="NSE_FO",
            instrument_type=kind,
            underlying_key=of.instrument_key,
            underlying_symbol=of.symbol,
            expiry=expiry,
            strike=Decimal(str(strike)),
            lot_size=lot_size,
        )
        for number, (strike, kind) in enumerate(
            [(strike, kind.value) for strike in STRIKES for kind in OptionType], expiry.day * 100
        )
    ]


def nifty_chain(spot: float, expiry: date = EXPIRY) -> Chain:
    """Priced off a smile. 1,500 shares of open interest in each call and 3,000 in each put, 1,200
    the day before; the call of the highest strike has no price."""
    chain = smile_chain(
        forward=spot + 10, years=YEARS, rate=RATE, strikes=STRIKES, spot=spot, expiry=expiry
    )
    held = {CALL: 1_500.0, PUT: 3_000.0}
    legs = [
        leg._replace(
            oi=held[leg.option_type], prev_oi=1_200.0, volume=750.0, prev_close=100.0,
            bid_qty=75, ask_qty=150, provider_iv=0.15,
        )
        for leg in chain.legs
    ]  # fmt: skip
    legs[-2] = legs[-2]._replace(ltp=None, bid=None, ask=None)
    return replace(chain, legs=tuple(legs))


def stock_chain(underlying: str, unit: QuantityUnit, source: ChainSource) -> Chain:
    chain = smile_chain(forward=24_010.0, years=YEARS, rate=RATE, strikes=(23_750.5, 24_000.0))
    return replace(chain, underlying=underlying, unit=unit, source=source)


@contextmanager
def family_shelf(database_url: str, folder: Path) -> Iterator[Shelf]:
    shelf = shelf_at(database_url, folder)
    (folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nRELIANCE\nTCS\nM&M\n")
    options = [each for day in (EXPIRY, NEXT_EXPIRY) for each in contracts(NIFTY, day, LOT)]
    shelf.lists(YESTERDAY, NIFTY, RELIND, TCS, M_AND_M, *options)
    shelf.lists(TODAY, NIFTY, RELIANCE, TCS, M_AND_M, *options)
    former = stock_chain("RELIND", QuantityUnit.SHARES, ChainSource.UPSTOX)
    contracts_of_nse = stock_chain("M&M", QuantityUnit.CONTRACTS, ChainSource.NSE)
    _receive(shelf, EVENING_BEFORE, [former])
    _receive(shelf, FIRST, [nifty_chain(24_000.0), nifty_chain(24_000.0, NEXT_EXPIRY)])
    _receive(shelf, SECOND, [nifty_chain(24_020.0), contracts_of_nse])
    _receive(shelf, AGAIN, [nifty_chain(24_020.0)])
    keep_quotes(shelf, RELIANCE, *(FIRST + timedelta(minutes=number) for number in range(5)))
    closes = {minute: 1500.0 + minute for minute in range(20)}
    shelf.keeps(RELIANCE, TODAY, closes, at=FIRST)
    try:
        yield shelf
    finally:
        shelf.store.close()


def _receive(shelf: Shelf, at: datetime, chains: Sequence[Chain]) -> None:
    enricher = ChainEnricher(shelf.store, shelf.calendar)
    received = enricher.received([ParsedResponse(chains=chains, received_at=at)])
    run = replace(a_run(f"run at {at:%d %H:%M}"), started_at=at, finished_at=at)
    ChainStore(shelf.store).record(received, run, ())


@contextmanager
def family_server(database_url: str, folder: Path) -> Iterator[Served]:
    """Serves a `family_shelf` at NOW."""
    with family_shelf(database_url, folder) as shelf:
        # Its models cannot be made of a date that is frozen.
        app = application(shelf.settings)
        frozen = freeze_time(NOW, tick=True, real_asyncio=True, ignore=["_pytest"])
        with frozen, serving(app) as server:
            yield server
