"""What counts as a rename and what as a new ISIN."""

from datetime import date

import pytest

from data_fetch.core.lineage import Succession, detect_lineage
from data_fetch.core.records import Instrument

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
            id="a symbol freed by a rename and taken by somebody else",
        ),
        pytest.param(["A:1"], ["A:1", "A:9:N1"], [], id="a debenture under the company's symbol"),
        pytest.param(["A:1:GS"], ["B:1:GS"], [], id="bonds are not followed"),
        pytest.param(["A:1"], ["A:1:BE"], [], id="a stock moved to another series"),
        pytest.param(
            ["A:1"], ["A:2:BE"], [("1", "2", "new ISIN of A")], id="a new ISIN in another series"
        ),
        pytest.param(["A:1"], ["B:2"], [], id="both changed at once: cannot be told"),
    ],
)
def test_lineage(known: list[str], now: list[str], found: list[tuple[str, str, str]]) -> None:
    assert list(detect_lineage(listed(*known), listed(*now), TODAY)) == [
        Succession(f"NSE_EQ|{old}", f"NSE_EQ|{new}", TODAY, reason) for old, new, reason in found
    ]
