"""The laws of the one statement that writes rows, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, delete, select

from data_fetch.core.errors import BadRecord
from data_fetch.storage.database.engine import reading, writing
from data_fetch.storage.database.tables import (
    DataSyncStatus,
    InstrumentRow,
    StoreMeta,
    SyncRunRow,
    table,
)
from data_fetch.storage.database.upsert import (
    LARGEST_CHUNK,
    Rule,
    bulk_upsert,
    earliest,
    last_known,
    latest,
    next_chunk,
    upsert,
)

AT = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
NAIVE = AT.replace(tzinfo=None)
META, STATUS = table(StoreMeta), table(DataSyncStatus)
INSTRUMENTS, RUNS = table(InstrumentRow), table(SyncRunRow)
META_COLUMNS = ("name", "value")

# Text as PostgreSQL can hold it, with what file formats and quoting trip over.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
keys = st.sampled_from(["RELIANCE", "M&M", "a\tb", 'say "so"', "back\\slash", "100%s"])
meta_rows = st.lists(st.tuples(keys, texts), max_size=12)
on_the_same_database = settings(max_examples=25)


def held(engine: Engine, of: Table) -> list[tuple[Any, ...]]:
    with reading(engine) as connection:
        return sorted(tuple(row) for row in connection.execute(select(of)))


def write(engine: Engine, into: Table, columns: Any, rows: Any, rule: Rule | None = None) -> int:
    with writing(engine) as connection:
        return upsert(connection, into, columns, rows, *([rule] if rule else []))


def emptied(engine: Engine, of: Table) -> None:
    with writing(engine) as connection:
        connection.execute(delete(of))


@on_the_same_database
@given(rows=meta_rows)
def test_writing_twice_is_writing_once(engine: Engine, rows: list[tuple[str, str]]) -> None:
    emptied(engine, META)

    write(engine, META, META_COLUMNS, rows)
    once = held(engine, META)
    changed_by_the_second = write(engine, META, META_COLUMNS, rows)

    assert changed_by_the_second == 0
    assert held(engine, META) == once


@on_the_same_database
@given(earlier=meta_rows, later=meta_rows)
def test_the_last_row_of_a_key_wins(
    engine: Engine, earlier: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    emptied(engine, META)

    write(engine, META, META_COLUMNS, earlier)
    write(engine, META, META_COLUMNS, later)

    assert held(engine, META) == sorted(dict([*earlier, *later]).items())


@on_the_same_database
@given(earlier=meta_rows, later=meta_rows)
def test_what_is_counted_is_what_changed(
    engine: Engine, earlier: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    emptied(engine, META)
    write(engine, META, META_COLUMNS, earlier)
    before, after = dict(earlier), dict(later)

    changed = write(engine, META, META_COLUMNS, later)

    assert changed == sum(before.get(key) != value for key, value in after.items())


STATUS_COLUMNS = tuple(column.name for column in STATUS.columns)


def status(symbol: str, minute: int, **facts: Any) -> tuple[Any, ...]:
    at = AT + timedelta(minutes=minute)
    row = {
        "symbol": symbol,
        "data_type": "quotes",
        "last_attempt": at,
        "last_success": at,
        "status": "ok",
        "records": 2**40,
        "consecutive_failures": 0,
        "error": None,
        "last_run": f"run {minute}",
        **facts,
    }
    return tuple(row[name] for name in STATUS_COLUMNS)


def test_null_and_value_differ_in_both_directions(engine: Engine) -> None:
    write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0)])

    assert write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0, error="late")]) == 1
    assert write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0, error="late")]) == 0
    assert write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0)]) == 1


def test_with_a_ranking_an_older_row_changes_nothing(engine: Engine) -> None:
    newer = Rule(ranking=("last_attempt",))
    write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 5)])

    assert write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 4)], newer) == 0
    assert write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 6)], newer) == 1
    assert held(engine, STATUS) == [status("TCS", 6)]


@pytest.mark.parametrize(
    ("final", "minute", "wins"),
    [
        pytest.param(0, 9, False, id="newer but provisional"),
        pytest.param(1, 1, False, id="final but older"),
        pytest.param(1, 9, True, id="final and newer"),
    ],
)
def test_a_ranking_compares_column_by_column(
    engine: Engine, final: int, minute: int, wins: bool
) -> None:
    """Final beats provisional, then newer: here with the record count as the flag."""
    final_then_newer = Rule(ranking=("records", "last_attempt"))
    standing = status("TCS", 5, records=1)
    offered = status("TCS", minute, records=final)
    write(engine, STATUS, STATUS_COLUMNS, [standing])

    write(engine, STATUS, STATUS_COLUMNS, [offered], final_then_newer)

    assert held(engine, STATUS) == [offered if wins else standing]


def test_combined_columns_are_computed_from_both_rows(engine: Engine) -> None:
    rule = Rule(
        ranking=("last_attempt",),
        combined={"last_success": last_known, "records": latest, "consecutive_failures": earliest},
    )
    write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 5, records=7, consecutive_failures=3)])

    offered = status("TCS", 6, last_success=None, records=6, consecutive_failures=2)
    write(engine, STATUS, STATUS_COLUMNS, [offered], rule)

    [row] = held(engine, STATUS)
    assert dict(zip(STATUS_COLUMNS, row, strict=True)) | {"last_run": ""} == {
        "symbol": "TCS",
        "data_type": "quotes",
        "last_attempt": AT + timedelta(minutes=6),
        "last_success": AT + timedelta(minutes=5),
        "status": "ok",
        "records": 7,
        "consecutive_failures": 2,
        "error": None,
        "last_run": "",
    }


def test_a_known_value_replaces_null_in_either_order(engine: Engine) -> None:
    for rule in (latest, earliest):
        emptied(engine, STATUS)
        combined = Rule(combined={"last_success": rule})
        write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 1, last_success=None)])
        write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 2)], combined)
        write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 3, last_success=None)], combined)

        [row] = held(engine, STATUS)
        assert row[STATUS_COLUMNS.index("last_success")] == AT + timedelta(minutes=2)


INSTRUMENT_COLUMNS = tuple(column.name for column in INSTRUMENTS.columns)


def instrument(key: str, **facts: Any) -> tuple[Any, ...]:
    row: dict[str, Any] = dict.fromkeys(INSTRUMENT_COLUMNS, None)
    row |= {"instrument_key": key, "live_key": key, "symbol": "S", "segment": "NSE_FO", "name": ""}
    row |= {"instrument_type": "CE", "cas_eligible": True}
    row |= {"first_seen": date(2026, 9, 16), "last_seen": date(2026, 9, 16), **facts}
    return tuple(row[name] for name in INSTRUMENT_COLUMNS)


def test_strikes_and_ticks_come_back_exact_and_sort_as_numbers(engine: Engine) -> None:
    strikes = [Decimal("9950"), Decimal("24000.0025"), Decimal("1002.5"), Decimal("0.05")]
    rows = [instrument(f"K{n}", strike=strike, tick_size=Decimal("0.05"))
            for n, strike in enumerate(strikes)]  # fmt: skip
    write(engine, INSTRUMENTS, INSTRUMENT_COLUMNS, rows)

    with reading(engine) as connection:
        stored = select(INSTRUMENTS.c.strike, INSTRUMENTS.c.tick_size)
        found = connection.execute(stored.order_by(INSTRUMENTS.c.strike)).all()
    assert [strike for strike, _ in found] == sorted(strikes)
    assert {tick for _, tick in found} == {Decimal("0.05")}
    assert all(isinstance(value, Decimal) for row in found for value in row)


@pytest.mark.parametrize(
    "strike",
    [
        pytest.param(24000.5, id="a float"),
        pytest.param(Decimal("0.00001"), id="five places"),
        pytest.param(Decimal("NaN"), id="not a number"),
    ],
)
def test_a_strike_that_would_not_be_exact_is_refused(engine: Engine, strike: Any) -> None:
    with pytest.raises(BadRecord, match="refusing to store"):
        write(engine, INSTRUMENTS, INSTRUMENT_COLUMNS, [instrument("K", strike=strike)])


def test_an_instant_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(BadRecord, match="no time zone"):
        write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0, last_attempt=NAIVE)])


instants = st.datetimes(NAIVE.replace(1990), NAIVE.replace(2100), timezones=st.timezones())


@on_the_same_database
@given(at=instants)
def test_an_instant_comes_back_the_same_in_utc(engine: Engine, at: datetime) -> None:
    write(engine, STATUS, STATUS_COLUMNS, [status("TCS", 0, last_attempt=at)])

    [row] = held(engine, STATUS)
    found = row[STATUS_COLUMNS.index("last_attempt")]
    assert found == at.astimezone(UTC)
    assert found.tzinfo is UTC


@on_the_same_database
@given(
    details=st.dictionaries(texts, texts | st.none() | st.lists(texts, max_size=3), max_size=4),
)
def test_details_come_back_as_they_were(engine: Engine, details: dict[str, Any]) -> None:
    columns = tuple(column.name for column in RUNS.columns)
    row = ("r", "quotes", None, AT, AT, "completed", 0, 0, 0, 0, 0, 0, None, details)

    write(engine, RUNS, columns, [row])

    assert held(engine, RUNS) == [row]


@pytest.mark.parametrize("name", [None, ""], ids=["null", "empty"])
def test_a_row_without_a_key_is_refused(engine: Engine, name: str | None) -> None:
    with pytest.raises(BadRecord, match="no key"):
        write(engine, META, META_COLUMNS, [("a", "1"), (name, "2")])
    assert held(engine, META) == []


def test_a_table_without_a_key_is_refused(engine: Engine) -> None:
    keyless = Table("keyless", MetaData(), Column("name", String))

    with pytest.raises(ValueError, match="keyless has no key"):
        write(engine, keyless, ("name",), [("a",)])


def test_without_rows_no_statement_is_sent(engine: Engine) -> None:
    assert write(engine, META, META_COLUMNS, []) == 0


def test_tens_of_thousands_of_rows_are_stored(engine: Engine) -> None:
    rows = [(f"name {n}", str(n)) for n in range(25_000)]

    changed = bulk_upsert(partial(writing, engine), META, META_COLUMNS, iter(rows))

    assert changed == len(rows)
    assert held(engine, META) == sorted(rows)


def test_bulk_rows_are_committed_chunk_by_chunk(engine: Engine) -> None:
    transactions: list[Connection] = []

    @contextmanager
    def begin() -> Iterator[Connection]:
        with writing(engine) as connection:
            transactions.append(connection)
            yield connection

    bulk_upsert(begin, META, META_COLUMNS, ((f"n{n}", "") for n in range(1_500)))

    assert len(transactions) >= 2


@pytest.mark.parametrize(
    ("rows", "seconds", "expected"),
    [
        pytest.param(1_000, 0.100, 500, id="held too long: fewer"),
        pytest.param(1_000, 0.050, 1_000, id="just right: as many"),
        pytest.param(1_000, 0.001, 2_000, id="quick: twice as many, not fifty times"),
        pytest.param(1, 9.0, 1, id="never none"),
        pytest.param(LARGEST_CHUNK, 0.0, LARGEST_CHUNK, id="never without bounds"),
    ],
)
def test_the_next_chunk_fits_a_short_lock(rows: int, seconds: float, expected: int) -> None:
    assert next_chunk(rows, seconds) == expected
