"""The record of a chain, and the hash of its content."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from option_chains import CALL, PUT, chain_of, leg

from data_fetch.core.chains.chains import ChainLeg, QuantityUnit, content_hash, in_shares
from data_fetch.core.errors import BadRecord

CHAIN = chain_of([leg(24_000, CALL, ltp=10.5, oi=65.0), leg("24050.5", PUT, ltp=9.0, oi=130.0)])


def test_a_chain_has_a_leg() -> None:
    with pytest.raises(BadRecord, match="without a leg"):
        chain_of([])


@pytest.mark.parametrize("legs", [(1, 0), (0, 0)], ids=["out of order", "one twice"])
def test_legs_are_in_order_and_each_is_there_once(legs: tuple[int, ...]) -> None:
    with pytest.raises(BadRecord, match="twice, or out of order"):
        replace(CHAIN, legs=tuple(CHAIN.legs[n] for n in legs))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(
            {"exchange_time": datetime(2026, 9, 16, tzinfo=UTC)}, True, id="the timestamp"
        ),
        pytest.param({"spot": 24_000.05}, False, id="the spot"),
        pytest.param({"unit": QuantityUnit.CONTRACTS}, False, id="the unit"),
    ],
)
def test_the_hash_depends_on_content_and_not_on_the_timestamp(
    change: dict[str, object], same: bool
) -> None:
    assert (content_hash(replace(CHAIN, **change)) == content_hash(CHAIN)) is same  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [n for n in ChainLeg._fields if n not in {"live_key"}])
def test_any_change_of_a_leg_is_a_change_of_content(name: str) -> None:
    first, second = CHAIN.legs
    other = {"strike": Decimal("24000.5"), "option_type": PUT}.get(name, 77)

    changed = chain_of([first._replace(**{name: other}), second])  # type: ignore[arg-type]

    assert content_hash(changed) != content_hash(CHAIN)


def test_a_strike_is_the_same_however_it_is_written() -> None:
    assert content_hash(chain_of([leg("24000.00", CALL)])) == content_hash(
        chain_of([leg("24000", CALL)])
    )


@pytest.mark.parametrize(
    ("contracts", "lot", "shares"),
    [
        pytest.param(18, 65, 1170, id="whole contracts"),
        pytest.param(4.333333333333333, 75, 325, id="13 lots of 25, in lots of 75"),
        pytest.param(4.333333333333333, 65, None, id="a lot that does not fit"),
        pytest.param(0, 65, 0, id="none open"),
        pytest.param(None, 65, None, id="missing"),
        pytest.param(1e12, 10_000_000, None, id="more than a float can represent"),
    ],
)
def test_contracts_in_shares(contracts: float | None, lot: int, shares: int | None) -> None:
    assert in_shares(contracts, lot) == shares


@given(shares=st.integers(0, 10**9), lot=st.integers(1, 5000))
def test_shares_survive_division_by_the_lot(shares: int, lot: int) -> None:
    assert in_shares(shares / lot, lot) == shares


def test_an_expiry_is_a_date() -> None:
    assert CHAIN.expiry == date(2026, 9, 29)
