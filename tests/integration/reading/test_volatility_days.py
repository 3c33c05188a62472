"""The implied volatility of an underlying day by day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path

import pytest
from candle_shelf import environment_for
from chain_shelf import keep, received
from option_chains import CALL, chain_of, leg

from data_fetch.core.chains.valuation import Metric
from data_fetch.core.clock import IST
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.volatility_days import DayVolatility, volatility_days
from data_fetch.storage.chains.snapshots import Received
from data_fetch.storage.database.store import Store, open_store

MONDAY, WEDNESDAY = date(2025, 6, 9), date(2025, 6, 11)
NEAR, MONTHLY, FAR = date(2025, 6, 12), date(2025, 7, 10), date(2025, 9, 25)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url, World.LIVE)
    yield store
    store.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


def at(day: date, clock: time, expiry: date, atm_iv: float | None) -> Received:
    instant = datetime.combine(day, clock, IST)
    found = received(
        chain_of([leg(24_000, CALL, ltp=day.day + clock.minute / 60)], expiry=expiry), instant
    )
    priced = replace(found.summary.priced, years=(expiry - day).days / 365)
    figure = Metric(value=atm_iv, used=1, of=1)
    return replace(found, summary=replace(found.summary, priced=priced, metrics={"atm_iv": figure}))


def test_each_day_has_its_last_value_of_the_expiry_nearest_to_a_month(
    store: Store, settings: Settings
) -> None:
    keep(
        store,
        at(MONDAY, time(9, 30), NEAR, 0.10),
        at(MONDAY, time(9, 30), MONTHLY, 0.12),
        at(MONDAY, time(14, 59), MONTHLY, 0.13),
        at(MONDAY, time(14, 59), FAR, 0.15),
        at(MONDAY, time(15, 10), MONTHLY, 0.99),
        at(WEDNESDAY, time(9, 30), NEAR, 0.20),
        at(WEDNESDAY, time(9, 30), MONTHLY, None),
    )

    found = volatility_days(settings, "NIFTY", MONDAY, WEDNESDAY)

    assert found == [DayVolatility(MONDAY, MONTHLY, 0.13), DayVolatility(WEDNESDAY, NEAR, 0.20)]
