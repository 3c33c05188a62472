"""Partitions of PostgreSQL: made ahead, on demand and by one of several, and dropped whole."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from data_fetch.core.archive.days import bounds_of
from data_fetch.core.archive.periods import WIDTHS, partition_name, period_with, periods_ahead
from data_fetch.core.errors import SetupError, StoreUnreachable
from data_fetch.storage.database.engine import engine_for, reading, writing
from data_fetch.storage.database.partitions import (
    cover,
    drop_whole,
    make_ahead,
    partition_tables,
    periods_of,
)
from data_fetch.storage.database.tables import ChainSnapshotRow, LtpData, OptionChainData, table
from data_fetch.storage.database.upsert import upsert

SEPTEMBER, OCTOBER = date(2026, 9, 16), date(2026, 10, 1)
quotes, heads, legs = table(LtpData), table(ChainSnapshotRow), table(OptionChainData)
QUOTE = ("symbol", "timestamp", "instrument_key", "ltp", "off_session", "received_at", "source")
COLUMNS = (*QUOTE, "run_id")


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = engine_for(url)
    yield engine
    engine.dispose()


@pytest.fixture
def partitioned(partitioned_url: str) -> Iterator[Engine]:
    with opened(partitioned_url) as engine:
        yield engine


def quote(at: datetime, symbol: str = "TCS") -> tuple[Any, ...]:
    return symbol, at, "NSE_EQ|INE467B01029", 3000.5, False, at, "upstox", "run"


def noon(day: date) -> datetime:
    return bounds_of(day)[0] + timedelta(hours=12)


def store_quotes(engine: Engine, *instants: datetime) -> None:
    with writing(engine) as connection:
        upsert(connection, quotes, COLUMNS, [quote(at) for at in instants])


def stored(engine: Engine) -> list[datetime]:
    with reading(engine) as connection:
        return list(connection.scalars(select(quotes.c.timestamp).order_by(quotes.c.timestamp)))


def partitions(engine: Engine, of: str) -> list[date]:
    with reading(engine) as connection:
        return [period.first for period in periods_of(connection, of)]


def test_keys_and_indexes_have_the_names_of_the_tables_with_a_suffix(partitioned: Engine) -> None:
    with reading(partitioned) as connection:
        cover(connection, "ltp_data", [SEPTEMBER])
    found = inspect(partitioned)

    assert found.get_pk_constraint("ltp_data")["name"] == "pk_ltp_data"
    assert found.get_pk_constraint("ltp_data_2026_09")["name"] == "pk_ltp_data_2026_09"
    assert {index["name"] for index in found.get_indexes("ltp_data_2026_09")} == {
        "ix_ltp_data_timestamp_2026_09"
    }
    with reading(partitioned) as connection:
        assert {"ltp_data_2026_09"} < partition_tables(connection)


def test_a_row_on_each_side_of_midnight_in_india_is_in_its_month(partitioned: Engine) -> None:
    midnight = bounds_of(OCTOBER)[0]
    store_quotes(partitioned, midnight - timedelta(microseconds=1), midnight)

    with reading(partitioned) as connection:
        for month in ("2026_09", "2026_10"):
            assert connection.scalar(text(f"SELECT count(*) FROM ltp_data_{month}")) == 1  # noqa: S608 - a name of ours


def test_there_is_no_default_partition(partitioned: Engine) -> None:
    row = dict(zip(COLUMNS, quote(datetime(2050, 1, 1, tzinfo=UTC)), strict=True))

    with pytest.raises(IntegrityError, match="no partition"), writing(partitioned) as connection:
        connection.execute(insert(quotes), row)


def test_the_next_months_and_weeks_are_made_ahead_and_once(partitioned: Engine) -> None:
    today = date(2031, 5, 30)
    for _ in range(2):
        make_ahead(partitioned, today)

    for of, width in WIDTHS.items():
        wanted = [period.first for period in periods_ahead(today, width)]
        assert [day for day in partitions(partitioned, of) if day.year == 2031] == wanted, of


@pytest.mark.parametrize("year", [1850, 2226])
def test_a_clock_that_is_wrong_by_centuries_makes_no_partition(
    partitioned: Engine, year: int
) -> None:
    before = partitions(partitioned, "ltp_data")

    with pytest.raises(SetupError, match=f"ltp_data was to store a row of {year}"):
        store_quotes(partitioned, datetime(year, 3, 1, tzinfo=UTC), noon(SEPTEMBER))

    assert partitions(partitioned, "ltp_data") == before
    assert stored(partitioned) == []


def test_of_several_that_need_a_partition_one_makes_it(partitioned: Engine) -> None:
    programs, days = 4, [date(2019, month, 1) for month in range(1, 7)]
    together = Barrier(programs)
    url = partitioned.url.render_as_string(hide_password=False)

    def program(number: int) -> None:
        with opened(url) as engine:
            for day in days:
                together.wait(timeout=300)
                store_quotes(engine, noon(day) + timedelta(minutes=number))

    with ThreadPoolExecutor(programs) as threads:
        list(threads.map(program, range(programs)))

    assert len(stored(partitioned)) == programs * len(days)


def test_a_partition_is_made_beside_readers_and_writers_of_others(partitioned: Engine) -> None:
    """Nothing here waits: a transaction that waited for another one would never end."""
    store_quotes(partitioned, noon(SEPTEMBER))
    with reading(partitioned) as reader, writing(partitioned) as writer:
        reader.execute(select(quotes)).all()
        upsert(writer, quotes, COLUMNS, [quote(noon(SEPTEMBER), "INFY")])
        store_quotes(partitioned, noon(date(2018, 4, 2)))

    assert len(stored(partitioned)) == 3


def test_a_write_that_fails_leaves_the_partition_and_no_row(partitioned: Engine) -> None:
    at = noon(date(2017, 4, 3))

    with reading(partitioned) as connection:
        upsert(connection, quotes, COLUMNS, [quote(at)])
        connection.rollback()
    assert stored(partitioned) == []
    store_quotes(partitioned, at)

    assert stored(partitioned) == [at]


def test_a_month_is_dropped_when_all_days_with_rows_may_go(partitioned: Engine) -> None:
    kept, *gone = (noon(date(2016, month, 5)) for month in (4, 5, 5, 6))
    still = noon(date(2016, 6, 20))
    store_quotes(partitioned, kept, *gone, still)
    may_go = {date(2016, 5, 5), date(2016, 6, 5)}

    dropped = drop_whole(partitioned, "ltp_data", may_go)

    assert dropped == [period_with(date(2016, 5, 5), WIDTHS["ltp_data"])]
    assert stored(partitioned) == [kept, gone[-1], still]
    assert drop_whole(partitioned, "ltp_data", may_go) == []


def test_a_dropped_month_is_made_again_for_rows_that_come_back(partitioned: Engine) -> None:
    at = noon(date(2015, 5, 5))
    store_quotes(partitioned, at)
    drop_whole(partitioned, "ltp_data", {date(2015, 5, 5)})
    store_quotes(partitioned, at)

    assert stored(partitioned) == [at]


def test_a_week_of_legs_stays_while_a_head_of_it_may_not_go(partitioned: Engine) -> None:
    monday, friday = date(2014, 9, 15), date(2014, 9, 19)
    with writing(partitioned) as connection:
        for day in (monday, friday):
            values = filled(heads, noon(day))
            upsert(connection, heads, tuple(values), [tuple(values.values())])
            cover(connection, legs.name, [day])
    dropped = [drop_whole(partitioned, legs.name, days) for days in ({monday}, {monday, friday})]

    assert dropped == [[], [period_with(monday, WIDTHS[legs.name])]]


def filled(of: Any, at: datetime) -> dict[str, Any]:
    """Any row of a chain table at an instant."""
    samples = {datetime: at, date: at.date(), int: 1, float: 1.0, str: "x", bool: False}
    return {
        column.name: samples.get(getattr(column.type, "python_type", str), "x")
        if column.name not in {"timestamp", "last_confirmed", "exchange_time"}
        else at
        for column in of.columns
    }


def test_a_reader_that_takes_long_keeps_a_month_for_the_next_time(partitioned: Engine) -> None:
    day = date(2013, 5, 6)
    store_quotes(partitioned, noon(day))

    with reading(partitioned) as reader:
        reader.execute(select(quotes)).all()
        with pytest.raises(StoreUnreachable):
            drop_whole(partitioned, "ltp_data", {day})

    assert [one.first for one in drop_whole(partitioned, "ltp_data", {day})] == [date(2013, 5, 1)]


def test_a_question_about_a_day_looks_into_one_partition(partitioned: Engine) -> None:
    days = [date(2012, month, 3) for month in range(1, 5)]
    store_quotes(partitioned, *map(noon, days))
    first, end = bounds_of(days[1])
    inside = (quotes.c.timestamp >= first, quotes.c.timestamp < end)
    with reading(partitioned) as connection:
        query = select(quotes).where(*inside).compile(connection)
        plan = "\n".join(
            connection.exec_driver_sql(f"EXPLAIN {query}", query.construct_params()).scalars()
        )

    touched = {
        name
        for name in (
            partition_name("ltp_data", period_with(day, WIDTHS["ltp_data"])) for day in days
        )
        if name in plan
    }
    assert touched == {"ltp_data_2012_02"}
