"""Rows of Upstox's put-call chain become a chain, its contracts instruments."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstox_rows import NIFTY_KEY, SPOT, contract, row, side

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainLeg,
    ChainSource,
    OptionType,
    QuantityUnit,
)
from data_fetch.core.failures import FailureKind
from data_fetch.sources.upstox.chain_rows import (
    INDEX_SYMBOLS,
    read_upstox_chain,
    read_upstox_contracts,
)

EXPIRY = date(2026, 9, 15)
# Where calls and puts need not go together, because all of them cost the same here.
FAR_STRIKES = range(15000, 17000, 100)
GREEKS = ("iv", "delta", "gamma", "theta", "vega")


def chain(*rows: Any) -> Chain:
    result = read_upstox_chain(list(rows))
    assert (result.rejected, result.remarks) == ((), ())
    (only,) = result.chains
    return only


def only_call(**changes: Any) -> ChainLeg:
    return chain(row(call_options=side(**changes), pcr=None)).legs[0]


def reasons(*rows: Any) -> list[str]:
    """Why legs of a response with many good ones beside *rows* were rejected."""
    result = read_upstox_chain([*rows, *map(row, FAR_STRIKES)])
    return [aside.reason for aside in result.rejected]


def kind_of(rows: Any, *args: Any, **more: Any) -> FailureKind:
    with pytest.raises(ChainError) as refused:
        read_upstox_chain(rows, *args, **more)
    return refused.value.kind


def test_a_row() -> None:
    result = chain(row())
    assert (result.underlying, result.expiry, result.source) == (
        "NIFTY",
        EXPIRY,
        ChainSource.UPSTOX,
    )
    assert (result.spot, result.unit, result.exchange_time) == (SPOT, QuantityUnit.SHARES, None)
    call, put = result.legs
    assert call == ChainLeg(
        strike=Decimal(22650),
        option_type=OptionType.CALL,
        live_key="NSE_FO|226500",
        ltp=120.5,
        prev_close=140.75,
        bid=120.4,
        bid_qty=390,
        ask=120.6,
        ask_qty=65,
        volume=325000.0,
        oi=65000.0,
        prev_oi=58500.0,
        provider_iv=0.1431,
        provider_delta=0.52,
        provider_gamma=0.001,
        provider_theta=-9.5,
        provider_vega=11.0,
    )
    assert (put.option_type, put.live_key) == (OptionType.PUT, "NSE_FO|226501")


def test_greeks_without_a_volatility_were_not_computed() -> None:
    """A deep option has a delta of exactly 1 and an iv of 0: that is no number at all."""
    deep = only_call(greeks={"iv": 0, "delta": 1, "gamma": 0, "theta": 0, "vega": 0})
    assert [getattr(deep, f"provider_{greek}") for greek in GREEKS] == [None] * 5


@pytest.mark.parametrize(
    ("market", "value", "expected"),
    [
        pytest.param({"ltp": 0, "oi": 0}, "ltp", None, id="never traded"),
        pytest.param({"close_price": 0}, "prev_close", None, id="no previous close"),
        pytest.param({"bid_price": 0, "bid_qty": 0}, "bid", None, id="no bid"),
        pytest.param({"bid_qty": 390.0}, "bid_qty", 390, id="quantity with a point"),
        pytest.param({"oi": 1350}, "oi", 1350.0, id="whole open interest"),
        pytest.param({"volume": "50"}, "volume", 50.0, id="volume as text"),
    ],
)
def test_what_numbers_mean(market: dict[str, Any], value: str, expected: Any) -> None:
    found = getattr(only_call(**market), value)
    assert found == expected
    assert type(found) is type(expected)


class TestSides:
    @pytest.mark.parametrize(
        "missing",
        [
            pytest.param(None, id="null"),
            pytest.param({"instrument_key": None, "market_data": None}, id="empty"),
            pytest.param(
                {"market_data": {"ltp": 0, "oi": 0.0}, "option_greeks": {"iv": 0}}, id="zeros"
            ),
        ],
    )
    def test_that_are_not_there(self, missing: Any) -> None:
        result = chain(row(call_options=missing))
        assert [leg.option_type for leg in result.legs] == [OptionType.PUT]

    def test_may_be_left_out(self) -> None:
        result = row()
        del result["put_options"]
        assert [leg.option_type for leg in chain(result).legs] == [OptionType.CALL]


def test_the_order_of_rows_does_not_matter() -> None:
    result = chain(row(22700.0), row(22600.0), row("22650.50"))
    assert [str(leg.strike) for leg in result.legs[::2]] == ["22600", "22650.5", "22700"]


def test_equal_rows_are_one_and_differing_ones_none() -> None:
    assert chain(row(), row()) == chain(row())
    other = row(call_options=side(226500, oi=650.0), pcr=None)
    assert reasons(row(), other) == ["several rows that contradict each other"]


class TestNames:
    @pytest.mark.parametrize(("key", "symbol"), INDEX_SYMBOLS.items())
    def test_of_indices_are_known(self, key: str, symbol: str) -> None:
        assert chain(row(underlying_key=key)).underlying == symbol

    def test_of_shares_are_their_keys_unless_given(self) -> None:
        rows = [row(underlying_key="NSE_EQ|INE002A01018")]
        assert chain(*rows).underlying == "NSE_EQ|INE002A01018"
        assert read_upstox_chain(rows, "RELIANCE").chains[0].underlying == "RELIANCE"


@pytest.mark.parametrize("key", ["BSE_INDEX|SENSEX", "BSE_EQ|INE002A01018", "MCX_FO|430268"])
def test_chains_of_other_exchanges_are_refused(key: str) -> None:
    """Their expiries end at other times than those of NSE."""
    with pytest.raises(ChainError, match="another exchange") as refused:
        read_upstox_chain([row(underlying_key=key)])
    assert (refused.value.kind, key in str(refused.value)) == (FailureKind.OTHER_CHAIN, True)


class TestWhatWasAskedFor:
    def test_is_the_reported_one(self) -> None:
        result = read_upstox_chain([row()], "NIFTY", EXPIRY, underlying_key=NIFTY_KEY)
        assert result.chains == (chain(row()),)

    @pytest.mark.parametrize(
        "requested",
        [
            pytest.param({"underlying": "BANKNIFTY"}, id="symbol"),
            pytest.param({"expiry": date(2026, 9, 22)}, id="expiry"),
            pytest.param({"underlying_key": "NSE_INDEX|Nifty Bank"}, id="key"),
        ],
    )
    def test_anything_else_is_another_chain(self, requested: dict[str, Any]) -> None:
        assert kind_of([row()], **requested) is FailureKind.OTHER_CHAIN


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"greeks": {"delta": -0.5}}, "delta -0.5 of a CE", id="delta of a put"),
        pytest.param({"token": "x"}, "instrument_key", id="key"),
    ],
)
def test_legs_that_cannot_be_true_are_rejected(changes: dict[str, Any], reason: str) -> None:
    result = reasons(row(call_options=side(**{"token": 7, **changes})))
    assert result
    assert all(reason in each for each in result)


@pytest.mark.parametrize(
    ("changes", "reason", "without"),
    [
        pytest.param({"ltp": None}, "ltp is null", "ltp", id="null"),
        pytest.param({"ltp": "n/a"}, "ltp is 'n/a'", "ltp", id="text"),
        pytest.param({"oi": None}, "oi is null", "oi", id="no open interest"),
        pytest.param({"oi": -25}, "oi -25 cannot be", "oi", id="negative"),
        pytest.param({"ltp": float("nan")}, "ltp is nan", "ltp", id="no number"),
        pytest.param({"ltp": 5e-324}, "ltp 4.94066e-324 cannot be", "ltp", id="denormal"),
        pytest.param({"bid_price": 0.009}, "0.009 cannot be", "bid", id="below any tick"),
        pytest.param({"ltp": 40000}, "above any", "ltp", id="a call dearer than the index"),
        pytest.param({"bid_qty": 0.5}, "not a whole number", "bid_qty", id="half a share"),
        pytest.param({"greeks": {"delta": 1.5}}, "delta 1.5 cannot", "provider_delta", id="delta"),
        pytest.param({"oi": 650000.0}, "is inconsistent with", "oi", id="ten times the ratio"),
        pytest.param({"oi": 32500.0}, "is inconsistent with", "oi", id="half of the ratio"),
    ],
)
def test_a_wrong_number_costs_itself(changes: dict[str, Any], reason: str, without: str) -> None:
    result = read_upstox_chain([row(call_options=side(**changes)), *map(row, FAR_STRIKES)])

    assert result.rejected == ()
    assert any(reason in remark for remark in result.remarks)
    [found] = [
        leg
        for leg in result.chains[0].legs
        if leg.strike == 22650 and leg.option_type is OptionType.CALL
    ]
    assert getattr(found, without) is None


def test_two_legs_under_one_key_are_both_doubtful() -> None:
    twins = row(call_options=side(7), put_options=side(7, call=False))
    assert reasons(twins) == ["several rows that contradict each other"] * 2


def test_the_same_under_one_key_on_two_days_is_doubtful_too() -> None:
    result = read_upstox_chain([row(), row(22700, expiry="2026-09-29", call_options=side(226500))])
    assert {aside.name for aside in result.rejected} == {
        "2026-09-15 22650 CE",
        "2026-09-29 22700 CE",
    }


def test_a_ratio_counts_only_after_enough_comparisons() -> None:
    result = read_upstox_chain([row(pcr=7.0)])
    assert len(result.chains[0].legs) == 2
    assert result.remarks == ("oi is inconsistent with another field in 2 legs",)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        pytest.param([], FailureKind.EMPTY_LIST, id="an expiry that is not listed"),
        pytest.param(None, FailureKind.NOT_A_CHAIN, id="null"),
        pytest.param({"candles": []}, FailureKind.NOT_A_CHAIN, id="candles"),
        pytest.param([contract()], FailureKind.NOT_A_CHAIN, id="contracts"),
        pytest.param(["2026-09-15"], FailureKind.NOT_A_CHAIN, id="expiries"),
        pytest.param(
            [row(call_options=None, put_options=None)], FailureKind.EMPTY_LIST, id="no side at all"
        ),
    ],
)
def test_responses_without_a_chain_are_refused_by_name(rows: Any, kind: FailureKind) -> None:
    assert kind_of(rows) is kind


@pytest.mark.parametrize("result", [None, 0, -1, "n/a"])
def test_without_a_spot_there_is_a_remark(result: Any) -> None:
    read = read_upstox_chain([row(underlying_spot_price=result)])
    assert read.chains[0].spot is None
    assert read.remarks[0].startswith("underlying_spot_price")


class TestContracts:
    def test_are_known_by_their_dated_keys(self) -> None:
        (result,), rejected = read_upstox_contracts([contract()])
        assert rejected == []
        assert (result.instrument_key, result.live_key) == (
            "NSE_FO|50978|29-12-2026",
            "NSE_FO|50978",
        )
        assert (result.expiry, result.strike) == (date(2026, 12, 29), Decimal("27000.5"))
        assert (result.lot_size, result.tick_size) == (65, Decimal("0.05"))
        assert (result.underlying_key, result.underlying_symbol) == (NIFTY_KEY, "NIFTY")

    @pytest.mark.parametrize(
        "bad", [None, 7, {}, contract(segment="BSE_FO"), contract(day="soon"), contract(lot_size=0)]
    )
    def test_that_cannot_be_true_are_rejected(self, bad: Any) -> None:
        good, rejected = read_upstox_contracts([bad, contract()])
        assert (len(good), len(rejected)) == (1, 1)

    def test_that_the_exchange_made_up_are_left_out(self) -> None:
        made_up = contract(7, name="011NSETEST")
        assert read_upstox_contracts([made_up]) == ([], [])

    def test_need_a_list(self) -> None:
        with pytest.raises(ChainError):
            read_upstox_contracts({"data": []})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from([*row(), "new"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from([*side()["market_data"], *GREEKS]), JSON, max_size=3),
    JSON,
)
def test_whatever_comes_only_chain_faults_are_raised(
    of_row: dict[str, Any], of_leg: dict[str, Any], extra: Any
) -> None:
    try:
        result = read_upstox_chain([row(), {**row(22700), **of_row}, side(**of_leg), extra])
    except ChainError:
        return
    for leg in result.chains[0].legs:
        assert leg.oi is not None
        assert leg.oi >= 0
        assert leg.ltp is None or 0 < leg.ltp < 1e9
