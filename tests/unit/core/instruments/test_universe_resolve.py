"""Resolving a list of symbols to instruments."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.near_symbols import NearSymbols
from data_fetch.core.instruments.universe import derive_universe, resolve
from data_fetch.sources.instruments.rows import read_instruments
from data_fetch.sources.instruments.symbols_file import SHIPPED, read_symbols_file


def stock(symbol: str, isin: str, series: str = "EQ", name: str = "") -> Instrument:
    key = f"NSE_EQ|{isin}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type=series,
        name=name,
        isin=isin,
    )


def index(symbol: str, name: str) -> Instrument:
    key = f"NSE_INDEX|{name}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_INDEX",
        instrument_type="INDEX",
        name=name,
    )


def future(
    underlying: Instrument, symbol: str = "", expiry: date = date(2026, 8, 25)
) -> Instrument:
    named = symbol or underlying.symbol
    return Instrument(
        instrument_key=f"NSE_FO|{named}|{expiry:%d-%m-%Y}",
        live_key=f"NSE_FO|{named}",
        symbol=f"{named} FUT",
        segment="NSE_FO",
        instrument_type="FUT",
        underlying_key=underlying.instrument_key,
        underlying_symbol=named,
        expiry=expiry,
    )


RELIANCE = stock("RELIANCE", "INE002A01018", name="RELIANCE INDUSTRIES LTD")
RELAXO = stock("RELAXO", "INE131B01039", name="RELAXO FOOTWEARS LIMITED")
MAHINDRA = stock("M&M", "INE101A01026", name="MAHINDRA & MAHINDRA LTD")
BAJAJ = stock("BAJAJ-AUTO", "INE917I01010", name="BAJAJ AUTO LIMITED")
ETERNAL = stock("ETERNAL", "INE758T01015", name="ETERNAL LIMITED")
TATA = stock("TMPV", "INE155A01022", name="TATA MOTORS PASS VEH LTD")
LTM = stock("LTM", "INE214T01019", name="LTM LIMITED")
MOTHERSON = stock("MOTHERSON", "INE775A01035", name="SAMVRDHNA MTHRSN INTL LTD")
BOND = stock("MOTHERSON", "INE775A08105", series="D1", name="SAMVRDHNA 8.15% 2027")
SURVEILLED = stock("GTLINFRA", "INE221H01019", series="BE", name="GTL INFRA.LTD")
NIFTY = index("NIFTY", "Nifty 50")
NEXT_50 = index("NIFTYNXT50", "Nifty Next 50")
BANK = index("BANKNIFTY", "Nifty Bank")
VIX = index("INDIA VIX", "India VIX")
STOCKS = [RELIANCE, RELAXO, MAHINDRA, BAJAJ, ETERNAL, TATA, LTM, MOTHERSON]
INSTRUMENTS = [
    *(BOND, *STOCKS, SURVEILLED, NIFTY, NEXT_50, BANK, VIX),
    *(future(each) for each in (RELIANCE, MAHINDRA, BAJAJ, TATA, LTM, NIFTY, BANK)),
]


@pytest.mark.parametrize(
    ("symbol", "instrument"),
    [
        pytest.param("RELIANCE", RELIANCE, id="a stock"),
        pytest.param("M&M", MAHINDRA, id="with an ampersand"),
        pytest.param("BAJAJ-AUTO", BAJAJ, id="with a hyphen"),
        pytest.param("MOTHERSON", MOTHERSON, id="the stock and not its debenture"),
        pytest.param("GTLINFRA", SURVEILLED, id="in the trade-to-trade series"),
        pytest.param("NIFTY", NIFTY, id="an index by symbol"),
        pytest.param("Nifty 50", NIFTY, id="an index by name"),
        pytest.param("NIFTY50", NIFTY, id="without the blank"),
        pytest.param("NIFTY NEXT 50", NEXT_50, id="as broker lists spell it"),
        pytest.param("NIFTY BANK", BANK, id="the name, not the symbol"),
        pytest.param("INDIA VIX", VIX, id="a symbol with a blank"),
        pytest.param("INDIAVIX", VIX, id="that symbol without it"),
    ],
)
def test_a_symbol_resolves_to_one_instrument(symbol: str, instrument: Instrument) -> None:
    universe = resolve([symbol], INSTRUMENTS)

    assert universe.members == (instrument,)
    assert universe.unresolved == ()


def test_the_main_series_is_used_in_any_order_of_the_file() -> None:
    main, other = stock("AB", "INE1"), stock("AB", "INE2", series="BE")

    assert resolve(["AB"], [main, other]).members == (main,)
    assert resolve(["AB"], [other, main]).members == (main,)


def test_a_debenture_alone_is_not_its_company() -> None:
    assert resolve(["MOTHERSON"], [BOND]).members == ()


@pytest.mark.parametrize(
    ("symbol", "first"),
    [
        pytest.param("RELAINCE", "RELIANCE", id="letters swapped"),
        pytest.param("MM", "M&M", id="sign left out"),
        pytest.param("BAJAJ AUTO", "BAJAJ-AUTO", id="blank for hyphen"),
        pytest.param("TATAMOTORS", "TMPV", id="renamed, found by the name"),
        pytest.param("LTIM", "LTM", id="renamed, one letter less"),
        pytest.param("ZOMATO", "ETERNAL", id="renamed, no letters in common"),
        pytest.param("RELIANCE.NS", "RELIANCE", id="another provider's spelling"),
        pytest.param("BANKNIFY", "BANKNIFTY", id="an index mistyped"),
        pytest.param("reliance industries", "RELIANCE", id="the company's name"),
    ],
)
def test_an_unknown_symbol_is_reported_with_near_ones(symbol: str, first: str) -> None:
    universe = resolve([symbol, "RELAXO"], INSTRUMENTS)

    [missing] = universe.unresolved
    assert missing.symbol == symbol
    assert missing.near[0] == first
    assert universe.listed == 2


def test_a_symbol_without_near_ones_is_reported_too() -> None:
    [missing] = resolve(["XQZW"], INSTRUMENTS).unresolved

    assert missing.near == ()


def test_a_successor_that_is_not_listed_is_not_suggested() -> None:
    [missing] = resolve(["ZOMATO"], [RELIANCE]).unresolved

    assert missing.near == ()


def test_of_two_equally_near_the_underlying_of_futures_is_first() -> None:
    known = NearSymbols([("TCSA", "", False), ("TCSB", "", True)])

    assert known.near("TCSX") == ("TCSB", "TCSA")


def test_two_spellings_of_one_index_are_one_member() -> None:
    universe = resolve(["NIFTY", "NIFTY 50", "RELIANCE"], INSTRUMENTS)

    assert universe.members == (NIFTY, RELIANCE)
    assert universe.duplicates == ("NIFTY 50",)
    assert universe.listed == 2


def test_the_universe_is_the_underlyings_of_listed_futures() -> None:
    found = derive_universe([*INSTRUMENTS, future(RELIANCE, expiry=date(2026, 9, 29))])

    assert found.stocks == ("BAJAJ-AUTO", "LTM", "M&M", "RELIANCE", "TMPV")
    assert found.indices == ("BANKNIFTY", "NIFTY")
    assert found.symbols == found.indices + found.stocks


def test_expired_futures_count() -> None:
    found = derive_universe([RELIANCE, future(RELIANCE, expiry=date(2001, 11, 29))])

    assert found.stocks == ("RELIANCE",)


def test_the_symbol_of_the_cash_segment_is_the_one_that_resolves() -> None:
    found = derive_universe([TATA, future(TATA, symbol="TATAMOTORS")])

    assert found.stocks == ("TMPV",)
    assert resolve(found.symbols, [TATA]).unresolved == ()


@pytest.mark.parametrize(
    ("file", "stocks", "indices", "renamed"),
    [
        pytest.param("NSE_2026-08-14", 208, 6, [], id="August 2026"),
        pytest.param(
            "NSE_2025-02-08", 227, 5, ["NIFTYFPI", "ETERNAL", "LTM", "TMPV"], id="February 2025"
        ),
    ],
)
def test_the_real_masters(
    shared_data: Path,
    shipped_symbols: Sequence[str],
    file: str,
    stocks: int,
    indices: int,
    renamed: list[str],
) -> None:
    instruments = list(read_instruments(shared_data / "upstox" / "instruments" / f"{file}.json.gz"))

    found = derive_universe(instruments)

    assert (len(found.stocks), len(found.indices)) == (stocks, indices)
    assert not any("NSETEST" in symbol for symbol in found.symbols)
    assert resolve(found.symbols, instruments).unresolved == ()
    listed = resolve(shipped_symbols, instruments)
    assert listed.listed == 214
    assert [missing.symbol for missing in listed.unresolved] == renamed


@pytest.fixture
def shipped_symbols() -> Sequence[str]:
    return read_symbols_file(next(path for path in SHIPPED if path.is_file())).symbols
