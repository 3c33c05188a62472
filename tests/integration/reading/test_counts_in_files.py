"""Counts, first and last slots and last receipts do not change when days go into files."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from archive_shelf import TUESDAY, WEDNESDAY, looked, opening, store_chains, store_quotes
from candle_shelf import environment_for
from chain_shelf import keep
from sealed_days import clear, seal

from data_fetch.core.archive.days import Dataset, DayState
from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading import chain_counts as counts
from data_fetch.reading.chain_counts import chain_counts, pipeline
from data_fetch.reading.quote_holdings import quote_holdings
from data_fetch.reading.seam import question
from data_fetch.storage.chains.last_receipts import last_receipts
from data_fetch.storage.chains.snapshots import ChainHoldings, chain_holdings
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.quotes import QuoteHoldings

MONDAY, SYMBOLS = TUESDAY - timedelta(days=1), ("BANKNIFTY", "ITC", "NIFTY")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """Two days; on the one before only a chain of ITC and some quotes."""
    with closing(open_store(database_url, World.LIVE)) as store:
        keep(store, *(looked(MONDAY, "ITC", look, ChainSource.NSE) for look in range(3)))
        store_quotes(store, MONDAY, 2)
        for day in (TUESDAY, WEDNESDAY):
            store_chains(store, day, 4)
            store_quotes(store, day, 3)
        yield store


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


def into_files(store: Store, settings: Settings, day: date, state: DayState) -> None:
    for dataset in (Dataset.CHAINS, Dataset.QUOTES):
        seal(store, settings.data_folder, dataset, day, state)
        if state is DayState.CLEARED:
            clear(store, dataset, day)


def test_counts_are_those_of_every_day(store: Store, settings: Settings) -> None:
    legs, of_pipeline = chain_counts(settings), pipeline(settings).counts
    quotes = quote_holdings(settings, store)
    assert legs.types is not None
    assert legs.legs == sum(count.stored for count in legs.types.values())
    assert legs.types[OptionType.CALL].confirmed > 0
    assert (quotes.first_slot, quotes.last_slot) == (opening(MONDAY), opening(WEDNESDAY, 2))

    for day, state in (
        (MONDAY, DayState.CLEARED),
        (TUESDAY, DayState.DROPPED),
        (TUESDAY, DayState.CLEARED),
    ):
        into_files(store, settings, day, state)

        assert chain_counts(settings) == legs, f"{day} {state}"
        assert pipeline(settings).counts == of_pipeline
        assert quote_holdings(settings, store) == quotes, f"{day} {state}"


def test_too_many_legs_are_not_counted_by_type(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    into_files(store, settings, MONDAY, DayState.CLEARED)
    found = chain_counts(settings)
    monkeypatch.setattr(counts, "MOST_COUNTED", found.legs - 1)

    assert chain_counts(settings) == replace(found, types=None)


def test_without_its_file_the_first_slot_is_that_of_the_store(
    store: Store, settings: Settings
) -> None:
    into_files(store, settings, MONDAY, DayState.CLEARED)
    for file in settings.data_folder.rglob("ltp_data/**/*.parquet"):
        file.unlink()

    found = quote_holdings(settings, store)

    assert found == QuoteHoldings(16, 2, opening(TUESDAY), opening(WEDNESDAY, 2))


def test_an_underlying_of_former_days_is_still_held(store: Store, settings: Settings) -> None:
    def held() -> ChainHoldings:
        found = chain_holdings(store)
        # It is measured by receipts in the store.
        without = (replace(each, cadence_seconds=None) for each in found.underlyings)
        return replace(found, underlyings=tuple(without))

    before = held()
    into_files(store, settings, MONDAY, DayState.CLEARED)

    assert held() == before


def test_the_last_receipt_of_a_symbol_may_be_in_files(store: Store, settings: Settings) -> None:
    def found() -> dict[str, object]:
        with question(settings) as asked:
            known = last_receipts(asked.connection, SYMBOLS)
        return {name: replace(last, exchange_time=None) for name, last in known.items()}

    before = found()
    assert set(before) == set(SYMBOLS)

    for day in (MONDAY, TUESDAY):
        into_files(store, settings, day, DayState.CLEARED)
        assert found() == before, "but for the stamp of the source"
