"""One question, one answer: it is the same wherever the days are, in the store or in files.

Every question is asked while all days are in the store, and again when days were moved.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_shelf import (
    STOCKS,
    opening,
    store_candles,
    store_chains,
    store_quotes,
)
from candle_shelf import environment_for
from sealed_days import clear, seal

from data_fetch import reading
from data_fetch.core.archive.days import TABLES, Dataset, DayState
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.reading.candle_corrections import candle_corrections
from data_fetch.reading.chain_records import (
    ChainQuery,
    Place,
    RecentChains,
    chain_head,
    recent_chains,
    record_of,
    running_chains,
)
from data_fetch.reading.chain_surfaces import stored_surface
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.nse_filter import LegFilter, filtered_legs
from data_fetch.reading.product_analytics import put_call_ratios, running_snapshots
from data_fetch.reading.product_ticks import TickQuery, Ticks, ticks
from data_fetch.reading.records import sharing
from data_fetch.reading.underlyings import products
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.day_rows import delete_rows, stored_table
from data_fetch.storage.instruments.instruments import save_master

MONDAY, TUESDAY, WEDNESDAY = date(2026, 9, 14), date(2026, 9, 15), date(2026, 9, 16)
DAYS = (MONDAY, TUESDAY, WEDNESDAY)
LOOKS = 4
EXPIRIES = tuple(day + timedelta(days=6) for day in DAYS)
INSTANTS = {
    "on Monday": opening(MONDAY, 2.5),
    "before Tuesday's first": opening(TUESDAY, -1),
    "on Tuesday": opening(TUESDAY, 1.5),
    "before Wednesday's first": opening(WEDNESDAY, -1),
    "now": None,
}

Question = Callable[[Settings], Any]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.load(environment_for(database_url), tmp_path)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Three days of chains, quotes and candles."""
    with closing(open_store(settings.store_url, World.LIVE)) as store:
        save_master(store, iter(STOCKS), MONDAY, opening(MONDAY, -60))
        for day in DAYS:
            store_chains(store, day, LOOKS)
            store_quotes(store, day, LOOKS)
            store_candles(store, day, LOOKS)
        yield store


def as_date(end: date | datetime) -> date:
    return end.date() if isinstance(end, datetime) else end


def chain_questions() -> Iterator[tuple[str, Question]]:
    for when, at in INSTANTS.items():
        for expiry in (None, EXPIRIES[0]):
            of = f"of {expiry or 'the nearest expiry'} {when}"
            query = ChainQuery(symbol="NIFTY", expiry=expiry, at=at)
            yield f"chain {of}", lambda s, q=query: record_of(s, chain_head(s, q))
            recent = RecentChains(symbol="NIFTY", limit=7, expiry=expiry, at=at)
            yield f"last seven {of}", lambda s, q=recent: recent_chains(s, q)
        of_later = ChainQuery(symbol="NIFTY", expiry=EXPIRIES[1], at=at, source="nse")
        yield f"from NSE {when}", lambda s, q=of_later: chain_head(s, q)
        yield f"table {when}", lambda s, a=at: reading.chain("BANKNIFTY", at=a, settings=s)
        yield f"running {when}", lambda s, a=at: running_chains(s, "M&M", a)
        yield f"surface {when}", lambda s, a=at: stored_surface(s, "NIFTY", a, None).snapshots
        yield f"snapshots {when}", lambda s, a=at: running_snapshots(s, "NIFTY", a)
        yield f"products {when}", lambda s, a=at: products(s, a)
        legs = LegFilter(
            symbol=None,
            expiry=EXPIRIES[0],
            option_type=None,
            lowest=None,
            highest=None,
            limit=50,
            offset=3,
        )
        yield f"filtered {when}", lambda s, a=at, q=legs: filtered_legs(s, q, a)
    page = RecentChains(symbol="NIFTY", limit=3, after=Place(opening(TUESDAY, 1.9), EXPIRIES[1]))
    yield "the page after Tuesday", lambda s: recent_chains(s, page)
    yield (
        "ratios of all",
        lambda s: put_call_ratios(s, recent_chains(s, RecentChains(symbol="NIFTY", limit=99))),
    )


def range_questions() -> Iterator[tuple[str, Question]]:
    ranges = {
        "of Monday": (MONDAY, MONDAY),
        "of all days": (MONDAY, WEDNESDAY),
        "over the seam": (opening(TUESDAY, 1.5), opening(WEDNESDAY, 1.5)),
        "of Wednesday": (WEDNESDAY, WEDNESDAY),
    }
    for when, (first, last) in ranges.items():
        span = {"first": first, "last": last}
        for seen in (None, opening(TUESDAY, 2.5)) if first != last else (None,):
            given = {**span, "as_of": seen}
            of = f"{when} as of {seen}"
            yield (
                f"figures {of}",
                lambda s, g=given: reading.chain_history("NIFTY", None, settings=s, **g),
            )
            yield (
                f"leg {of}",
                lambda s, g=given: reading.leg_history(
                    "NIFTY", EXPIRIES[0], "24050.5", "CE", settings=s, **g
                ),
            )
            yield f"quotes {of}", lambda s, g=given: reading.quotes("M&M", settings=s, **g)
        yield (
            f"each minute {when}",
            lambda s, g=span: reading.chain_history(
                "NIFTY", EXPIRIES[1], every="1m", settings=s, **g
            ),
        )
        days = (as_date(first), as_date(last))
        for seen in (None, opening(MONDAY, 450), opening(TUESDAY, 450)):
            yield (
                f"candles {when} as of {seen}",
                lambda s, d=days, a=seen: reading.candles("M&M", *d, as_of=a, settings=s),
            )
        yield (
            f"five minutes {when}",
            lambda s, d=days: reading.candles("M&M", *d, interval="5minute", settings=s),
        )
    for day in DAYS:
        yield (
            f"corrections of {day}",
            lambda s, d=day: candle_corrections(s, d, (), CandleInterval.MINUTE),
        )
    for limit in (1, 5, 99):
        query = TickQuery(symbol="M&M", limit=limit)
        yield f"last {limit} ticks", lambda s, q=query: ticks(s, q)
    no_such_leg = ("NIFTY", EXPIRIES[0], "25000", "CE", MONDAY, MONDAY)
    yield "no such leg", lambda s: reading.leg_history(*no_such_leg, settings=s)


QUESTIONS = dict([*chain_questions(), *range_questions()])


def answers(settings: Settings) -> Mapping[str, Any]:
    """The answer to every question, or its refusal; all of one open store, as in a server."""
    with closing(KeptOpen()) as kept, sharing(kept):
        return {name: answered(settings, question) for name, question in QUESTIONS.items()}


def answered(settings: Settings, question: Question) -> Any:
    try:
        return plain(question(settings))
    except SetupError as refused:
        return type(refused), str(refused)


def plain(found: Any) -> Any:
    """What can be compared of an answer: not how old it is by the clock."""
    if isinstance(found, Ticks):
        return replace(found, slots_due=None)
    if not hasattr(found, "table"):
        return found
    facts = {"table": found.table.replace_schema_metadata().to_pylist()}
    facts["completeness"] = found.completeness.document()
    facts["newest"] = found.freshness.document()["newest"]
    return facts


def brought(store: Store, root: Path, day: date, state: DayState) -> None:
    """A day in files; what is left in the store is what a process in that state leaves."""
    for dataset in Dataset:
        seal(store, root, dataset, day, state)
        if state is DayState.CLEARED:
            clear(store, dataset, day)
        elif state is DayState.RESTORING:
            # Some tables are not loaded yet.
            for name in sorted(TABLES[dataset])[1:]:
                delete_rows(store.writing, stored_table(name), day)


def test_answers_do_not_depend_on_where_a_day_is(store: Store, settings: Settings) -> None:
    before = answers(settings)

    def different() -> list[str]:
        after = answers(settings)
        return [name for name in before if before[name] != after[name]]

    brought(store, settings.data_folder, TUESDAY, DayState.DROPPED)
    brought(store, settings.data_folder, MONDAY, DayState.RESTORING)
    assert different() == []

    for dataset in Dataset:
        clear(store, dataset, MONDAY)
        clear(store, dataset, TUESDAY)
    brought(store, settings.data_folder, WEDNESDAY, DayState.CLEARED)
    assert different() == []


def test_a_missing_file_is_named_with_what_to_do(store: Store, settings: Settings) -> None:
    brought(store, settings.data_folder, MONDAY, DayState.CLEARED)
    for file in settings.data_folder.rglob("day-1.parquet"):
        file.unlink()

    with pytest.raises(SetupError, match="data-fetch archive verify"):
        reading.chain("NIFTY", EXPIRIES[0], INSTANTS["on Monday"], settings=settings)
    assert reading.chain("NIFTY", settings=settings).table.num_rows > 0
