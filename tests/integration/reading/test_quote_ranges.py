"""Quotes of a range: slots that were due, rows under former symbols, three kinds of table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from candle_shelf import (
    EVENING,
    RELIANCE,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Shelf,
    environment_for,
    renamed,
    stock,
)

from data_fetch.core.clock import IST
from data_fetch.core.errors import SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import group_of
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading import freshness, quotes
from data_fetch.reading.quote_freshness import QuoteFreshness, judgements
from data_fetch.storage.quotes import QuoteStore

pytestmark = pytest.mark.layouts

TCS = stock("TCS", "INE467B01029")


def ist(hour: int, minute: int = 0, day: date = TUESDAY) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=IST).astimezone(UTC)


def keep(
    shelf: Shelf, of: Instrument, slots: Sequence[datetime], *, off_session: bool = False
) -> None:
    run = SyncRun.begin("quotes", slots[0]).finish(slots[0], Outcome.COMPLETED)
    rows = [
        StoredQuote(
            symbol=of.symbol,
            slot=slot,
            quote=Quote(instrument_key=of.instrument_key, last_price=100.0 + number, volume=number),
            off_session=off_session,
            received_at=slot + timedelta(seconds=61),
            source="upstox",
            run_id=run.run_id,
        )
        for number, slot in enumerate(slots)
    ]
    QuoteStore(shelf.store).record_slot(run, rows, ())


def minutes_from(begin: datetime, number: int) -> list[datetime]:
    return [begin + timedelta(minutes=count) for count in range(number)]


def test_every_slot_of_a_day_without_a_quote_is_missing(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 10))

    found = quotes("RELIANCE", TUESDAY, TUESDAY, settings=shelf.settings)

    assert found.table["symbol"].to_pylist() == ["RELIANCE"] * 10
    assert found.table["ltp"].to_pylist() == [100.0 + number for number in range(10)]
    assert found.table["timestamp"][0].as_py() == ist(9, 15)
    held = found.completeness
    due = len(shelf.calendar.session(TUESDAY, group_of(RELIANCE, TUESDAY)).slots())
    assert (held.slots_due, held.slots_present, held.complete) == (due, 10, False)
    assert held.document()["symbols"] == [
        {
            "symbol": "RELIANCE",
            "slots_due": due,
            "slots_present": 10,
            "slots_missing": due - 10,
            "off_session": 0,
        }
    ]


def test_instants_bound_a_range_to_the_slot_and_make_it_complete(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 10))

    found = quotes("RELIANCE", ist(9, 16), "2025-06-10T09:20:00+05:30", settings=shelf.settings)

    assert len(found.table) == 5
    assert (found.completeness.slots_due, found.completeness.complete) == (5, True)


def test_a_quote_outside_of_a_session_fills_no_slot(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, [ist(8, 0)], off_session=True)

    held = quotes("RELIANCE", TUESDAY, TUESDAY, settings=shelf.settings).completeness

    assert (held.slots_present, held.symbols[0].off_session) == (0, 1)


def test_freshness_has_the_newest_receipt_and_the_state_of_each_symbol(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 2))

    found = quotes("RELIANCE", TUESDAY, TUESDAY, settings=shelf.settings).freshness

    assert found.newest == ist(9, 17) + timedelta(seconds=1)
    assert found.age_seconds == (found.as_of - found.newest).total_seconds()
    assert [each.symbol for each in found.symbols] == ["RELIANCE"]


def test_the_three_forms_hold_the_same(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 3))

    arrow, pandas, polars = (
        quotes("RELIANCE", TUESDAY, TUESDAY, form=form, settings=shelf.settings)
        for form in ("arrow", "pandas", "polars")
    )

    rows = arrow.table.select(["symbol", "timestamp", "ltp", "volume", "source"]).to_pylist()
    assert (
        pandas.table[["symbol", "timestamp", "ltp", "volume", "source"]].to_dict("records") == rows
    )
    assert polars.table.select(["symbol", "timestamp", "ltp", "volume", "source"]).to_dicts() == (
        rows
    )
    document = arrow.completeness.document()
    assert orjson.loads(arrow.table.schema.metadata[b"completeness"]) == document
    assert pandas.table.attrs["completeness"] == document
    assert set(pandas.table.attrs["freshness"]) >= {"as_of", "newest", "age_seconds"}


@pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
def test_a_range_without_a_quote_is_a_table_without_a_row(shelf: Shelf, form: str) -> None:
    found = quotes("RELIANCE", TUESDAY, WEDNESDAY, form=form, settings=shelf.settings)

    assert len(found.table) == 0
    assert found.freshness.newest is None
    assert found.completeness.slots_present == 0


def test_several_symbols_are_one_after_another(shelf: Shelf) -> None:
    shelf.lists(TUESDAY, RELIANCE, TCS)
    for of in (TCS, RELIANCE):
        keep(shelf, of, minutes_from(ist(9, 15), 2))

    found = quotes(["RELIANCE", "TCS"], TUESDAY, TUESDAY, settings=shelf.settings)

    assert found.symbols == ("RELIANCE", "TCS")
    assert found.table["symbol"].to_pylist() == ["RELIANCE", "RELIANCE", "TCS", "TCS"]


@pytest.mark.parametrize("symbol", ["LTM", "LTIM"])
def test_quotes_under_a_former_symbol_are_those_of_the_present_one(
    shelf: Shelf, symbol: str
) -> None:
    ltim = stock("LTIM", "INE214T01019")
    shelf.lists(WEDNESDAY, RELIANCE, ltim)
    keep(shelf, ltim, [ist(9, 15, WEDNESDAY)])
    shelf.lists(THURSDAY, RELIANCE, renamed(ltim, "LTM"))
    keep(shelf, renamed(ltim, "LTM"), [ist(9, 15, THURSDAY)])

    found = quotes(symbol, WEDNESDAY, THURSDAY, settings=shelf.settings)

    assert found.table["symbol"].to_pylist() == ["LTM", "LTM"]
    assert found.table["timestamp"].to_pylist() == [ist(9, 15, WEDNESDAY), ist(9, 15, THURSDAY)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param({"symbols": "RELIANC"}, "Near: RELIANCE", id="unknown symbol"),
        pytest.param({"first": "10.06.2025"}, "is not a date", id="no date"),
        pytest.param({"first": "2025-06-10T09:15"}, "has no time zone", id="no offset"),
        pytest.param({"first": WEDNESDAY}, "is later than", id="ends before it begins"),
        pytest.param({"form": "excel"}, "Known: arrow, pandas, polars", id="unknown form"),
    ],
)
def test_invalid_arguments_are_rejected_with_a_hint(
    shelf: Shelf, how: dict[str, Any], message: str
) -> None:
    given = {"symbols": "RELIANCE", "first": TUESDAY, "last": TUESDAY, **how}

    with pytest.raises(SetupError, match=message) as rejected:
        quotes(settings=shelf.settings, **given)

    assert rejected.value.hint


class TestFreshness:
    """Trading minutes since the last quote of each symbol."""

    def at(self, shelf: Shelf, now: datetime, *instruments: Instrument) -> QuoteFreshness:
        return QuoteFreshness(
            now, judgements(shelf.settings, shelf.store, instruments, shelf.calendar, now)
        )

    @pytest.mark.parametrize(
        ("now", "state"),
        [
            pytest.param(ist(9, 20), "fresh", id="three minutes later"),
            pytest.param(ist(9, 30), "stopped", id="thirteen minutes later"),
            pytest.param(EVENING, "market_closed", id="in the evening"),
        ],
    )
    def test_the_state_follows_the_trading_minutes(
        self, shelf: Shelf, now: datetime, state: str
    ) -> None:
        keep(shelf, RELIANCE, minutes_from(ist(9, 15), 1))

        report = self.at(shelf, now, RELIANCE, TCS)

        states = {each["symbol"]: each["state"] for each in report.document()["symbols"]}
        assert states["RELIANCE"] == state
        assert report.stale is (state != "market_closed")

    def test_a_table_has_a_row_for_each_symbol_and_counts_states(self, shelf: Shelf) -> None:
        keep(shelf, RELIANCE, minutes_from(ist(9, 15), 1))

        found = freshness("RELIANCE", settings=shelf.settings)

        [row] = found.table.to_pylist()
        assert (row["symbol"], row["last_quote"]) == ("RELIANCE", ist(9, 16) + timedelta(seconds=1))
        counts = found.completeness.document()
        assert counts.pop("complete") in {True, False}
        assert sum(counts.values()) == 1
        assert found.freshness.newest == row["last_quote"]

    @pytest.mark.parametrize("form", ["arrow", "pandas", "polars"])
    def test_a_symbol_without_a_quote_has_no_last_quote(self, shelf: Shelf, form: str) -> None:
        found = freshness(["RELIANCE"], form=form, settings=shelf.settings)

        assert len(found.table) == 1
        assert found.freshness.newest is None

    def test_an_unknown_symbol_is_rejected_with_a_hint(self, shelf: Shelf) -> None:
        with pytest.raises(SetupError, match="no instrument named TCSS") as rejected:
            freshness("TCSS", settings=shelf.settings)

        assert "data-fetch collect --once" in rejected.value.hint

    def test_a_store_without_instruments_has_no_quote_of_any_listed_symbol(
        self, database_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "nse_fo_stock_symbols.txt").write_text("NIFTY\nTCS\n")
        settings = Settings.load(environment_for(database_url), tmp_path)

        found = freshness(settings=settings)

        assert [str(symbol) for symbol in found.table["symbol"]] == ["NIFTY", "TCS"]
        assert found.table["last_quote"].null_count == 2


def test_a_company_that_takes_a_symbol_has_only_its_own_quotes(shelf: Shelf) -> None:
    shelf.lists(TUESDAY, RELIANCE, TCS)
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 2))
    moved, taker = renamed(RELIANCE, "RIL"), renamed(TCS, "RELIANCE")
    shelf.lists(WEDNESDAY, moved, taker)
    keep(shelf, moved, minutes_from(ist(9, 15, WEDNESDAY), 3))
    keep(shelf, taker, minutes_from(ist(9, 15, WEDNESDAY), 4))

    of_both = {
        symbol: quotes(symbol, TUESDAY, WEDNESDAY, settings=shelf.settings).table.num_rows
        for symbol in ("RIL", "RELIANCE")
    }

    assert of_both == {"RIL": 5, "RELIANCE": 4}


def test_a_stock_is_as_fresh_under_its_new_name(shelf: Shelf) -> None:
    keep(shelf, RELIANCE, minutes_from(ist(9, 15), 2))
    shelf.lists(WEDNESDAY, renamed(RELIANCE, "RIL"), TCS)

    newest = QuoteStore(shelf.store).latest()
    moved = QuoteStore(shelf.store).movements(minutes_from(ist(9, 15), 2))

    assert (set(newest), newest["RIL"].slot) == ({"RIL"}, ist(9, 16))
    assert (set(moved), moved["RIL"].slots) == ({"RIL"}, 2)
