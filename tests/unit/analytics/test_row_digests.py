"""The digest of rows: the same in every order and division, another for any other value."""

from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.analytics.row_digests import digest_of

SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "whole": pa.int64(),
        "double": pa.float64(),
        "flag": pa.bool_(),
        "exact": pa.decimal128(18, 4),
        "at": pa.timestamp("us", "UTC"),
        "day": pa.date32(),
    }
)
Values = tuple[Any, ...]
values = st.tuples(
    st.none() | st.text(max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.booleans(),
    st.none() | st.decimals(-(10**9), 10**9, places=4),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.none() | st.dates(),
)
FULL: Values = (
    "NIFTY",
    75,
    0.1,
    True,
    Decimal("24000.5"),
    datetime(2026, 9, 16, 3, 45, tzinfo=UTC),
    date(2026, 9, 22),
)


def table_of(rows: list[Values]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)],
        schema=SCHEMA,
    )


@given(st.lists(values, max_size=8), st.integers(0, 8), st.integers())
def test_order_and_division_do_not_matter(rows: list[Values], cut: int, seed: int) -> None:
    whole = digest_of([table_of(rows)])
    Random(seed).shuffle(rows)
    divided = table_of(rows)
    found = digest_of([divided.slice(cut), divided.slice(0, cut)])
    assert (found.rows, found.value) == (len(rows), whole.value)


@given(st.lists(values, max_size=5), st.lists(values, max_size=5))
def test_other_rows_have_another_digest(one: list[Values], other: list[Values]) -> None:
    same = sorted(map(repr, one)) == sorted(map(repr, other))
    assert (digest_of([table_of(one)]).value == digest_of([table_of(other)]).value) == same


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "NIFTZ"),
        (0, ""),
        (1, 76),
        (2, 0.1 + 2**-56),
        (3, False),
        (4, Decimal("-24000.5")),
        (5, datetime(2026, 9, 16, 3, 45, 0, 1, tzinfo=UTC)),
        (6, date(2026, 9, 23)),
        *((place, None) for place in range(len(SCHEMA))),
    ],
)
def test_one_other_value_is_seen(place: int, value: Any) -> None:
    other = (*FULL[:place], value, *FULL[place + 1 :])
    assert digest_of([table_of([FULL])]).value != digest_of([table_of([other])]).value


def test_zero_has_a_sign_and_an_empty_text_is_not_missing() -> None:
    plain = pa.schema({"double": pa.float64(), "text": pa.string()})
    found = {
        digest_of([pa.table([[number], [text]], schema=plain)]).value
        for number in (0.0, -0.0)
        for text in ("", None)
    }
    assert len(found) == 4


def test_values_that_change_places_are_seen() -> None:
    two = pa.schema({"bid": pa.float64(), "ask": pa.float64()})
    rows = [pa.table([[1.0], [2.0]], schema=two), pa.table([[2.0], [1.0]], schema=two)]
    assert digest_of(rows[:1]).value != digest_of(rows[1:]).value


def test_the_arithmetic_never_changes() -> None:
    """Digests in ledgers are of years ago."""
    assert digest_of([table_of([FULL])]).value == "02e3e8d62b0b091087560e3e0bc291b7"
