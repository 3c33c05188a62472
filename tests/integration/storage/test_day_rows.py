"""The rows of a day: read in order, the same from every database, deleted and put back."""

from contextlib import closing
from datetime import date

import pyarrow as pa
import pytest
from archive_shelf import (
    ALL_TABLES,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    digests,
    store_day,
)
from sqlalchemy import event, func, select

from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.archive.days import Dataset
from data_fetch.core.world import World
from data_fetch.storage import day_rows
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.day_rows import add_rows, day_portions, delete_rows, stored_table

pytestmark = pytest.mark.layouts

TABLE_NAMES = [name for _, name in ALL_TABLES]


def rows_of(store: Store, name: str, day: date) -> pa.Table:
    schema = ARCHIVE_SCHEMAS[name]
    portions = day_portions(store.reading, stored_table(name), day, schema.arrow, schema.key)
    return pa.concat_tables([schema.arrow.empty_table(), *portions])


@pytest.fixture
def filled(store: Store) -> Store:
    for day in (TUESDAY, WEDNESDAY, THURSDAY):
        store_day(store, day)
    return store


def test_a_day_is_read_in_the_order_of_its_file(filled: Store) -> None:
    for name in TABLE_NAMES:
        rows = rows_of(filled, name, WEDNESDAY)
        key = ARCHIVE_SCHEMAS[name].key
        keys = list(zip(*(rows[column].to_pylist() for column in key), strict=True))
        assert keys, name
        assert keys == sorted(keys), name
        assert len(set(keys)) == len(keys), name
        with filled.reading() as connection:
            count = connection.scalar(select(func.count()).select_from(stored_table(name)))
        of_days = [rows_of(filled, name, day).num_rows for day in (TUESDAY, WEDNESDAY, THURSDAY)]
        assert sum(of_days) == count, name


def test_portions_of_legs_end_with_a_snapshot(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digests(filled, [WEDNESDAY], [Dataset.CHAINS])
    monkeypatch.setattr(day_rows, "LEGS_AT_ONCE", 7)
    schema = ARCHIVE_SCHEMAS["option_chain_data"]
    portions = list(
        day_portions(
            filled.reading, stored_table(schema.table), WEDNESDAY, schema.arrow, schema.key
        )
    )
    assert {portion.num_rows for portion in portions} == {6, 12}
    assert digests(filled, [WEDNESDAY], [Dataset.CHAINS]) == whole


def test_both_databases_have_the_same_digests(sqlite_url: str, postgres_url: str) -> None:
    found = []
    for url in (sqlite_url, postgres_url):
        with closing(open_store(url, World.PAPER)) as store:
            store_day(store, WEDNESDAY)
            found.append(digests(store, [WEDNESDAY]))
    assert found[0] == found[1]
    assert len({value for _, value in found[0].values()}) == len(TABLE_NAMES)


def test_a_day_is_deleted_and_put_back(filled: Store) -> None:
    """One table after another: without its heads, a snapshot's other rows are not read."""
    days = [TUESDAY, WEDNESDAY, THURSDAY]
    before = digests(filled, days)
    for name in TABLE_NAMES:
        rows = rows_of(filled, name, WEDNESDAY)
        assert delete_rows(filled.writing, stored_table(name), WEDNESDAY) == rows.num_rows, name
        assert rows_of(filled, name, WEDNESDAY).num_rows == 0, name
        assert digests(filled, [TUESDAY, THURSDAY]) == {
            key: value for key, value in before.items() if key[1] != WEDNESDAY
        }, name
        assert delete_rows(filled.writing, stored_table(name), WEDNESDAY) == 0, name
        divided = [rows.slice(3), rows.slice(0, 3)]
        assert add_rows(filled.writing, stored_table(name), WEDNESDAY, divided) == len(rows), name
        assert digests(filled, days) == before, name


def test_legs_whose_heads_are_gone_are_deleted(filled: Store) -> None:
    for name in ("chain_snapshots", "option_chain_data", "chain_summary"):
        assert delete_rows(filled.writing, stored_table(name), WEDNESDAY)
    with filled.reading() as connection:
        for name in ("option_chain_data", "chain_summary"):
            of = stored_table(name)
            left = connection.scalars(select(of.c.timestamp).distinct()).all()
            assert {at.date() for at in left} == {TUESDAY, THURSDAY}


def test_no_table_is_read_as_a_whole(filled: Store) -> None:
    if is_postgres(filled.engine):
        pytest.skip("its planner reads small tables whole; the conditions are the same")
    plans: list[str] = []
    deleting: set[str] = set()

    @event.listens_for(filled.engine, "before_cursor_execute")
    def explain(connection, cursor, statement, parameters, context, many) -> None:  # type: ignore[no-untyped-def]
        if statement.startswith(("SELECT", "WITH", "DELETE")):
            found = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(row[-1] for row in found)
            if statement.startswith("DELETE FROM option_chain_data"):
                deleting.update(row[-1] for row in found)

    for name in TABLE_NAMES:
        rows_of(filled, name, WEDNESDAY)
        delete_rows(filled.writing, stored_table(name), WEDNESDAY)
    scans = {plan for plan in plans if plan.startswith("SCAN")}
    # The revision, which each transaction looks at, is one row.
    assert scans <= {"SCAN steps", "SCAN alembic_version", "SCAN CONSTANT ROW"}
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]
    [one] = deleting
    assert "(underlying=? AND expiry=? AND timestamp=?)" in one
