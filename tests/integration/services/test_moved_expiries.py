"""A contract whose expiry the exchange moves remains one contract, with one history."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from candle_shelf import stock
from listed_market import ListedMarket, listed_market
from sqlalchemy import select

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome
from data_fetch.reading import candles, coverage, gaps
from data_fetch.reading import instruments as read_instruments
from data_fetch.storage.instruments.instruments import listed_instruments
from data_fetch.storage.instruments.terms import terms_table

TCS = stock("TCS", "INE467B01029")
FIRST, BEFORE, MOVED = date(2025, 6, 2), date(2025, 6, 24), date(2025, 6, 26)
FUTURE = Instrument(
    instrument_key="NSE_FO|98918|24-06-2025",
    live_key="NSE_FO|98918",
    symbol="TCS FUT 24 JUN 25",
    segment="NSE_FO",
    instrument_type="FUT",
    underlying_key=TCS.instrument_key,
    underlying_symbol="TCS",
    expiry=BEFORE,
    lot_size=175,
    tick_size=Decimal("0.1"),
)


def dated(contract: Instrument, expiry: date, symbol: str) -> Instrument:
    """The contract as a master has it that lists it with another expiry."""
    key = f"{contract.live_key}|{expiry:%d-%m-%Y}"
    return replace(contract, instrument_key=key, symbol=symbol, expiry=expiry)


LATER = dated(FUTURE, MOVED, "TCS FUT 26 JUN 25")
EARLIER = dated(FUTURE, date(2025, 6, 20), "TCS FUT 20 JUN 25")


@pytest.fixture
def market(database_url: str, tmp_path: Path) -> Iterator[ListedMarket]:
    with listed_market(database_url, tmp_path, datetime(2025, 5, 30, 2, tzinfo=UTC)) as found:
        found.lists(date(2025, 5, 29), TCS)
        found.lists(date(2025, 5, 30), TCS, FUTURE)
        yield found


@pytest.mark.parametrize(
    ("now", "noticed"),
    [
        pytest.param(LATER, date(2025, 6, 16), id="to a later day"),
        pytest.param(LATER, date(2025, 6, 25), id="noticed after the former day"),
        pytest.param(EARLIER, date(2025, 6, 16), id="to an earlier day"),
    ],
)
def test_it_is_one_contract_until_its_real_end(
    market: ListedMarket, now: Instrument, noticed: date
) -> None:
    assert now.expiry is not None
    days = market.trading_days(TCS, FIRST, now.expiry)
    market.trades(FUTURE.live_key, dict.fromkeys(days, 375))
    market.trades(now.instrument_key, dict.fromkeys(days, 375))
    market.lists(date(2025, 6, 10), TCS, FUTURE)
    market.backfill([FUTURE.symbol], FIRST, date(2025, 6, 9))
    market.lists(noticed, TCS, now)
    market.lists(date(2025, 6, 30), TCS)

    report = market.backfill([now.symbol], FIRST, MOVED)

    assert report.outcome is Outcome.COMPLETED
    for name in (now.symbol, FUTURE.symbol, FUTURE.instrument_key):
        found = candles(name, FIRST, MOVED, settings=market.settings)
        assert (found.symbol, len(found.table)) == (now.symbol, 375 * len(days))
        assert found.completeness.complete
        held = coverage(name, FIRST, MOVED, settings=market.settings)
        assert set(held.table["date"].to_pylist()) == set(days)
        assert held.completeness.counts.present == 375 * len(days)
        assert len(gaps(name, FIRST, MOVED, settings=market.settings).table) == 0
    table = read_instruments(underlying="TCS", settings=market.settings).table
    assert table["expiry"].to_pylist() == [now.expiry]
    assert market.source.asked[-1][0] == now.instrument_key, "expired contracts have dated keys"


def test_its_terms_are_dated(market: ListedMarket) -> None:
    call = replace(
        FUTURE,
        instrument_key="NSE_FO|98919|24-06-2025",
        live_key="NSE_FO|98919",
        symbol="TCS 3500 CE 24 JUN 25",
        instrument_type="CE",
        strike=Decimal(3500),
    )
    adjusted = replace(call, symbol="TCS 1750 CE 24 JUN 25", strike=Decimal(1750), lot_size=350)
    market.lists(date(2025, 6, 2), TCS, call, FUTURE)
    market.lists(date(2025, 6, 9), TCS, adjusted, LATER)
    market.lists(date(2025, 6, 10), TCS, adjusted, LATER)

    of = terms_table.c
    query = select(of.effective_from, of.strike, of.lot_size, of.expiry).order_by(of.effective_from)
    with market.store.reading() as connection:
        of_call, of_future = (
            connection.execute(query.where(of.instrument_key == one.instrument_key)).all()
            for one in (call, FUTURE)
        )
        found = listed_instruments(connection, [call.symbol, FUTURE.symbol])

    assert of_call == [
        (date(2025, 6, 2), Decimal(3500), 175, BEFORE),
        (date(2025, 6, 9), Decimal(1750), 350, BEFORE),
    ]
    assert [row.expiry for row in of_future] == [BEFORE, MOVED]
    assert [one.symbol for one in found.members] == [adjusted.symbol, LATER.symbol]


def test_a_token_that_is_used_again_is_another_contract(market: ListedMarket) -> None:
    again = dated(FUTURE, date(2025, 8, 26), "TCS FUT 26 AUG 25")
    market.lists(date(2025, 6, 24), TCS, FUTURE)
    market.lists(date(2025, 6, 25), TCS, again)

    table = read_instruments(underlying="TCS", settings=market.settings).table

    assert sorted(table["instrument_key"].to_pylist()) == [
        FUTURE.instrument_key,
        again.instrument_key,
    ]
