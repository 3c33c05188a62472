"""Renames, new ISINs, and the key of each day."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.instruments.lineage import (
    KeyChange,
    KeyPeriod,
    detect_lineage,
    key_by,
    key_periods,
    present_key,
)

TODAY = date(2026, 8, 14)


def listed(*stocks: str) -> list[Instrument]:
    """Instruments written as SYMBOL:ISIN or SYMBOL:ISIN:SERIES."""
    return [instrument(*stock.split(":")) for stock in stocks]


def instrument(symbol: str, isin: str, series: str = "EQ") -> Instrument:
    key = f"NSE_EQ|{isin}"
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment="NSE_EQ",
        instrument_type=series,
        isin=isin,
    )


@pytest.mark.parametrize(
    ("known", "now", "found"),
    [
        pytest.param(["A:1", "B:2"], ["B:2", "A:1"], [], id="the same list in another order"),
        pytest.param([], ["A:1"], [], id="the first master of all"),
        pytest.param(["A:1"], ["A:1", "B:2"], [], id="a new listing"),
        pytest.param(["A:1", "B:2"], ["A:1"], [], id="a delisting"),
        pytest.param(
            ["LTIM:1"], ["LTM:1"], [("1", "1", "renamed from LTIM to LTM")], id="a rename"
        ),
        pytest.param(["A:1"], ["A:2"], [("1", "2", "new ISIN of A")], id="a new ISIN"),
        pytest.param(
            ["A:1", "B:2"],
            ["B:1", "A:2"],
            [("1", "1", "renamed from A to B"), ("2", "2", "renamed from B to A")],
            id="two that swapped symbols",
        ),
        pytest.param(
            ["TATAMOTORS:1"],
            ["TMPV:1", "TMCV:2"],
            [("1", "1", "renamed from TATAMOTORS to TMPV")],
            id="a demerger: the old ISIN goes on, the other is new",
        ),
        pytest.param(
            ["A:1", "B:2"],
            ["C:1", "A:3", "B:2"],
            [("1", "1", "renamed from A to C")],
            id="a symbol freed by a rename and taken by another stock",
        ),
        pytest.param(["A:1"], ["A:1", "A:9:N1"], [], id="a debenture under the company's symbol"),
        pytest.param(["A:1:GS"], ["B:1:GS"], [], id="bonds have no lineage"),
        pytest.param(["A:1"], ["A:1:BE"], [], id="a stock moved to another series"),
        pytest.param(
            ["A:1"], ["A:2:BE"], [("1", "2", "new ISIN of A")], id="a new ISIN in another series"
        ),
        pytest.param(["A:1"], ["B:2"], [], id="both changed at once: not detected"),
    ],
)
def test_renames_and_new_isins_are_detected(
    known: list[str], now: list[str], found: list[tuple[str, str, str]]
) -> None:
    assert list(detect_lineage(listed(*known), listed(*now), TODAY)) == [
        KeyChange(f"NSE_EQ|{old}", f"NSE_EQ|{new}", TODAY, reason) for old, new, reason in found
    ]


def reissued(old: str, new: str, day: int) -> KeyChange:
    return KeyChange(old, new, date(2026, 8, day), "new ISIN of A")


def rename(key: str, old: str, new: str, day: int) -> KeyChange:
    return KeyChange(key, key, date(2026, 8, day), f"renamed from {old} to {new}")


def held(key: str, first: int, last: int) -> KeyPeriod:
    return KeyPeriod(key, date(2026, 8, first), date(2026, 8, last))


@pytest.mark.parametrize(
    ("key_changes", "key", "found"),
    [
        pytest.param([], "1", [held("1", 10, 20)], id="nothing ever changed"),
        pytest.param([rename("1", "A", "B", 15)], "1", [held("1", 10, 20)], id="a rename"),
        pytest.param(
            [reissued("1", "2", 15)], "2", [held("1", 10, 14), held("2", 15, 20)], id="a new ISIN"
        ),
        pytest.param([reissued("1", "2", 10)], "2", [held("2", 10, 20)], id="on the first day"),
        pytest.param(
            [reissued("1", "2", 20)], "2", [held("1", 10, 19), held("2", 20, 20)], id="on the last"
        ),
        pytest.param([reissued("1", "2", 21)], "2", [held("1", 10, 20)], id="after the range"),
        pytest.param([reissued("1", "2", 9)], "2", [held("2", 10, 20)], id="before the range"),
        pytest.param(
            [reissued("1", "2", 12), rename("2", "A", "B", 13), reissued("2", "3", 16)],
            "3",
            [held("1", 10, 11), held("2", 12, 15), held("3", 16, 20)],
            id="two new ISINs and a rename between",
        ),
        pytest.param(
            [reissued("1", "2", 12), reissued("2", "1", 16)],
            "1",
            [held("1", 10, 11), held("2", 12, 15), held("1", 16, 20)],
            id="an ISIN that came back",
        ),
        pytest.param([reissued("8", "9", 15)], "1", [held("1", 10, 20)], id="another stock's"),
    ],
)
def test_each_day_has_the_key_of_its_time(
    key_changes: list[KeyChange], key: str, found: list[KeyPeriod]
) -> None:
    assert list(key_periods(key, key_changes, date(2026, 8, 10), date(2026, 8, 20))) == found


@given(st.lists(st.integers(1, 31), unique=True, max_size=5), st.integers(1, 31), st.data())
def test_every_day_of_a_range_belongs_to_one_key(
    days: list[int], first: int, data: st.DataObject
) -> None:
    last = data.draw(st.integers(first, 31))
    chain = [reissued(str(n), str(n + 1), day) for n, day in enumerate(sorted(days))]
    present = present_key("0", chain)

    found = key_periods(present, chain, date(2026, 8, first), date(2026, 8, last))

    assert present == str(len(days))
    assert (found[0].first.day, found[-1].last.day) == (first, last)
    assert all(one.first <= one.last for one in found)
    assert all(after.first - before.last == timedelta(days=1) for before, after in pairwise(found))


def test_a_rename_has_a_former_symbol_and_a_new_isin_has_none() -> None:
    (found,) = detect_lineage(listed("M&M:1"), listed("M-M:1"), TODAY)

    assert (found.is_rename, found.former_symbol) == (True, "M&M")
    assert reissued("1", "2", 15).former_symbol is None


# --- as of an instant -------------------------------------------------------------------------

FIRST_CHANGE = KeyChange("A", "B", date(2026, 6, 5), "new ISIN of X")
SECOND_CHANGE = KeyChange("B", "C", date(2026, 6, 6), "new ISIN of X")
RENAMED = KeyChange("C", "C", date(2026, 6, 7), "renamed from X to Y")


@pytest.mark.parametrize(
    ("known", "key"),
    [
        pytest.param([], "A", id="neither change"),
        pytest.param([FIRST_CHANGE], "B", id="the first one"),
        pytest.param([FIRST_CHANGE, SECOND_CHANGE], "C", id="both"),
    ],
)
def test_an_instrument_had_the_key_before_the_changes_that_were_not_known(
    known: list[KeyChange], key: str
) -> None:
    assert key_by("C", [FIRST_CHANGE, SECOND_CHANGE, RENAMED], known) == key
