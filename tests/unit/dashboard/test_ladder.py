"""The ladder of a chain: its rows, its marks, its HTML."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from option_chains import CALL, PUT, chain_of, leg, smile_chain
from shown_chains import shown, shown_since

from data_fetch.core.chains.chains import ChainSource, QuantityUnit
from data_fetch.dashboard.ladder import COLUMNS, Ladder, Side, ladder_of, rupees, signed, texts
from data_fetch.dashboard.ladder_html import ladder_html
from data_fetch.dashboard.numbers import short

LARGEST_REFRESH = 60_000
IN_LOTS = {"unit": QuantityUnit.CONTRACTS, "source": ChainSource.NSE}


class Cells(HTMLParser):
    """The texts of the cells of each row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def cells(ladder: Ladder, *columns: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(ladder_html(ladder, columns))
    return parser.rows


def wide_chain() -> Any:
    strikes = tuple(range(21_000, 27_000, 50))
    return smile_chain(forward=24_030.0, years=0.0361, rate=0.06, strikes=strikes)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(250_000.0, "+2.50 L", id="growth"),
        pytest.param(-12_34_567.0, "-12.35 L", id="a fall"),
        pytest.param(0.0, "0", id="nothing"),
        pytest.param(-0.2, "0", id="too little to be written"),
    ],
)
def test_a_change_has_its_sign(value: float, text: str) -> None:
    assert signed(short, value) == text


@pytest.mark.parametrize(("value", "text"), [(12.345, "12.35"), (1_234.5, "1,234")])
def test_paise_are_left_out_of_a_large_price(value: float, text: str) -> None:
    assert rupees(value) == text


class TestRows:
    def test_calls_and_puts_of_a_strike_are_beside_each_other(self) -> None:
        found = ladder_of(shown(chain_of([leg(100, CALL, oi=5.0), leg(100, PUT), leg(90, PUT)])))

        assert [row.strike for row in found.rows] == [90, 100]
        assert found.rows[0].call is None
        assert found.rows[1].call is not None
        assert found.rows[1].call.values["oi"] == 5

    @pytest.mark.parametrize(
        ("around", "ends"),
        [
            pytest.param(2, (23_950, 24_150), id="two on each side of the forward"),
            pytest.param(None, (21_000, 26_950), id="all"),
            pytest.param(500, (21_000, 26_950), id="more than there are"),
        ],
    )
    def test_strikes_around_the_forward(self, around: int | None, ends: tuple[int, int]) -> None:
        rows = ladder_of(shown(wide_chain()), around).rows
        assert (rows[0].strike, rows[-1].strike) == ends

    def test_the_money_is_that_of_the_forward_not_of_the_spot(self) -> None:
        chain = smile_chain(forward=24_160.0, years=0.0361, rate=0.06, spot=24_000.0)

        [money] = [row.strike for row in ladder_of(shown(chain)).rows if "ATM" in row.marks]

        assert money == 24_200

    def test_walls_and_max_pain_are_marked(self) -> None:
        legs = [leg(k, CALL, oi=oi) for k, oi in ((90, 1.0), (100, 2.0), (110, 9.0))]
        legs += [leg(k, PUT, oi=oi) for k, oi in ((90, 9.0), (100, 2.0), (110, 1.0))]

        rows = ladder_of(shown(chain_of(legs, spot=100.0))).rows

        assert {row.strike: row.marks for row in rows} == {
            90: ("S",),
            100: ("ATM", "MP"),
            110: ("R",),
        }


class TestQuantities:
    @pytest.mark.parametrize(
        ("facts", "lot", "unit", "oi"),
        [
            pytest.param({}, 65, "shares", 130, id="a source that counts shares"),
            pytest.param(IN_LOTS, 65, "shares", 8_450, id="contracts of a known lot"),
            pytest.param(IN_LOTS, None, "contracts", 130, id="contracts of an unknown lot"),
        ],
    )
    def test_they_are_shares_where_the_lot_is_known(
        self, facts: dict[str, Any], lot: int | None, unit: str, oi: int
    ) -> None:
        found = ladder_of(shown(chain_of([leg(100, CALL, oi=130.0)], **facts), lot))

        call = found.rows[0].call
        assert call is not None
        assert (found.unit, call.values["oi"]) == (unit, oi)

    def test_an_unknown_value_has_its_reason(self) -> None:
        found = ladder_of(shown(chain_of([leg(100, CALL, ltp=5.0, oi=0.5)], **IN_LOTS), 65))

        call = found.rows[0].call
        assert call is not None
        assert call.unknown["oi"] == "lot mismatch"
        assert call.unknown["oi_change"] == "no baseline"
        assert call.unknown["iv"] == "stale price"
        assert call.unknown["bid"] == "not sent"
        assert "ltp" not in call.unknown


class TestChanges:
    def test_volatility_is_compared_with_the_snapshot_of_the_baseline(self) -> None:
        now = smile_chain(forward=24_030.0, years=0.0361, rate=0.06, width=0.1)
        before = smile_chain(forward=24_030.0, years=0.04, rate=0.06, width=0.1)

        row = ladder_of(shown_since(now, before)).rows[10]

        assert row.call is not None
        assert row.call.values["iv_change"] == pytest.approx(-0.006, abs=0.002)
        assert row.call.values["price_change"] < 0

    def test_a_previous_close_has_no_volatility(self) -> None:
        row = ladder_of(shown(wide_chain())).rows[50]

        assert row.call is not None
        assert row.call.values["iv_change"] is None
        assert row.call.unknown["iv_change"] == "no baseline"


class TestHtml:
    def test_puts_mirror_calls(self) -> None:
        chain = chain_of(
            [leg(100, CALL, oi=2.0, ltp=7.5), leg(100, PUT, oi=4.0, ltp=2.5)], spot=100.0
        )

        assert cells(ladder_of(shown(chain)), "oi", "ltp")[1:] == [
            ["OI", "LTP", "Strike", "LTP", "OI"],
            ["2", "7.50", "100ATMMPRS", "2.50", "4"],
        ]

    def test_a_line_is_where_the_spot_is(self) -> None:
        chain = chain_of([leg(k, CALL) for k in (90, 100, 110)], spot=104.5)

        rows = cells(ladder_of(shown(chain)), "ltp")

        assert [row[-1] if len(row) == 1 else row[1] for row in rows[2:]] == [
            "90", "100ATM", "spot 104.50", "110",
        ]  # fmt: skip

    def test_a_bar_is_as_long_as_its_share_of_the_longest(self) -> None:
        chain = chain_of(
            [leg(90, CALL, oi=50.0, prev_oi=60.0, ltp=1.0, prev_close=1.0), leg(90, PUT, oi=200.0)]
        )

        html = ladder_html(ladder_of(shown(chain)), ("oi", "oi_change"))

        assert re.findall(r"<td( class=\w)? style=--b:([0-9]+%)", html) == [
            ("", "25%"),
            (" class=d", "100%"),
            ("", "100%"),
        ]

    def test_what_is_unknown_is_a_dash_with_the_reason_on_hover(self) -> None:
        html = ladder_html(ladder_of(shown(chain_of([leg(90, CALL)]))), ("iv",))

        assert '<td title="no price">–' in html
        assert '<td title="not listed">–' in html

    def test_every_column_of_120_strikes_is_sent_in_less_than_60_kb(self) -> None:
        html = ladder_html(ladder_of(shown(wide_chain())), tuple(COLUMNS))

        assert len(html.encode()) <= LARGEST_REFRESH

    def test_text_is_no_markup(self) -> None:
        side = Side(dict.fromkeys(COLUMNS), {"ltp": '<b onclick="x">'})
        [row] = ladder_of(shown(chain_of([leg(90, CALL)]))).rows
        ladder = Ladder(
            rows=(type(row)(90.0, side, None, ()),), unit=QuantityUnit.SHARES, spot=None
        )

        assert "<b onclick" not in ladder_html(ladder, ("ltp",))
        assert texts(side, ("ltp",)) == [None]
