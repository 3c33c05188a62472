"""A store with some of everything, for tests that walk over every route of the server.

Two underlyings with options, NIFTY and M&M; quotes, candles, chains of two expiries and runs of
any trading day of June 2025.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from candle_shelf import TUESDAY, Shelf, shelf_at, stock
from chain_shelf import chain, keep

from data_fetch.core.chains.chains import Chain, ChainLeg, OptionType
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.services.chain_enrichment import ChainEnricher, ParsedResponse
from data_fetch.storage.quotes import QuoteStore

EXPIRY, NEXT_EXPIRY = date(2025, 6, 26), date(2025, 7, 31)
LOT, STEP, STRIKES = 75, 50, 5
NIFTY = Instrument(
    instrument_key="NSE_INDEX|Nifty 50",
    live_key="NSE_INDEX|Nifty 50",
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
)
M_AND_M = stock("M&M", "INE101A01026")
# The names of such stores, one of each kind of database.
FILLED = ("postgres", "sqlite")
# The lowest strike of each underlying.
LOWEST: Mapping[Instrument, int] = {NIFTY: 24_000, M_AND_M: 2_900}


def strikes(of: Instrument) -> list[Decimal]:
    return [Decimal(LOWEST[of] + STEP * number) for number in range(STRIKES)]


def contracts() -> list[Instrument]:
    """The option contracts of every underlying and expiry."""
    listed = (
        (of, expiry, strike, side)
        for of in LOWEST
        for expiry in (EXPIRY, NEXT_EXPIRY)
        for strike in strikes(of)
        for side in OptionType
    )
    return [
        Instrument(
            instrument_key=f"NSE_FO|{number}|{expiry:%d-%m-%Y}",
            live_key=f"NSE_FO|{number}",
            symbol=f"{of.symbol} {strike:f} {side} {expiry:%d %b %y}".upper(),
            segment="NSE_FO",
            instrument_type=side,
            underlying_key=of.instrument_key,
            underlying_symbol=of.symbol,
            expiry=expiry,
            strike=strike,
            lot_size=LOT,
            tick_size=Decimal("0.05"),
        )
        for number, (of, expiry, strike, side) in enumerate(listed, 40_000)
    ]


@contextmanager
def market_shelf(database_url: str, folder: Path) -> Iterator[Shelf]:
    """A store that knows the instruments and has no rows beside them."""
    shelf = shelf_at(database_url, folder)
    shelf.lists(TUESDAY, *LOWEST, *contracts())
    (folder / "nse_fo_stock_symbols.txt").write_text("NIFTY\nM&M\n")
    try:
        yield shelf
    finally:
        shelf.store.close()


def trade(shelf: Shelf, day: date, rise: float = 0.0) -> None:
    """Store a day of everything, at prices that are *rise* rupees above the usual ones."""
    opening = datetime.combine(day, time(3, 45), UTC)
    minutes = [opening + timedelta(minutes=number) for number in range(20)]
    for of, lowest in LOWEST.items():
        price = lowest + 2 * STEP + rise
        closes = {number: price + number / 20 for number in range(375)}
        shelf.keeps(of, day, closes, at=opening + timedelta(hours=8))
        keep_quotes(shelf, of, minutes, price)
        for number, at in enumerate(minutes[::5]):
            expiries = EXPIRY, NEXT_EXPIRY
            receive(shelf, at, *(chain_of(of, expiry, price + number) for expiry in expiries))


def receive(shelf: Shelf, at: datetime, *chains: Chain) -> None:
    """Store *chains* as received *at* an instant, with the numbers that are computed of them."""
    enricher = ChainEnricher(shelf.store, shelf.calendar)
    response = ParsedResponse(chains=list(chains), received_at=at)
    keep(shelf.store, *enricher.received([response]))


def keep_quotes(shelf: Shelf, of: Instrument, slots: list[datetime], price: float) -> None:
    """Store a quote of each slot, received after it: *price*, and a rupee more each time."""
    run = SyncRun.begin("quotes", slots[0]).finish(slots[-1], Outcome.COMPLETED)
    rows = [
        StoredQuote(
            symbol=of.symbol,
            slot=slot,
            quote=Quote(
                instrument_key=of.instrument_key,
                last_price=price + number,
                volume=1_000 * number,
                prev_close=price - 1,
            ),
            off_session=False,
            received_at=slot + timedelta(seconds=61),
            source="upstox",
            run_id=run.run_id,
        )
        for number, slot in enumerate(slots)
    ]
    QuoteStore(shelf.store).record_slot(run, rows, ())


def chain_of(of: Instrument, expiry: date, spot: float) -> Chain:
    """A chain of every strike, whose prices, open interest and volumes follow from *spot*."""
    return chain(
        spot,
        *(
            ChainLeg(
                strike=strike,
                option_type=side,
                ltp=price,
                prev_close=100.0,
                bid=price - 1,
                bid_qty=LOT,
                ask=price + 1,
                ask_qty=2 * LOT,
                volume=spot // 10 * LOT,
                oi=spot // 5 * LOT,
                prev_oi=spot // 6 * LOT,
            )
            for strike in strikes(of)
            for side in OptionType
            for price in [_price(float(strike), side, spot)]
        ),
        expiry=expiry,
        underlying=of.symbol,
    )


def _price(strike: float, side: OptionType, spot: float) -> float:
    """A price whose implied volatility can be computed."""
    inside = spot - strike if side is OptionType.CALL else strike - spot
    return max(inside, 0.0) + spot / 100
