"""The stored list of option chains to poll."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from candle_shelf import stock
from sqlalchemy import select

from data_fetch.core.chains.symbol_config import SymbolConfig, default_config
from data_fetch.core.errors import WrongWorld
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.world import World
from data_fetch.storage.chains.symbol_config import SymbolConfigs, config_table
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.instruments.instruments import save_master

NOW = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
NIFTY = SymbolConfig(symbol="NIFTY", instrument_key="NSE_INDEX|Nifty 50")
TCS = SymbolConfig(
    symbol="TCS",
    instrument_key="NSE_EQ|INE467B01029",
    active=False,
    refresh_seconds=180,
    expiries=3,
    strikes=10,
    pinned=True,
)


def changed_at(store: Store, symbol: str) -> datetime:
    with store.reading() as connection:
        query = select(config_table.c.changed_at).where(config_table.c.symbol == symbol)
        found: datetime = connection.execute(query).scalar_one()
        return found


@pytest.mark.parametrize(
    ("segment", "seconds"), [("NSE_INDEX", 30), ("NSE_EQ", 180)], ids=["an index", "a stock"]
)
def test_an_underlying_is_polled_by_default_unless_configured_otherwise(
    segment: str, seconds: int
) -> None:
    underlying = Instrument(
        instrument_key="K", live_key="K", symbol="S", segment=segment, instrument_type=""
    )

    assert default_config(underlying) == SymbolConfig(
        symbol="S",
        instrument_key="K",
        active=True,
        refresh_seconds=seconds,
        expiries=1,
        strikes=None,
        pinned=False,
    )


def test_no_chain_is_polled_at_first(store: Store) -> None:
    assert SymbolConfigs(store).all() == []


def test_the_list_is_sorted_with_pinned_symbols_first(store: Store) -> None:
    for config in (NIFTY, TCS):
        assert SymbolConfigs(store).set(config, NOW)

    assert SymbolConfigs(store).all() == [TCS, NIFTY]


def test_setting_replaces_and_returns_whether_that_is_a_change(store: Store) -> None:
    configs = SymbolConfigs(store)
    faster = replace(NIFTY, refresh_seconds=10, strikes=5)

    assert configs.set(NIFTY, NOW)
    assert configs.set(faster, LATER)
    assert not configs.set(faster, LATER + timedelta(minutes=1))

    assert configs.all() == [faster]
    assert changed_at(store, "NIFTY") == LATER


def test_a_live_store_refuses_an_invented_underlying(database_url: str) -> None:
    live = open_store(database_url, World.LIVE)

    with pytest.raises(WrongWorld, match="ZZP"):
        SymbolConfigs(live).set(replace(TCS, instrument_key="NSE_EQ|ZZP000000001"), NOW)
    live.close()


def test_a_configuration_follows_its_underlying_under_a_new_name(store: Store) -> None:
    before = stock("TCS", "INE467B01029")
    save_master(store, [before], date(2026, 8, 13), NOW)
    configs = SymbolConfigs(store)
    configs.set(replace(TCS, instrument_key=before.instrument_key), NOW)
    save_master(store, [replace(before, symbol="TATACON")], date(2026, 8, 14), NOW)

    (followed,) = configs.all()
    assert (followed.symbol, followed.pinned) == ("TATACON", TCS.pinned)

    configs.set(replace(followed, active=False), LATER)

    assert configs.all() == [replace(followed, active=False)]
