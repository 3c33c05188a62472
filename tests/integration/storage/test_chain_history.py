"""Chains, contracts and quotes over time, and how they are found, on each kind of database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from chain_shelf import (
    EXPIRY,
    NEXT_EXPIRY,
    STRIKE,
    TABLES,
    a_run,
    chain,
    keep,
    minute,
    received,
)
from query_plans import whole_tables
from sqlalchemy import Connection, Table, event, select, text

from data_fetch.core.chains.chain_lineage import ChainLineage, literally
from data_fetch.core.chains.chains import ChainLeg, ChainSource, OptionType
from data_fetch.core.chains.valuation import Metric
from data_fetch.core.instruments.bearers import Bearing, Stretch
from data_fetch.storage.chains import history
from data_fetch.storage.chains.figure_tables import figure_table, figures_given, figures_query
from data_fetch.storage.chains.heads import expiries, newest_head, newest_heads, underlyings
from data_fetch.storage.chains.history import StoredChains, ranges_within, series_ranges
from data_fetch.storage.chains.snapshots import ChainStore, Received
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import LtpData, table
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.quotes import quotes

pytestmark = pytest.mark.layouts

NIFTY = literally("NIFTY")
# One of which something is stored under another name, and under another expiry since.
FOLLOWED = ChainLineage(
    "NIFTY",
    (Stretch("CNX", until=minute(0).date()), Stretch("NIFTY")),
    (
        Bearing(date.min, EXPIRY, NEXT_EXPIRY),
        Bearing(minute(0).date(), NEXT_EXPIRY, NEXT_EXPIRY),
    ),
)
CALL, PUT = OptionType.CALL, OptionType.PUT
NSE, UPSTOX = ChainSource.NSE, ChainSource.UPSTOX
QUOTES = table(LtpData)


def at(number: int, spot: float, **facts: Any) -> Received:
    return received(chain(spot, **facts), minute(number))


def leg(ltp: float, strike: Decimal = STRIKE, side: OptionType = CALL) -> ChainLeg:
    return ChainLeg(strike=strike, option_type=side, ltp=ltp, oi=75.0)


def summaries(store: Store, first: int, last: int, **facts: Any) -> history.Columns:
    given = {"of": NIFTY, "expiry": EXPIRY, "source": None, **facts}
    with store.reading() as connection:
        chains = StoredChains(connection)
        ranges = series_ranges(chains, first=minute(first), last=minute(last), **given)
        found = figure_table(connection, ranges)
    return {name: tuple(values) for name, values in found.to_pydict().items()}


def legs(store: Store, first: int, last: int, **facts: Any) -> history.Columns:
    given = {"of": NIFTY, "expiry": EXPIRY, "strike": STRIKE, "option_type": CALL}
    with store.reading() as connection:
        return history.legs(
            connection, first=minute(first), last=minute(last), **{**given, **facts}
        )


def test_a_chain_over_time_has_one_row_for_each_snapshot(store: Store) -> None:
    several = [at(0, 1.0), at(1, 1.0), at(2, 2.0), at(9, 3.0)]
    metrics = {"max_pain": Metric(value=24100.0, used=1, of=2)}
    several[2] = replace(several[2], summary=replace(several[2].summary, metrics=metrics))
    keep(store, *several)

    found = summaries(store, 0, 8)

    assert found["timestamp"] == (minute(0), minute(2))
    assert found["last_confirmed"] == (minute(1), minute(2))
    assert found["confirmations"] == (2, 1)
    assert found["spot"] == (1.0, 2.0)
    assert found["max_pain"] == (None, 24100.0)
    assert found["pcr_oi"] == (0.8, None)
    assert found["unit"] == ("shares", "shares")
    assert found["source"] == ("upstox", "upstox")
    assert found["forward"] == (24010.0, 24010.0)
    assert found["legs"] == (1, 1)


def test_a_history_begins_with_the_snapshot_in_force_if_it_was_received_again(
    store: Store,
) -> None:
    keep(store, at(0, 1.0), at(3, 1.0), at(6, 2.0))

    assert summaries(store, 2, 9)["timestamp"] == (minute(0), minute(6))
    assert summaries(store, 3, 9)["timestamp"] == (minute(0), minute(6))
    assert summaries(store, 4, 9)["timestamp"] == (minute(6),)
    assert summaries(store, 1, 2)["timestamp"] == ()
    assert summaries(store, 7, 9)["timestamp"] == ()
    assert legs(store, 2, 9)["timestamp"] == (minute(0), minute(6))
    assert legs(store, 4, 9)["timestamp"] == (minute(6),)


def test_without_an_expiry_every_one_has_its_rows(store: Store) -> None:
    near, far = at(0, 1.0), at(0, 1.5, expiry=NEXT_EXPIRY)
    keep(store, near, far, at(1, 2.0), at(2, 9.0, underlying="BANKNIFTY"))

    found = summaries(store, 0, 9, expiry=None)

    assert found["timestamp"] == (minute(0), minute(0), minute(1))
    assert found["expiry"] == (EXPIRY, NEXT_EXPIRY, EXPIRY)
    assert found["spot"] == (1.0, 1.5, 2.0)


def test_one_contract_over_time(store: Store) -> None:
    other = leg(7.0, STRIKE + 50)
    keep(
        store,
        received(chain(1.0, leg(100.0), leg(90.0, side=PUT), other), minute(0)),
        received(chain(1.0, other), minute(1)),
        received(chain(2.0, leg(101.0), leg(89.0, side=PUT), other), minute(2)),
    )

    found = legs(store, 0, 9)

    assert found["timestamp"] == (minute(0), minute(2))
    assert found["ltp"] == (100.0, 101.0)
    assert found["spot"] == (1.0, 2.0)
    assert found["oi"] == (75, 75)
    assert found["reason"] == ("no_price", "no_price")
    assert legs(store, 0, 9, option_type=PUT)["ltp"] == (90.0, 89.0)
    assert legs(store, 0, 9, strike=STRIKE + 50)["ltp"] == (7.0, 7.0, 7.0)
    assert legs(store, 0, 9, strike=STRIKE - 50)["ltp"] == ()
    assert set(found) == {*history.HEAD_COLUMNS, *history.LEG_COLUMNS}


def test_a_history_is_of_the_source_with_the_most_receipts_in_the_range(store: Store) -> None:
    keep(store, at(0, 1.0), at(1, 1.0), at(2, 2.0))
    keep(store, at(3, 5.0, source=NSE), at(9, 6.0, source=NSE))

    assert summaries(store, 0, 9)["source"] == ("upstox", "upstox")
    assert summaries(store, 2, 9)["source"] == ("nse", "nse")
    assert summaries(store, 2, 3)["source"] == ("nse",), "equally many: the one that came last"
    assert summaries(store, 0, 9, source=NSE)["spot"] == (5.0, 6.0)
    assert legs(store, 0, 9)["spot"] == (1.0, 2.0)
    assert legs(store, 0, 9, source=NSE)["spot"] == (5.0, 6.0)


def test_what_is_held(store: Store) -> None:
    keep(store, at(0, 1.0, expiry=NEXT_EXPIRY), at(1, 1.0), at(1, 1.0, underlying="BANKNIFTY"))

    with store.reading() as connection:
        assert underlyings(connection) == ["BANKNIFTY", "NIFTY"]
        assert expiries(connection, "NIFTY") == [EXPIRY, NEXT_EXPIRY]
        assert expiries(connection, "FINNIFTY") == []


def test_nothing_is_held_by_an_empty_store(store: Store) -> None:
    with store.reading() as connection:
        assert underlyings(connection) == []
    assert summaries(store, 0, 9, expiry=None)["timestamp"] == ()
    assert legs(store, 0, 9)["timestamp"] == ()


def test_quotes_over_time(store: Store) -> None:
    names = [column.name for column in QUOTES.columns]
    fill_quotes(store, ["INFY", "TCS", "WIPRO"], 4)

    with store.reading() as connection:
        found = quotes(connection, ["TCS", "INFY"], minute(1), minute(2))

    assert found["symbol"] == ("INFY", "INFY", "TCS", "TCS")
    assert found["timestamp"] == (minute(1), minute(2)) * 2
    assert found["ltp"] == (1.0, 2.0) * 2
    assert set(found) == set(names) - {"run_id"}


# How they are found. The plans are those of a database with some days of chains.

EXPIRIES = [EXPIRY + timedelta(weeks=number) for number in range(5)]
SNAPSHOTS = 300
Query = Callable[[Connection], Any]


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


def plans(connection: Connection, query: Query) -> str:
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    with statements(connection) as sent:
        query(connection)
    assert sent
    return "\n".join(
        str(line[-1])
        for statement, parameters in sent
        # The transaction's own settings come first.
        if not statement.startswith("SET LOCAL")
        for line in connection.exec_driver_sql(f"{explain} {statement}", parameters)
    )


def fill_chains(store: Store) -> None:
    """Many snapshots like one that is stored, without the time that storing them takes."""
    [of] = [received(chain(1.0, *(leg(1.0, STRIKE + 50 * n) for n in range(10))), minute(0))]
    ChainStore(store).record([of], a_run(), ())
    with store.writing() as connection:
        for filled in TABLES:
            fill(connection, filled)
        connection.execute(text("ANALYZE"))


def fill(connection: Connection, filled: Table) -> None:
    names = tuple(column.name for column in filled.columns)
    time = "received_at" if "received_at" in names else "timestamp"
    several = [row._asdict() for row in connection.execute(select(filled))]
    rows = [
        tuple({**row, "expiry": expiry, time: minute(number), "source": source}.values())
        for row in several
        for expiry in EXPIRIES
        for number in range(SNAPSHOTS)
        for source in ("nse", "upstox")
    ]
    upsert(connection, filled, names, rows)


def fill_quotes(store: Store, symbols: list[str], slots: int) -> None:
    names = tuple(column.name for column in QUOTES.columns)
    rows = [
        (symbol, minute(n), symbol, float(n), 9, None, None, None, None, False, minute(n), "t", "r")
        for symbol in symbols
        for n in range(slots)
    ]
    with store.writing() as connection:
        upsert(connection, QUOTES, names, rows)


def within(first: int, last: int) -> tuple[datetime, datetime]:
    return minute(first), minute(last)


def day_of_summaries(
    connection: Connection, expiry: date | None = EXPIRY, of: ChainLineage = NIFTY
) -> None:
    ranges = series_ranges(StoredChains(connection), of, expiry, *within(100, 200), None)
    for each in ranges:
        query = figures_query(connection.dialect.name)
        assert connection.execute(query, figures_given(each)).all()


def day_of_one_leg(connection: Connection) -> None:
    assert history.legs(connection, NIFTY, EXPIRY, STRIKE, CALL, *within(100, 200))["ltp"]


CHAIN_QUERIES: dict[str, Query] = {
    "the latest snapshot": lambda c: newest_head(c, NIFTY, EXPIRY),
    "the latest of the nearest expiry": lambda c: newest_head(c, NIFTY),
    "the snapshot at an instant": lambda c: newest_head(c, NIFTY, EXPIRY, minute(50), UPSTOX),
    "the latest of all expiries": lambda c: newest_heads(c, NIFTY),
    "a day of summaries": day_of_summaries,
    "a day of summaries of all expiries": lambda c: day_of_summaries(c, None),
    "a day of one leg": day_of_one_leg,
    "the latest of one that was renamed and moved": lambda c: newest_heads(c, FOLLOWED),
    "a day of one that was renamed and moved": lambda c: day_of_summaries(c, None, FOLLOWED),
    "receipts": lambda c: StoredChains(c).received(
        ranges_within(NIFTY.parts(EXPIRY), [UPSTOX], *within(100, 200))
    ),
    "the expiries held": lambda c: expiries(c, "NIFTY"),
    "the underlyings held": underlyings,
}


def test_chains_are_found_by_index_lookups(store: Store) -> None:
    fill_chains(store)

    with store.reading() as connection:
        for name, query in CHAIN_QUERIES.items():
            assert_no_scan(name, plans(connection, query))
        of_one_leg = plans(connection, day_of_one_leg)

    # By its whole key, not by reading all the legs of a snapshot.
    [of_legs] = [line for line in of_one_leg.splitlines() if "strike" in line]
    assert "SEARCH option_chain_data USING PRIMARY KEY" in of_legs or "Index Cond" in of_legs
    assert all(name in of_legs for name in ("timestamp", "option_type"))


def test_quotes_are_index_lookups(store: Store) -> None:
    fill_quotes(store, [f"S{number}" for number in range(50)], 400)
    with store.writing() as connection:
        connection.execute(text("ANALYZE"))
    with store.reading() as connection:
        plan = plans(connection, lambda c: quotes(c, ["S7", "S9"], *within(100, 200)))

    assert_no_scan("quotes", plan)


def assert_no_scan(name: str, plan: str) -> None:
    tables = ("chain_", "option_chain_data", "ltp_data", "newest")
    scans = [
        line
        for line in plan.splitlines()
        if line.strip().startswith(tuple(f"SCAN {of}" for of in tables))
    ]
    assert [*scans, *whole_tables(plan)] == [], f"{name}:\n{plan}"
    assert "SEARCH" in plan or "Index" in plan, f"{name}:\n{plan}"
