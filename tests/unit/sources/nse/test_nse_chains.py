"""Bodies of NSE's website become chains, whatever shape they come in."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nse_bodies import SPOT, TUESDAY, body, leg, placeholder, row

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainLeg,
    ChainSource,
    OptionType,
    QuantityUnit,
)
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.values import read_date, read_strike
from data_fetch.sources.nse.chain_rows import read_nse_chains, read_nse_expiries

CALL, PUT = OptionType.CALL, OptionType.PUT
EXPIRY = date(2026, 9, 15)
# Where calls and puts need not go together, because all of them cost the same here.
FAR_STRIKES = range(15000, 17000, 100)


def chain(*rows: Any, **records: Any) -> Chain:
    result = read_nse_chains(body(*rows, **records))
    assert result.rejected == ()
    (only,) = result.chains
    return only


def only_leg(**changes: Any) -> ChainLeg:
    (first, _) = chain(row(CE=leg(**changes), PE=leg(side="PE"))).legs
    return first


def reasons(*rows: Any) -> list[str]:
    """Why legs of a body with many good ones beside *rows* were rejected."""
    good = [row(strike) for strike in FAR_STRIKES]
    return [aside.reason for aside in read_nse_chains(body(*rows, *good)).rejected]


def kind_of(document: Any, *args: Any) -> FailureKind:
    with pytest.raises(ChainError) as refused:
        read_nse_chains(document, *args)
    return refused.value.kind


def test_a_leg_of_v3() -> None:
    result = chain(row())
    assert (result.underlying, result.expiry, result.source) == ("NIFTY", EXPIRY, ChainSource.NSE)
    assert (result.spot, result.unit) == (SPOT, QuantityUnit.CONTRACTS)
    assert result.exchange_time == datetime(2026, 9, 11, 10, 10, tzinfo=UTC)
    assert result.legs[0] == ChainLeg(
        strike=Decimal(22650),
        option_type=CALL,
        ltp=120.5,
        prev_close=140.75,
        bid=120.4,
        bid_qty=390,
        ask=120.6,
        ask_qty=65,
        total_buy_qty=65000,
        total_sell_qty=32500,
        volume=5000.0,
        oi=1000.0,
        prev_oi=900.0,
        provider_iv=0.1431,
    )


LEGACY_NAMES = {
    "buyPrice1": "bidprice",
    "buyQuantity1": "bidQty",
    "sellPrice1": "askPrice",
    "sellQuantity1": "askQty",
}


def test_the_legacy_shape_gives_the_same() -> None:
    def old(side: str) -> dict[str, Any]:
        return {LEGACY_NAMES.get(name, name): value for name, value in leg(side=side).items()}

    legacy = {
        "strikePrice": 22650,
        "expiryDate": TUESDAY,
        "CE": {**old("CE"), "expiryDate": TUESDAY},
        "PE": {**old("PE"), "expiryDate": TUESDAY},
    }
    assert chain(legacy) == chain(row())


@pytest.mark.parametrize(
    "shaped",
    [
        pytest.param(lambda whole: whole["records"], id="records at the top"),
        pytest.param(lambda whole: {"records": whole["records"]}, id="no filtered"),
        pytest.param(lambda whole: {**whole, "filtered": {}}, id="empty filtered"),
        pytest.param(lambda whole: {**whole, "filtered": {"data": [row()]}}, id="equal rows"),
    ],
)
def test_all_shapes_give_the_same(shaped: Callable[[Any], Any]) -> None:
    result = read_nse_chains(shaped(body(row())))
    assert result.chains == (chain(row()),)
    assert (result.remarks, result.rejected) == ((), ())


@pytest.mark.parametrize("text", ["15-Sep-2026", "15-SEP-2026", "15-09-2026", "2026-09-15"])
def test_dates_come_in_three_forms(text: str) -> None:
    assert read_date(text) == EXPIRY
    assert chain({**row(), "expiryDates": text}).expiry == EXPIRY
    assert only_leg(expiryDate=text).ltp == 120.5


@pytest.mark.parametrize(
    "named",
    [
        pytest.param({"expiryDate": TUESDAY}, id="expiryDate"),
        pytest.param({"expiryDates": TUESDAY}, id="expiryDates"),
        pytest.param({"expiryDates": [TUESDAY]}, id="a list of one"),
        pytest.param({}, id="left to the legs"),
    ],
)
def test_the_expiry_of_a_row(named: dict[str, Any]) -> None:
    result = {"strikePrice": 22650, "CE": leg(), "PE": leg(side="PE"), **named}
    assert chain(result).expiry == EXPIRY


@pytest.mark.parametrize(
    ("written", "strike"),
    [
        (22650, "22650"),
        (22650.0, "22650"),
        ("22650", "22650"),
        ("22650.00", "22650"),
        (447.5, "447.5"),
        ("447.50", "447.5"),
        (0.1, "0.1"),
    ],
)
def test_strikes_are_exact(written: Any, strike: str) -> None:
    assert str(read_strike(written)) == strike


@pytest.mark.parametrize("written", [22650.00005, "0.00001", "22650.00001", 1e-9, "1e3", True])
def test_what_no_store_could_hold_is_no_strike(written: Any) -> None:
    with pytest.raises(BadRecord):
        read_strike(written)


@pytest.mark.parametrize(
    ("changes", "value", "expected"),
    [
        pytest.param({"lastPrice": 0}, "ltp", None, id="no last price"),
        pytest.param({"lastPrice": 0, "change": 0}, "prev_close", None, id="nor a previous"),
        pytest.param({"lastPrice": "120.5"}, "ltp", 120.5, id="text"),
        pytest.param({"lastPrice": 120, "change": -20}, "prev_close", 140.0, id="whole numbers"),
        pytest.param({"impliedVolatility": 0}, "provider_iv", None, id="not computable"),
        pytest.param({"buyPrice1": 0, "buyQuantity1": 0}, "bid", None, id="no bid"),
        pytest.param({"buyPrice1": 0, "buyQuantity1": 0}, "bid_qty", 0, id="no quantity"),
        pytest.param({"buyQuantity1": 390.0}, "bid_qty", 390, id="quantity with a point"),
        pytest.param({"openInterest": 16.25}, "oi", 16.25, id="contracts of an old lot"),
        pytest.param(
            {"openInterest": 100.5, "changeinOpenInterest": 0}, "prev_oi", 100.5, id="unchanged"
        ),
        pytest.param({"change": None}, "prev_close", None, id="no change given"),
    ],
)
def test_what_numbers_mean(changes: dict[str, Any], value: str, expected: Any) -> None:
    changes = {"changeinOpenInterest": 0, "pChange": 0, **changes}
    found = getattr(only_leg(**changes), value)
    assert found == expected
    assert type(found) is type(expected)


class TestPlaceholders:
    @pytest.mark.parametrize("empty", [None, {}, placeholder()])
    def test_are_no_legs(self, empty: Any) -> None:
        result = chain(row(CE=empty, PE=leg(side="PE")))
        assert [one.option_type for one in result.legs] == [PUT]

    def test_without_an_identifier_but_with_numbers_it_is_a_leg(self) -> None:
        result = read_nse_chains(body(row(CE=leg(identifier=None), PE=leg(side="PE"))))
        assert len(result.chains[0].legs) == 2
        assert result.remarks == ("identifier is missing in 1 leg",)

    def test_an_untraded_leg_is_one(self) -> None:
        silent = {
            name: 0
            for name, value in leg().items()
            if isinstance(value, int | float) and name not in {"strikePrice", "underlyingValue"}
        }
        assert only_leg(**silent).oi == 0.0

    def test_nothing_but_placeholders_is_no_chain(self) -> None:
        assert kind_of(body(row(CE=placeholder())), "NIFTY") is FailureKind.EMPTY_LIST


class TestOrder:
    def test_of_rows_does_not_matter(self) -> None:
        result = chain(row(22700), row(22600), row(22650.5))
        assert [(str(one.strike), one.option_type) for one in result.legs] == [
            ("22600", CALL),
            ("22600", PUT),
            ("22650.5", CALL),
            ("22650.5", PUT),
            ("22700", CALL),
            ("22700", PUT),
        ]

    def test_of_expiries_is_nearest_first(self) -> None:
        def later(side: str) -> dict[str, Any]:
            return leg(
                side=side, day="29-09-2026", identifier=f"OPTIDXNIFTY29-09-2026{side}22650.00"
            )

        month = {**row(CE=later("CE"), PE=later("PE")), "expiryDates": "29-Sep-2026"}
        result = read_nse_chains(body(month, row()))
        assert [one.expiry.day for one in result.chains] == [15, 29]


class TestRowsOfOneStrike:
    def test_equal_ones_are_one(self) -> None:
        assert chain(row(), row(), row("22650.0")) == chain(row())

    def test_differing_ones_are_all_left_out(self) -> None:
        other = row(CE=leg(openInterest=1001), PE=leg(side="PE"))
        assert reasons(row(), other) == ["several rows that contradict each other"]

    @pytest.mark.parametrize("torn_first", [True, False])
    def test_a_number_that_one_copy_lacks_comes_from_the_other(self, torn_first: bool) -> None:
        torn, whole = row(CE=leg(lastPrice="n/a")), row()
        rows = [torn, whole] if torn_first else [whole, torn]
        result = read_nse_chains(body(*rows, *map(row, FAR_STRIKES)))
        [found] = [one for one in result.chains[0].legs if one.key == (Decimal(22650), CALL)]
        assert found == only_leg()
        assert result.rejected == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"strikePrice": 22700}, "strikePrice 22700 in the leg", id="strike"),
        pytest.param({"expiryDate": "22-09-2026"}, "expiryDate 2026-09-22 in the leg", id="expiry"),
        pytest.param(
            {"identifier": "OPTIDXNIFTY15-09-2026CE22700.00"}, "is not NIFTY", id="named strike"
        ),
        pytest.param(
            {"identifier": "OPTIDXNIFTY15-09-2026PE22650.00"}, "is not NIFTY", id="named side"
        ),
        pytest.param(
            {"identifier": "OPTIDXNIFTY22-09-2026CE22650.00"}, "is not NIFTY", id="named expiry"
        ),
        pytest.param(
            {"identifier": "OPTIDXBANKNIFTY15-09-2026CE22650.00"}, "is not NIFTY", id="named symbol"
        ),
        pytest.param(
            {"identifier": "OPTIDXNIFTY31-02-2026CE22650.00"}, "is no date", id="no such day"
        ),
        pytest.param(
            {"identifier": "OPTIDXNIFTY15-09-2026CE22650.00001"}, "strike", id="no such strike"
        ),
        pytest.param({"underlying": "BANKNIFTY"}, "underlying 'BANKNIFTY'", id="underlying"),
    ],
)
def test_legs_that_contradict_themselves_are_rejected(changes: dict[str, Any], reason: str) -> None:
    (result,) = reasons(row(CE=leg(**changes), PE=leg(side="PE")))
    assert reason in result


@pytest.mark.parametrize(
    ("changes", "reason", "without"),
    [
        pytest.param({"lastPrice": -1}, "lastPrice -1 cannot", ["ltp", "prev_close"], id="below 0"),
        pytest.param(
            {"lastPrice": float("nan")}, "lastPrice is nan", ["ltp", "prev_close"], id="no number"
        ),
        pytest.param(
            {"lastPrice": 40000}, "above any possible", ["ltp", "prev_close"], id="too dear"
        ),
        pytest.param(
            {"lastPrice": 5e-324}, "lastPrice 4.94066e-324", ["ltp", "prev_close"], id="denormal"
        ),
        pytest.param({"buyPrice1": 0.009}, "0.009 cannot be", ["bid"], id="below any tick"),
        pytest.param(
            {"impliedVolatility": 100_001}, "Volatility 100001 cannot", ["provider_iv"], id="iv"
        ),
        pytest.param(
            {"openInterest": None}, "openInterest is null", ["oi", "prev_oi"], id="no interest"
        ),
        pytest.param(
            {"totalTradedVolume": "n/a"}, "totalTradedVolume is 'n/a'", ["volume"], id="text"
        ),
        pytest.param({"buyQuantity1": 12.5}, "not a whole number", ["bid_qty"], id="half a share"),
        pytest.param({"changeinOpenInterest": 1001}, "cannot be", ["prev_oi"], id="0 less 1"),
        pytest.param({"change": 121}, "cannot be", ["prev_close"], id="a negative close"),
        pytest.param({"change": -2025}, "is inconsistent", ["prev_close"], id="not its percentage"),
        pytest.param(
            {"pchangeinOpenInterest": 900.0}, "is inconsistent", ["prev_oi"], id="nor this"
        ),
    ],
)
def test_a_wrong_number_costs_itself(
    changes: dict[str, Any], reason: str, without: list[str]
) -> None:
    good = [row(strike) for strike in FAR_STRIKES]

    result = read_nse_chains(body(row(CE=leg(**changes), PE=leg(side="PE")), *good))

    assert result.rejected == ()
    assert any(reason in remark for remark in result.remarks)
    [chain] = result.chains
    [found] = [one for one in chain.legs if one.key == (Decimal(22650), CALL)]
    usual = only_leg()
    assert [name for name in found._fields if getattr(found, name) is None] == [
        name for name in usual._fields if getattr(usual, name) is None or name in without
    ]


def test_a_percentage_of_a_price_of_a_few_ticks_proves_nothing() -> None:
    """From 0.15 to 0.10 is -33 percent; a stock of a few rupees has such prices at the money."""
    good = [row(strike) for strike in FAR_STRIKES]
    cheap = leg(lastPrice=0.1, change=-0.05, pChange=-50.0)

    result = read_nse_chains(body(row(CE=cheap, PE=leg(side="PE")), *good))

    [chain] = result.chains
    [found] = [one for one in chain.legs if one.key == (Decimal(22650), CALL)]
    assert (found.ltp, found.prev_close) == (0.1, pytest.approx(0.15))
    assert not any("inconsistent" in remark for remark in result.remarks)


def test_a_few_wrong_numbers_are_left_out_and_many_refuse_the_body() -> None:
    good = [row(strike) for strike in FAR_STRIKES]
    bad = [
        row(strike, CE=leg(strike, without=("openInterest",)))
        for strike in range(22000, 22400, 100)
    ]
    result = read_nse_chains(body(*good, *bad[:3]))
    assert result.remarks == ("openInterest is missing: left out in 3 legs",)
    assert kind_of(body(*good, *bad)) is FailureKind.RENAMED_FIELD


def test_the_symbol_may_hold_signs() -> None:
    def stock(side: str) -> dict[str, Any]:
        return leg(
            3100,
            side,
            underlying="M&M",
            identifier=f"OPTSTKM&M15-09-2026{side}3100.00",
            underlyingValue=3120.0,
        )

    result = chain(row(3100, CE=stock("CE"), PE=stock("PE")), underlyingValue=3120.0)
    assert result.underlying == "M&M"


class TestBesideTheRows:
    @pytest.mark.parametrize("result", [None, "", "soon", 5, "31-Feb-2026 15:30:00", "11-Sep-2026"])
    def test_without_a_stamp_there_is_a_remark(self, result: Any) -> None:
        read = read_nse_chains(body(row(), timestamp=result))
        assert read.chains[0].exchange_time is None
        assert read.remarks[0].startswith("timestamp beside the rows")

    @pytest.mark.parametrize("result", [None, 0, -5, "n/a", float("inf")])
    def test_without_a_level_that_of_the_legs_counts(self, result: Any) -> None:
        read = read_nse_chains(body(row(), underlyingValue=result))
        assert read.chains[0].spot == SPOT
        assert read.remarks[0].startswith("underlyingValue beside the rows")

    def test_without_any_level_the_chain_has_none(self) -> None:
        bare = row(CE=leg(without=("underlyingValue",)))
        read = read_nse_chains(body(bare, underlyingValue=0))
        assert read.chains[0].spot is None

    def test_levels_that_disagree_are_refused(self) -> None:
        assert kind_of(body(row(), underlyingValue=SPOT * 2)) is FailureKind.CONTRADICTION


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        pytest.param({}, FailureKind.EMPTY_OBJECT, id="shut out"),
        pytest.param({"records": {}, "filtered": {}}, FailureKind.EMPTY_OBJECT, id="empty parts"),
        pytest.param([], FailureKind.EMPTY_LIST, id="empty list"),
        pytest.param(body(), FailureKind.EMPTY_LIST, id="no rows"),
        pytest.param(None, FailureKind.NOT_A_CHAIN, id="null"),
        pytest.param("busy", FailureKind.NOT_A_CHAIN, id="text"),
        pytest.param({"marketState": [1]}, FailureKind.NOT_A_CHAIN, id="another answer"),
        pytest.param(
            {"expiryDates": [TUESDAY], "strikePrice": ["1"]},
            FailureKind.NOT_A_CHAIN,
            id="contracts",
        ),
        pytest.param(body(data={"a": 1}), FailureKind.RETYPED_FIELD, id="rows in an object"),
        pytest.param(body(data=None), FailureKind.RETYPED_FIELD, id="null for rows"),
        pytest.param(
            {"records": {"rows": [row()], "timestamp": "x"}},
            FailureKind.RENAMED_FIELD,
            id="renamed",
        ),
    ],
)
def test_bodies_without_a_chain_are_refused_by_name(document: Any, kind: FailureKind) -> None:
    assert kind_of(document) is kind


class TestWhatWasAskedFor:
    def test_is_the_reported_one(self) -> None:
        result = read_nse_chains(body(row()), "NIFTY", EXPIRY)
        assert result.chains == (chain(row()),)

    def test_another_symbol_is_another_chain(self) -> None:
        assert kind_of(body(row()), "BANKNIFTY") is FailureKind.OTHER_CHAIN

    def test_another_expiry_is_another_chain(self) -> None:
        assert kind_of(body(row()), "NIFTY", date(2026, 9, 22)) is FailureKind.OTHER_CHAIN

    def test_a_few_legs_of_another_expiry_are_rejected(self) -> None:
        extra = leg(day="22-09-2026", identifier="OPTIDXNIFTY22-09-2026CE22650.00")
        rows = [
            {"strikePrice": 22650, "expiryDates": "22-Sep-2026", "CE": extra},
            row(),
            row(22700),
        ]
        result = read_nse_chains(body(*rows), "NIFTY", EXPIRY)
        assert [one.expiry for one in result.chains] == [EXPIRY]
        assert [aside.reason for aside in result.rejected] == ["expiry 2026-09-22, not 2026-09-15"]


class TestExpiries:
    def test_are_listed_nearest_first(self) -> None:
        result = {"expiryDates": ["27-Oct-2026", TUESDAY, TUESDAY], "strikePrice": ["22650"]}
        assert read_nse_expiries(result) == (EXPIRY, date(2026, 10, 27))

    @pytest.mark.parametrize(
        ("result", "kind"),
        [
            ({}, FailureKind.NOT_A_CHAIN),
            ([], FailureKind.NOT_A_CHAIN),
            ({"expiryDates": []}, FailureKind.EMPTY_LIST),
            ({"expiryDates": ["soon"]}, FailureKind.RETYPED_FIELD),
            ({"expiryDates": [5]}, FailureKind.RETYPED_FIELD),
        ],
    )
    def test_that_cannot_be_read_are_refused(self, result: Any, kind: FailureKind) -> None:
        with pytest.raises(ChainError) as refused:
            read_nse_expiries(result)
        assert refused.value.kind is kind


IDENTIFIERS = st.builds(
    "OPTIDX{}{}{}{}".format,
    st.sampled_from(["NIFTY", "BANKNIFTY", ""]),
    st.from_regex(r"\d{1,4}-(\d{2}|Sep)-\d{2,4}", fullmatch=True),
    st.sampled_from(["CE", "PE"]),
    st.from_regex(r"\d{1,13}(\.\d{1,9})?", fullmatch=True),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | IDENTIFIERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
NAMES = st.sampled_from([*leg(), "new"])


@settings(max_examples=200)
@given(st.dictionaries(NAMES, JSON, max_size=3), JSON, JSON)
def test_whatever_comes_only_chain_faults_are_raised(
    changes: dict[str, Any], strike: Any, beside: Any
) -> None:
    broken = {"expiryDates": TUESDAY, "strikePrice": strike, "CE": leg(**changes), "PE": beside}
    try:
        result = read_nse_chains(body(row(), broken, beside, underlyingValue=beside))
    except ChainError:
        return
    for one in result.chains[0].legs:
        assert one.oi is not None
        assert one.oi >= 0
        assert one.ltp is None or 0 < one.ltp < 1e9


@pytest.mark.parametrize("blanked", ["records", "filtered"])
def test_own_figures_of_the_provider_that_differ_in_the_repetition_cost_no_leg(
    blanked: str,
) -> None:
    whole = body(row(), row(22700))
    blank = [row(CE=leg(impliedVolatility=0)), row(22700)]
    part = {**whole[blanked], "data": blank}

    result = read_nse_chains({**whole, blanked: part})

    assert [one.strike for one in result.chains[0].legs] == [22650, 22650, 22700, 22700]
    assert result.chains[0].legs[0].provider_iv == (None if blanked == "records" else 0.1431)
    assert "own figures of 1 legs come in several rows" in result.remarks[-1]
