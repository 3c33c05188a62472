"""Candles as a table, with their completeness, now and as stored at an earlier instant."""

import json
import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from candle_shelf import (
    EVENING,
    MINUTE,
    OPENING,
    RELIANCE,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Shelf,
    candle_rows,
    renamed,
    stock,
    whole_day,
)
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete

from data_fetch.core.candles.candles import Kind
from data_fetch.core.candles.coverage import State
from data_fetch.core.clock import IST
from data_fetch.core.errors import IncompleteRange, SetupError
from data_fetch.core.market.session import midnight_number, minute_number
from data_fetch.reading.candle_ranges import Candles, candles
from data_fetch.storage.candles.candles import candles as candles_table
from data_fetch.storage.candles.candles import revisions
from data_fetch.storage.candles.coverage import coverage_table

pytestmark = pytest.mark.layouts

COLUMNS = [
    "timestamp",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "oi",
    "kind",
    "is_final",
    "instrument_key",
    "source",
]


def read(shelf: Shelf, symbol: str = "RELIANCE", **how: Any) -> Candles:
    given = {"first": TUESDAY, "last": TUESDAY, **how}
    return candles(symbol, settings=shelf.settings, **given)


def closes(found: Candles, day: date = TUESDAY) -> dict[int, float]:
    """By minutes after the opening of *day*."""
    opens = midnight_number(day) + OPENING
    starts = [minute_number(at) - opens for at in found.table["timestamp"].to_pylist()]
    return dict(zip(starts, found.table["close"].to_pylist(), strict=True))


def ist(hour: int, minute: int = 0, second: int = 0, day: date = TUESDAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=IST)


def test_a_whole_day_comes_back_as_it_was_stored_and_is_complete(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, whole_day())

    found = read(shelf, complete=True)

    assert found.table.column_names == COLUMNS
    assert closes(found) == whole_day()
    assert found.table["timestamp"][0].as_py() == ist(9, 15)
    assert str(found.table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert set(found.table["instrument_key"].to_pylist()) == {RELIANCE.instrument_key}
    held = found.completeness
    assert (held.complete, held.expected, held.present, held.gaps) == (True, 375, 375, ())


def test_every_minute_that_is_not_there_has_its_cause(shelf: Shelf) -> None:
    there = {minute: 10.0 for minute in range(375) if minute not in (45, 46, 300)}
    shelf.keeps(RELIANCE, TUESDAY, there)
    shelf.answered(RELIANCE, TUESDAY)
    shelf.keeps(RELIANCE, WEDNESDAY, {0: 10.0, 1: 10.0}, final=False)

    found = read(shelf, last=WEDNESDAY).completeness

    assert (found.expected, found.present, found.source_empty) == (750, 374, 3)
    assert (found.missed, found.provisional, found.complete) == (373, 2, False)
    assert [
        (gap["trading_date"], gap["from"], gap["to"], gap["cause"])
        for gap in found.document()["gaps"]
    ] == [
        ("2025-06-10", "10:00", "10:02", "source_empty"),
        ("2025-06-10", "14:15", "14:16", "source_empty"),
        ("2025-06-11", "09:17", "15:30", "missed"),
    ]


def test_what_the_source_lacks_does_not_make_a_range_incomplete(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0})
    shelf.answered(RELIANCE, TUESDAY)

    assert len(read(shelf, complete=True).table) == 1


def test_a_range_with_missed_minutes_is_refused_on_request(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0, 1: 10.0})

    with pytest.raises(IncompleteRange) as refused:
        read(shelf, complete=True)

    assert "of 375 minutes, 373 are missed and 0 still to come" in refused.value.message
    assert "backfill --symbols RELIANCE --from 2025-06-10 --to 2025-06-10" in refused.value.hint
    assert len(read(shelf).table) == 2


def test_the_three_forms_hold_the_same(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 1500.1, 1: 0.1 + 0.2, 9: 1501.35})

    arrow, pandas, polars = (read(shelf, form=form) for form in ("arrow", "pandas", "polars"))

    rows = arrow.table.to_pylist()
    assert pandas.table.to_dict("records") == rows
    assert polars.table.to_dicts() == rows
    assert str(pandas.table["timestamp"].dtype) == "datetime64[us, UTC]"
    document = arrow.completeness.document()
    assert json.loads(arrow.table.schema.metadata[b"completeness"]) == document
    assert pandas.table.attrs["completeness"] == document
    assert arrow.completeness == pandas.completeness == polars.completeness


@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
def test_a_range_without_a_candle_is_a_table_without_a_row(shelf: Shelf, form: str) -> None:
    found = read(shelf, form=form)

    assert len(found.table) == 0
    assert found.completeness.missed == 375


def test_rows_that_are_no_continuous_trading_come_only_when_named(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0})
    shelf.keeps(RELIANCE, TUESDAY, {372: 10.0}, kind=Kind.CARRIED)
    shelf.keeps(RELIANCE, TUESDAY, {374: 11.0}, kind=Kind.AUCTION)

    assert list(closes(read(shelf))) == [0]
    assert list(closes(read(shelf, kinds=["auction"]))) == [374]
    everything = read(shelf, kinds=["traded", "carried", "auction"])
    assert everything.table["kind"].to_pylist() == ["traded", "carried", "auction"]


def test_both_ends_count_and_longer_ranges_are_in_order(shelf: Shelf) -> None:
    days = [TUESDAY, date(2025, 8, 20), date(2025, 12, 9)]
    for number, day in enumerate(days):
        shelf.keeps(RELIANCE, day, {0: 10.0 + number, 374: 20.0 + number})

    found = read(shelf, first="2025-06-10", last="2025-12-09").table

    assert found["close"].to_pylist() == [10.0, 20.0, 11.0, 21.0, 12.0, 22.0]
    assert found["timestamp"].to_pylist() == sorted(found["timestamp"].to_pylist())
    assert len(read(shelf, first=days[1], last=days[1]).table) == 2


def test_day_candles_are_counted_in_days(shelf: Shelf) -> None:
    shelf.keeps(RELIANCE, TUESDAY, {0: 10.0})

    found = read(shelf, last=WEDNESDAY, interval="day")

    assert len(found.table) == 0
    assert (found.completeness.expected, found.completeness.missed) == (2, 2)
    assert [gap["from"] for gap in found.completeness.document()["gaps"]] == ["09:15", "09:15"]
    with pytest.raises(IncompleteRange, match="of 2 days, 2 are missed"):
        read(shelf, last=WEDNESDAY, interval="day", complete=True)


class TestLineage:
    """A stock is the same stock under another name and under another ISIN."""

    @pytest.mark.parametrize("symbol", ["LTM", "LTIM", "ltim"])
    def test_a_rename_keeps_the_history_and_both_names_find_it(
        self, shelf: Shelf, symbol: str
    ) -> None:
        ltim = stock("LTIM", "INE214T01019")
        shelf.lists(WEDNESDAY, RELIANCE, ltim)
        shelf.lists(THURSDAY, RELIANCE, renamed(ltim, "LTM"))
        shelf.keeps(ltim, WEDNESDAY, {0: 10.0})
        shelf.keeps(ltim, THURSDAY, {0: 11.0})

        found = read(shelf, symbol, first=WEDNESDAY, last=THURSDAY)

        assert (found.symbol, found.instrument_keys) == ("LTM", (ltim.instrument_key,))
        assert found.table["close"].to_pylist() == [10.0, 11.0]

    def test_a_symbol_that_another_stock_took_is_that_stock(self, shelf: Shelf) -> None:
        first, second = stock("ABC", "INE000000011"), stock("NEW", "INE000000029")
        shelf.lists(WEDNESDAY, first)
        shelf.lists(THURSDAY, renamed(first, "XYZ"), renamed(second, "ABC"))

        assert read(shelf, "ABC").instrument_keys == (second.instrument_key,)

    def test_days_before_a_new_isin_are_those_of_the_old_one(self, shelf: Shelf) -> None:
        old, new = stock("SPLIT", "INE000000011"), stock("SPLIT", "INE000000029")
        shelf.lists(WEDNESDAY, RELIANCE, old)
        shelf.lists(THURSDAY, RELIANCE, new)
        for number, day in enumerate((TUESDAY, WEDNESDAY, THURSDAY)):
            # The provider may show either key on the other's days.
            shelf.keeps(old, day, dict.fromkeys(range(375), 100.0 + number))
            shelf.keeps(new, day, {0: 10.0 + number})

        found = read(shelf, "SPLIT", last=THURSDAY)

        assert found.instrument_keys == (old.instrument_key, new.instrument_key)
        assert found.table["close"].to_pylist() == [100.0] * 375 + [101.0] * 375 + [12.0]
        assert (found.completeness.present, found.completeness.missed) == (751, 374)
        assert {gap.instrument_key for gap in found.completeness.gaps} == {new.instrument_key}

    def test_names_and_isins_are_followed_through_several_changes(self, shelf: Shelf) -> None:
        old, new = stock("FIRST", "INE000000011"), stock("SECOND", "INE000000029")
        shelf.lists(TUESDAY, old)
        shelf.lists(WEDNESDAY, renamed(old, "SECOND"))
        shelf.lists(THURSDAY, new)
        shelf.lists(date(2025, 6, 13), renamed(new, "THIRD"))
        shelf.keeps(old, WEDNESDAY, {0: 1.0})
        shelf.keeps(new, THURSDAY, {0: 2.0})

        for symbol in ("FIRST", "SECOND", "THIRD"):
            found = read(shelf, symbol, last=THURSDAY)
            assert found.symbol == "THIRD"
            assert found.table["close"].to_pylist() == [1.0, 2.0]


class TestAsOf:
    """What was known at an instant, and how complete that was."""

    def test_a_correction_counts_from_its_instant_on(self, shelf: Shelf) -> None:
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, at=ist(9, 16, 5), final=False)
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.5}, at=ist(20))
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.7}, at=ist(21))

        def known(at: datetime) -> dict[int, float]:
            return closes(read(shelf, as_of=at))

        assert known(ist(9, 16, 4)) == {}
        assert known(ist(9, 16, 5)) == known(ist(19, 59, 59)) == {0: 10.0}
        assert known(ist(20)) == {0: 10.5}
        assert known(ist(23)) == closes(read(shelf)) == {0: 10.7}

    def test_minutes_are_missed_or_pending_as_they_were_then(self, shelf: Shelf) -> None:
        shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=ist(20))
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.0, 1: 10.0}, at=ist(9, 20), final=False)
        in_the_morning = read(shelf, as_of="2025-06-10T11:00:00+05:30").completeness

        assert (in_the_morning.expected, in_the_morning.present) == (375, 0)
        assert (in_the_morning.missed, in_the_morning.pending) == (104, 271)
        assert read(shelf, as_of=ist(20)).completeness.complete

    def test_a_proof_counts_from_its_instant_on(self, shelf: Shelf) -> None:
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, at=ist(20))
        shelf.answered(RELIANCE, TUESDAY, at=ist(20, 30))

        before = read(shelf, as_of=ist(20, 29)).completeness
        after = read(shelf, as_of=ist(20, 30)).completeness

        assert (before.missed, before.source_empty, before.present) == (374, 0, 1)
        assert (after.missed, after.source_empty, after.present) == (0, 374, 1)
        assert {gap.cause for gap in after.gaps} == {State.SOURCE_EMPTY}

    def test_what_was_settled_stays_so_until_the_candles_arrive(self, shelf: Shelf) -> None:
        held = {minute: price for minute, price in whole_day().items() if minute not in (5, 6)}
        shelf.keeps(RELIANCE, TUESDAY, held, at=ist(20))
        shelf.answered(RELIANCE, TUESDAY, at=ist(20))
        shelf.keeps(RELIANCE, TUESDAY, {5: 10.0, 6: 10.0}, at=ist(21))

        between = read(shelf, as_of=ist(20, 59)).completeness
        after = read(shelf, as_of=ist(21)).completeness

        assert (between.source_empty, between.missed, between.present) == (2, 0, 373)
        assert between.complete
        assert (after.source_empty, after.missed, after.present) == (0, 0, 375)

    def test_days_before_the_first_candle_were_expected_until_it_was_known(
        self, shelf: Shelf
    ) -> None:
        shelf.answered(RELIANCE, TUESDAY, at=ist(20))
        shelf.unlisted(RELIANCE, TUESDAY, at=ist(22))

        before = read(shelf, as_of=ist(21)).completeness
        after = read(shelf, as_of=ist(22)).completeness

        assert (before.expected, before.source_empty, before.not_expected) == (375, 375, 0)
        assert (after.expected, after.source_empty, after.not_expected) == (0, 0, 375)

    def test_candles_were_provisional_until_they_were_confirmed(self, shelf: Shelf) -> None:
        shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=ist(16), final=False)
        shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=ist(20))

        counted = [read(shelf, as_of=ist(hour)).completeness.provisional for hour in (17, 20)]

        assert counted == [375, 0]
        assert read(shelf).completeness.provisional == 0

    def test_of_several_states_the_one_of_the_instant_counts(self, shelf: Shelf) -> None:
        """Empty, then before the first candle, then empty again, then there."""
        shelf.answered(RELIANCE, TUESDAY, at=ist(18))
        shelf.unlisted(RELIANCE, TUESDAY, at=ist(19))
        shelf.keeps(RELIANCE, TUESDAY, {0: 10.0}, at=ist(20))
        shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=ist(21))

        def counts(hour: int) -> tuple[int, int, int]:
            held = read(shelf, as_of=ist(hour, 30)).completeness
            return held.present, held.source_empty, held.not_expected

        assert [counts(hour) for hour in (17, 18, 19, 20, 21)] == [
            (0, 0, 0),
            (0, 375, 0),
            (0, 0, 375),
            (1, 374, 0),
            (375, 0, 0),
        ]

    def test_days_that_were_still_to_come_are_left_out(self, shelf: Shelf) -> None:
        shelf.keeps(RELIANCE, TUESDAY, whole_day(), at=ist(20))
        shelf.keeps(RELIANCE, WEDNESDAY, whole_day(), at=ist(20, day=WEDNESDAY))

        found = read(shelf, last=WEDNESDAY, as_of=ist(23))

        assert (len(found.table), found.completeness.expected) == (375, 375)


@examples(
    max_examples=12,
)
@given(
    offers=st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.sampled_from([10.0, 11.0, 12.0]), min_size=1),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_instant_gives_what_was_stored_then(
    shelf: Shelf, offers: list[tuple[dict[int, float], bool]]
) -> None:
    with shelf.store.writing() as connection:
        for table in (candles_table, revisions, coverage_table):
            connection.execute(delete(table))
    stored: list[tuple[datetime, dict[int, float]]] = []
    for number, (closes_of, final) in enumerate(offers):
        at = EVENING + timedelta(hours=number)
        shelf.keeps(RELIANCE, TUESDAY, closes_of, at=at, final=final)
        stored.append((at, stored_closes(shelf)))

    for at, expected in stored:
        for instant in (at, at + timedelta(minutes=59, seconds=59)):
            found = read(shelf, as_of=instant)
            assert closes(found) == expected
            assert found.completeness.present == len(expected)
            assert found.completeness.missed == 375 - len(expected)
    assert closes(read(shelf, as_of=EVENING - timedelta(seconds=1))) == {}


def stored_closes(shelf: Shelf) -> dict[int, float]:
    opens = midnight_number(TUESDAY) + OPENING
    with shelf.store.reading() as connection:
        rows = candle_rows(connection, RELIANCE.instrument_key, MINUTE, opens, opens + 375)
    return {minute_number(row.timestamp) - opens: row.close for row in rows}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"symbol": "RELIANCEE"}, "no instrument named RELIANCEE"),
        ({"first": WEDNESDAY}, "2025-06-11 is later than 2025-06-10"),
        ({"first": "10.06.2025"}, "'10.06.2025' is not a date"),
        ({"last": "2999-01-01", "first": "2998-01-01"}, "still to come"),
        (
            {"last": "2999-01-01", "first": "2998-01-01", "as_of": "2999-06-01T00:00:00Z"},
            "still to come",
        ),
        ({"as_of": "2025-06-10T11:00:00"}, "has no time zone"),
        ({"as_of": datetime(2025, 6, 10, 11)}, "has no time zone"),  # noqa: DTZ001
        ({"as_of": "yesterday"}, "is not an instant"),
        ({"interval": "7minute"}, "Known: 1minute, 5minute, 15minute, 60minute, day."),
        ({"form": "excel"}, "Known: arrow, pandas, polars."),
        ({"kinds": ["flat"]}, "Known: traded, carried, auction."),
    ],
)
def test_invalid_arguments_are_refused(shelf: Shelf, how: dict[str, Any], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        read(shelf, **how)


@pytest.mark.parametrize("form", ["pandas", "polars"])
def test_a_form_that_is_not_installed_names_the_command(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    # What Python does for a name that is not to be imported.
    monkeypatch.setitem(sys.modules, form, None)

    with pytest.raises(SetupError, match=rf"{form} is not installed.*\[research\]"):
        read(shelf, form=form)


def test_the_package_loads_no_table_library_before_it_is_used() -> None:
    heavy = "{'pyarrow', 'pandas', 'polars'}"
    program = f"import sys, data_fetch.reading; print(sorted(set(sys.modules) & {heavy}))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (ended.stdout, ended.stderr) == ("[]\n", "")
