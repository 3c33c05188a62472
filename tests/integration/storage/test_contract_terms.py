"""Lots and ticks over time, and the option contracts of an underlying."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from data_fetch import PACKAGE_FOLDER
from data_fetch.core.chains.chains import OptionType
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.world import World
from data_fetch.sources.instruments.rows import read_instruments
from data_fetch.storage.database.engine import writing
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.contracts import (
    contract_keys,
    listed_expiries,
    lots_at,
    nearest_future,
    underlying_keys,
)
from data_fetch.storage.instruments.instruments import instruments_table, save_master
from data_fetch.storage.instruments.terms import terms_table

CHECKOUT = PACKAGE_FOLDER.parent
NOW = datetime(2026, 8, 14, 3, 0, tzinfo=UTC)
MONDAY = date(2026, 8, 10)
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (MONDAY + timedelta(days=n) for n in range(1, 5))
EXPIRY, NEXT_EXPIRY = date(2026, 10, 27), date(2026, 11, 24)
STRIKE = Decimal("1743.75")
RELIANCE = Instrument(
    instrument_key="NSE_EQ|INE002A01018",
    live_key="NSE_EQ|INE002A01018",
    symbol="RELIANCE",
    segment="NSE_EQ",
    instrument_type="EQ",
    isin="INE002A01018",
    lot_size=1,
    tick_size=Decimal("0.1"),
)
CALL = Instrument(
    instrument_key="NSE_FO|50918|27-10-2026",
    live_key="NSE_FO|50918",
    symbol="RELIANCE 1743.75 CE 27 OCT 26",
    segment="NSE_FO",
    instrument_type="CE",
    underlying_key="NSE_EQ|INE002A01018",
    underlying_symbol="RELIANCE",
    expiry=EXPIRY,
    strike=STRIKE,
    lot_size=500,
    tick_size=Decimal("0.05"),
)
PUT = replace(
    CALL,
    instrument_key="NSE_FO|50919|27-10-2026",
    live_key="NSE_FO|50919",
    symbol="RELIANCE 1743.75 PE 27 OCT 26",
    instrument_type="PE",
)
LATER = replace(
    CALL,
    instrument_key="NSE_FO|60001|24-11-2026",
    live_key="NSE_FO|60001",
    symbol="RELIANCE 1743.75 CE 24 NOV 26",
    expiry=NEXT_EXPIRY,
)


FUTURE = replace(
    CALL,
    instrument_key="NSE_FO|50001|27-10-2026",
    live_key="NSE_FO|50001",
    symbol="RELIANCE FUT 27 OCT 26",
    instrument_type="FUT",
    strike=None,
)
LATER_FUTURE = replace(
    FUTURE,
    instrument_key="NSE_FO|60002|24-11-2026",
    live_key="NSE_FO|60002",
    symbol="RELIANCE FUT 24 NOV 26",
    expiry=NEXT_EXPIRY,
)


def keys_of(connection: Connection, underlying: str) -> tuple[str, ...]:
    return underlying_keys(connection, [underlying])[underlying]


def in_lots_of(lot_size: int | None, *contracts: Instrument) -> list[Instrument]:
    return [replace(each, lot_size=lot_size) for each in contracts]


def save(store: Store, day: date, *instruments: Instrument) -> None:
    save_master(store, instruments, day, NOW)


def lot_rows(store: Store, key: str = CALL.instrument_key) -> list[tuple[date, int | None]]:
    terms = terms_table.c
    query = select(terms.effective_from, terms.lot_size).where(terms.instrument_key == key)
    with store.reading() as connection:
        return sorted((row.effective_from, row.lot_size) for row in connection.execute(query))


def lots(store: Store, day: date, underlying: str = "RELIANCE") -> dict[date, int]:
    with store.reading() as connection:
        return lots_at(connection, keys_of(connection, underlying), [EXPIRY, NEXT_EXPIRY], day)


def test_a_master_with_unchanged_terms_adds_no_row(store: Store) -> None:
    for day in (MONDAY, TUESDAY, TUESDAY, WEDNESDAY):
        save(store, day, RELIANCE, CALL)

    assert lot_rows(store) == [(MONDAY, 500)]
    assert lot_rows(store, RELIANCE.instrument_key) == [(MONDAY, 1)]


def test_a_new_lot_is_in_force_from_the_date_of_its_master(store: Store) -> None:
    save(store, MONDAY, *in_lots_of(500, RELIANCE, CALL))
    save(store, WEDNESDAY, *in_lots_of(250, RELIANCE, CALL))

    assert lot_rows(store) == [(MONDAY, 500), (WEDNESDAY, 250)]
    in_force = {day: lots(store, day) for day in (TUESDAY, WEDNESDAY, FRIDAY)}
    assert in_force == {TUESDAY: {EXPIRY: 500}, WEDNESDAY: {EXPIRY: 250}, FRIDAY: {EXPIRY: 250}}


def test_before_the_first_master_the_lot_is_unknown(store: Store) -> None:
    save(store, TUESDAY, RELIANCE, CALL)

    assert lots(store, MONDAY) == {}


def test_a_new_tick_is_a_change_of_terms_too(store: Store) -> None:
    save(store, MONDAY, RELIANCE)
    save(store, TUESDAY, replace(RELIANCE, tick_size=Decimal("0.05")))

    assert lot_rows(store, RELIANCE.instrument_key) == [(MONDAY, 1), (TUESDAY, 1)]


@pytest.mark.parametrize(
    ("read_late", "rows"),
    [
        pytest.param((TUESDAY, 500), [(MONDAY, 500), (THURSDAY, 250)], id="what was in force"),
        pytest.param((TUESDAY, 250), [(MONDAY, 500), (TUESDAY, 250)], id="the change came earlier"),
        pytest.param(
            (TUESDAY, 300), [(MONDAY, 500), (TUESDAY, 300), (THURSDAY, 250)], id="one between"
        ),
        pytest.param(
            (MONDAY - timedelta(days=3), 500),
            [(MONDAY - timedelta(days=3), 500), (THURSDAY, 250)],
            id="earlier than all",
        ),
    ],
)
def test_a_master_read_late_is_put_in_order_of_time(
    store: Store, read_late: tuple[date, int], rows: list[tuple[date, int]]
) -> None:
    save(store, MONDAY, *in_lots_of(500, RELIANCE, CALL))
    save(store, THURSDAY, *in_lots_of(250, RELIANCE, CALL))
    day, lot_size = read_late

    save(store, day, *in_lots_of(lot_size, RELIANCE, CALL))

    assert lot_rows(store) == rows


def test_a_lot_read_late_does_not_replace_that_of_a_newer_master(store: Store) -> None:
    save(store, MONDAY, RELIANCE, CALL)
    save(store, FRIDAY, RELIANCE, CALL)

    save(store, WEDNESDAY, *in_lots_of(250, RELIANCE, CALL))

    assert lot_rows(store) == [(MONDAY, 500), (WEDNESDAY, 250), (FRIDAY, 500)]


def test_an_upgraded_store_has_the_terms_of_its_newest_master(store: Store) -> None:
    save(store, MONDAY, RELIANCE, CALL)
    save(store, FRIDAY, RELIANCE, CALL)
    for verb, revision in ((command.downgrade, "0002"), (command.upgrade, "head")):
        # Without a store, which refuses to write into another revision.
        with writing(store.engine) as connection:
            verb(Config(CHECKOUT / "alembic.ini", attributes={"connection": connection}), revision)

    assert lot_rows(store) == [(FRIDAY, 500)]
    assert lots(store, FRIDAY) == {EXPIRY: 500}
    save(store, FRIDAY + timedelta(days=3), RELIANCE, CALL)
    assert lot_rows(store) == [(FRIDAY, 500)]


@settings(max_examples=25)
@given(
    data=st.data(),
    sizes=st.tuples(st.integers(1, 3), st.integers(0, 3)).map(
        lambda n: [500] * n[0] + [250] * n[1]
    ),
)
def test_masters_may_be_read_in_any_order(
    store: Store, data: st.DataObject, sizes: Sequence[int]
) -> None:
    """For a lot that changes once: the rows have for each master's day its lot."""
    with store.writing() as connection:
        connection.execute(delete(terms_table))
        connection.execute(delete(instruments_table))
    masters = {MONDAY + timedelta(days=n): lot for n, lot in enumerate(sizes)}

    for day in data.draw(st.permutations(sorted(masters))):
        save(store, day, RELIANCE, *in_lots_of(masters[day], CALL))

    assert {day: lots(store, day)[EXPIRY] for day in masters} == masters
    assert len(lot_rows(store)) == len(set(sizes))


def test_contracts_with_different_lots_have_none_in_common(store: Store) -> None:
    save(store, MONDAY, RELIANCE, CALL, *in_lots_of(250, PUT), LATER)

    assert lots(store, MONDAY) == {NEXT_EXPIRY: 500}


def test_contracts_without_a_lot_have_none(store: Store) -> None:
    save(store, MONDAY, RELIANCE, *in_lots_of(None, CALL))

    assert lots(store, MONDAY) == {}


def test_a_delisted_contract_does_not_count(store: Store) -> None:
    save(store, MONDAY, RELIANCE, *in_lots_of(250, CALL))
    save(store, TUESDAY, RELIANCE, PUT)

    assert lots(store, MONDAY) == {EXPIRY: 250}
    assert lots(store, WEDNESDAY) == {EXPIRY: 500}


def test_keys_are_by_strike_and_type(store: Store) -> None:
    save(store, MONDAY, RELIANCE, CALL, PUT, LATER)

    with store.reading() as connection:
        assert contract_keys(connection, keys_of(connection, "RELIANCE"), EXPIRY) == {
            (STRIKE, OptionType.CALL): CALL.instrument_key,
            (STRIKE, OptionType.PUT): PUT.instrument_key,
        }
        assert contract_keys(connection, keys_of(connection, "UNKNOWN"), EXPIRY) == {}


def test_futures_are_no_options(store: Store) -> None:
    future = replace(CALL, instrument_key="F", live_key="F", instrument_type="FUT", strike=None)
    save(store, MONDAY, RELIANCE, future)

    with store.reading() as connection:
        assert contract_keys(connection, keys_of(connection, "RELIANCE"), EXPIRY) == {}
        assert listed_expiries(connection, keys_of(connection, "RELIANCE"), MONDAY) == []
    assert lots(store, MONDAY) == {}


def test_expiries_are_those_that_the_newest_master_lists(store: Store) -> None:
    gone = replace(CALL, instrument_key="G", live_key="G", expiry=date(2026, 12, 29))
    save(store, MONDAY, RELIANCE, CALL, gone)
    save(store, TUESDAY, RELIANCE, CALL, LATER)

    def listed(day: date) -> list[date]:
        with store.reading() as connection:
            return listed_expiries(connection, keys_of(connection, "RELIANCE"), day)

    assert listed(TUESDAY) == [EXPIRY, NEXT_EXPIRY]
    assert listed(EXPIRY) == [EXPIRY, NEXT_EXPIRY]
    assert listed(EXPIRY + timedelta(days=1)) == [NEXT_EXPIRY]


def test_an_empty_store_lists_nothing(store: Store) -> None:
    with store.reading() as connection:
        assert listed_expiries(connection, keys_of(connection, "RELIANCE"), MONDAY) == []
    assert lots(store, MONDAY) == {}


@pytest.mark.parametrize("underlying", ["LTIM", "LTM", "NSE_EQ|INE214T01019"])
def test_an_underlying_is_found_by_its_former_symbol_and_by_its_key(
    store: Store, underlying: str
) -> None:
    key = "NSE_EQ|INE214T01019"
    before = replace(RELIANCE, instrument_key=key, live_key=key, isin=key[7:], symbol="LTIM")
    call = replace(CALL, underlying_key=key, underlying_symbol="LTIM")
    save(store, MONDAY, before, call)
    save(store, TUESDAY, replace(before, symbol="LTM"), call)

    assert lots(store, TUESDAY, underlying) == {EXPIRY: 500}


def test_contracts_from_before_a_new_isin_are_found(store: Store) -> None:
    key = "NSE_EQ|INE002A01026"
    split = replace(RELIANCE, instrument_key=key, live_key=key, isin=key[7:])
    save(store, MONDAY, RELIANCE, CALL)
    save(store, TUESDAY, split, replace(LATER, underlying_key=key))

    assert lots(store, TUESDAY) == {EXPIRY: 500, NEXT_EXPIRY: 500}


def test_the_real_master_agrees_on_the_lots_of_an_index(sqlite_url: str, shared_data: Path) -> None:
    master = shared_data / "upstox" / "instruments" / "NSE_2026-08-14.json.gz"
    narrowed = [
        one for one in read_instruments(master) if "NIFTY" in (one.symbol, one.underlying_symbol)
    ]
    store = open_store(sqlite_url, World.LIVE)
    save_master(store, narrowed, date(2026, 8, 14), NOW)

    with store.reading() as connection:
        expiries = listed_expiries(connection, keys_of(connection, "NIFTY"), date(2026, 8, 14))
        found = lots_at(connection, keys_of(connection, "NIFTY"), expiries, date(2026, 8, 17))
        keys = contract_keys(connection, keys_of(connection, "NIFTY"), expiries[0])
    assert len(expiries) == 18
    assert set(found.values()) == {65}
    assert len(keys) > 150
    store.close()


@pytest.mark.parametrize(
    ("day", "found"),
    [
        (MONDAY, FUTURE),
        (EXPIRY - timedelta(days=1), FUTURE),
        (EXPIRY, LATER_FUTURE),
        (NEXT_EXPIRY, None),
    ],
)
def test_the_nearest_future_is_listed_and_expires_later(
    store: Store, day: date, found: Instrument | None
) -> None:
    delisted = replace(
        FUTURE, instrument_key="NSE_FO|1|25-08-2026", live_key="NSE_FO|1", expiry=date(2026, 8, 25)
    )
    with store.reading() as connection:
        assert nearest_future(connection, [RELIANCE.instrument_key], day) is None
    save(store, MONDAY, RELIANCE, CALL, LATER_FUTURE, FUTURE, delisted)
    save(store, TUESDAY, RELIANCE, CALL, LATER_FUTURE, FUTURE)

    with store.reading() as connection:
        assert nearest_future(connection, [RELIANCE.instrument_key], day) == found
        assert nearest_future(connection, ["NSE_INDEX|Nifty 50"], day) is None
