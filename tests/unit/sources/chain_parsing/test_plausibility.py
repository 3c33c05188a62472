"""Numbers that read well and mean something else are noticed; honest ones raise no alarm."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from math import log, sqrt
from statistics import NormalDist
from typing import Any

import pytest

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainLeg,
    ChainSource,
    OptionType,
    QuantityUnit,
)
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.legs import LegGathering, is_many
from data_fetch.sources.chain_parsing.plausibility import (
    check_chains,
    check_totals,
    most_worth,
    possible_prices,
)
from data_fetch.sources.chain_parsing.values import FieldError

CALL, PUT = OptionType.CALL, OptionType.PUT
EXPIRY = date(2026, 9, 15)
SPOT, LOT, IV, YEARS = 22650.0, 65, 0.14, 0.02
STRIKES = range(21650, 23700, 100)


def premium(strike: float, side: OptionType) -> float:
    spread = IV * sqrt(YEARS)
    d1 = log(SPOT / strike) / spread + spread / 2
    below = NormalDist().cdf
    call = SPOT * below(d1) - strike * below(d1 - spread)
    return round(max(call if side is CALL else call - SPOT + strike, 0.05), 2)


def leg(strike: int, side: OptionType, lot: int = 1) -> ChainLeg:
    """An honest leg; *lot* is 1 where counts are contracts."""
    price = premium(strike, side)
    count = strike % 977 + (1 if side is CALL else 2)
    return ChainLeg(
        strike=Decimal(strike),
        option_type=side,
        ltp=price,
        prev_close=price * 1.1,
        bid=price * 0.99,
        bid_qty=LOT * (strike % 7 + 1),
        ask=price * 1.01,
        ask_qty=LOT * (strike % 5 + 1),
        volume=float(3 * count * lot),
        oi=float(count * lot),
        prev_oi=float((count + 7) * lot),
        provider_iv=IV,
    )


def honest(source: ChainSource = ChainSource.NSE, **changes: Any) -> Chain:
    shares = source is ChainSource.UPSTOX
    chain = Chain(
        underlying="NIFTY",
        expiry=EXPIRY,
        source=source,
        unit=QuantityUnit.SHARES if shares else QuantityUnit.CONTRACTS,
        spot=SPOT,
        exchange_time=None,
        legs=tuple(
            leg(strike, side, LOT if shares else 1) for strike in STRIKES for side in OptionType
        ),
    )
    return replace(chain, **changes)


def with_legs(chain: Chain, change: Callable[[ChainLeg], dict[str, Any]]) -> Chain:
    legs = [one._replace(**change(one)) for one in chain.legs]
    return replace(chain, legs=tuple(sorted(legs, key=lambda one: one.key)))


def times(name: str, factor: float) -> Callable[[ChainLeg], dict[str, Any]]:
    return lambda one: {name: getattr(one, name) * factor}


def kind_of(chain: Chain) -> str:
    with pytest.raises(ChainError) as refused:
        list(check_chains([chain]))
    assert refused.value.kind is FailureKind.UNIT_CHANGED
    return str(refused.value)


@pytest.mark.parametrize("source", ChainSource)
def test_an_honest_chain_raises_no_alarm(source: ChainSource) -> None:
    assert list(check_chains([honest(source)])) == []


NOTHING = {"ltp": 0.0, "bid": None, "ask": None, "volume": 0.0, "oi": 0.0}


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        pytest.param({}, False, id="nothing at all"),
        pytest.param({"prev_close": None, "prev_oi": 0.0, "provider_iv": 0.0}, False, id="zeros"),
        pytest.param({"bid": 0.05}, True, id="a book is something"),
        pytest.param({"oi": 65.0}, True, id="open interest of the day before"),
    ],
)
@pytest.mark.parametrize("source", ChainSource)
def test_a_chain_without_any_number_is_no_chain(
    source: ChainSource, left: dict[str, Any], kept: bool
) -> None:
    chain = with_legs(honest(source), lambda _: NOTHING | left)
    if kept:
        assert list(check_chains([chain]))
        return
    with pytest.raises(ChainError) as refused:
        list(check_chains([chain]))
    assert refused.value.kind is FailureKind.NO_NUMBERS


def test_a_new_expiry_may_be_without_numbers_beside_others() -> None:
    far = with_legs(honest(expiry=date(2027, 3, 30)), lambda _: NOTHING)

    assert list(check_chains([honest(), far])) == []


@pytest.mark.parametrize(
    "few",
    [
        pytest.param(slice(0, 1), id="one leg"),
        pytest.param(slice(0, 6), id="three strikes"),
        pytest.param(slice(0, 14), id="seven strikes"),
    ],
)
def test_a_short_chain_proves_nothing(few: slice) -> None:
    short = with_legs(honest(), lambda _: {"oi": 65.0, "ltp": 100.0, "provider_iv": None})
    assert list(check_chains([replace(short, legs=short.legs[few])])) == []


@pytest.mark.parametrize(
    ("change", "naming"),
    [
        pytest.param(times("ltp", 100), "lastPrice", id="paise"),
        pytest.param(times("ltp", 0.01), "lastPrice", id="hundreds of rupees"),
        pytest.param(times("prev_close", 100), "change", id="previous close in paise"),
        pytest.param(times("bid", 100), "bidprice", id="bid in paise"),
        pytest.param(times("ask", 0.01), "askPrice", id="ask in hundreds"),
        pytest.param(times("provider_iv", 0.01), "impliedVolatility", id="fraction for percent"),
        pytest.param(times("provider_iv", 100), "impliedVolatility", id="percent of percent"),
        pytest.param(times("oi", LOT), "openInterest is in shares", id="open interest in shares"),
        pytest.param(times("volume", LOT), "totalTradedVolume is in shares", id="volume in shares"),
    ],
)
def test_units_that_have_changed(change: Callable[[ChainLeg], dict[str, Any]], naming: str) -> None:
    assert naming in kind_of(with_legs(honest(), change))


@pytest.mark.parametrize("count", ["oi", "volume", "prev_oi"])
def test_contracts_for_shares(count: str) -> None:
    given = with_legs(honest(ChainSource.UPSTOX), times(count, 1 / LOT))
    assert f"{count} is in contracts" in kind_of(given)


def test_calls_for_puts() -> None:
    other = {CALL: PUT, PUT: CALL}
    swapped = with_legs(honest(), lambda one: {"option_type": other[one.option_type]})
    assert "lastPrice" in kind_of(swapped)


@pytest.mark.parametrize("factor", [0.01, 100])
def test_strikes_far_from_the_spot(factor: float) -> None:
    assert "strikes around" in kind_of(honest(spot=SPOT * factor))


def test_without_a_spot_the_prices_are_not_judged() -> None:
    assert list(check_chains([honest(spot=None)])) == []


@pytest.mark.parametrize(
    ("emptied", "named"),
    [("ltp", "lastPrice"), ("bid", "bidprice"), ("oi", "openInterest"), ("volume", "totalTraded")],
)
def test_a_number_that_no_leg_has_is_remarked_on(emptied: str, named: str) -> None:
    (remark,) = check_chains([with_legs(honest(), lambda _: {emptied: None})])
    assert remark.startswith(named)
    assert remark.endswith("is 0 or missing in all legs")


class TestWorth:
    @pytest.mark.parametrize(
        ("side", "price"),
        [
            pytest.param(CALL, 2 * SPOT, id="a call dearer than the index"),
            pytest.param(PUT, 200.0, id="a put dearer than its strike"),
        ],
    )
    def test_has_a_limit(self, side: OptionType, price: float) -> None:
        most, notes = most_worth(side, Decimal(100), SPOT), LegGathering()
        prices = {"lastPrice": price, "bidprice": 0.05, "askPrice": None}
        assert list(possible_prices(most, prices, "askPrice", notes)) == [None, 0.05, None]

    def test_is_not_an_ask_price(self) -> None:
        """An offer at many times the price is no error, only unlikely to be taken."""
        most = most_worth(PUT, Decimal(100), SPOT)
        prices = possible_prices(most, {"askPrice": 1500.0}, "askPrice", LegGathering())
        assert list(prices) == [1500.0]

    def test_of_a_call_is_not_known_without_a_spot(self) -> None:
        assert most_worth(CALL, Decimal(100), None) > 1e8


class TestTotals:
    def totals(self, chain: Chain, **off: float) -> dict[str, Any]:
        def total(side: OptionType, name: str) -> float:
            return sum(getattr(one, name) for one in chain.legs if one.option_type is side)

        return {
            side: {
                "totOI": total(side, "oi") + off.get(f"{side}_oi", 0),
                "totVol": total(side, "volume") + off.get(f"{side}_volume", 0),
            }
            for side in OptionType
        }

    def test_are_the_sums_of_the_legs(self) -> None:
        assert list(check_totals([honest()], self.totals(honest()), EXPIRY)) == []

    @pytest.mark.parametrize("off", ["CE_oi", "CE_volume", "PE_oi", "PE_volume"])
    @pytest.mark.parametrize("by", [1, -1, 1000])
    def test_that_differ_are_a_contradiction(self, off: str, by: int) -> None:
        with pytest.raises(ChainError) as refused:
            list(check_totals([honest()], self.totals(honest(), **{off: by}), EXPIRY))
        assert refused.value.kind is FailureKind.CONTRADICTION

    def test_may_count_legs_that_are_not_reported(self) -> None:
        puts = replace(honest(), legs=tuple(x for x in honest().legs if x.option_type is PUT))
        remarks = list(check_totals([puts], self.totals(honest()), EXPIRY))
        assert [remark.split()[0] for remark in remarks] == ["totOI", "totVol"]

    def test_of_an_unknown_expiry_are_only_remarked_on(self) -> None:
        assert len(list(check_totals([honest()], self.totals(honest(), CE_oi=5), None))) == 1

    @pytest.mark.parametrize("given", [{}, {"CE": None}, {"CE": {}}, {"CE": {"totOI": "many"}}])
    def test_that_are_not_reported_prove_nothing(self, given: dict[str, Any]) -> None:
        assert list(check_totals([honest()], given, EXPIRY)) == []


@pytest.mark.parametrize(
    ("count", "of", "many"),
    [
        (0, 0, False),
        (0, 10, False),
        (1, 1, True),
        (3, 3, True),
        (3, 4, False),
        (4, 40, True),
        (10, 200, False),
        (11, 200, True),
    ],
)
def test_how_many_bad_legs_are_many(count: int, of: int, many: bool) -> None:
    assert is_many(count, of) is many


class TestGathering:
    def gathered(self, legs: int) -> LegGathering:
        gathering = LegGathering()
        for strike in range(1, legs + 1):
            gathering.add(EXPIRY, ChainLeg(strike=Decimal(strike), option_type=CALL, oi=1.0))
        return gathering

    def test_the_most_frequent_failure_names_the_fault(self) -> None:
        gathering = self.gathered(5)
        for strike, kind in enumerate(
            [*[FailureKind.RENAMED_FIELD] * 4, FailureKind.RETYPED_FIELD]
        ):
            gathering.refuse(
                EXPIRY, Decimal(100 + strike), CALL, FieldError(kind, "oi", "oi is missing")
            )
        with pytest.raises(ChainError) as refused:
            gathering.settle(0)
        assert refused.value.kind is FailureKind.RENAMED_FIELD
        assert "oi is missing (4 of 10 legs)" in str(refused.value)

    def test_no_good_leg_is_no_chain(self) -> None:
        gathering = self.gathered(0)
        for strike, kind in enumerate((FailureKind.RENAMED_FIELD, FailureKind.RETYPED_FIELD)):
            gathering.refuse(EXPIRY, Decimal(100 + strike), CALL, FieldError(kind, "oi", "bad"))
        with pytest.raises(ChainError, match="bad"):
            gathering.settle(0)

    def test_no_leg_at_all_is_an_empty_list(self) -> None:
        with pytest.raises(ChainError) as refused:
            self.gathered(0).settle(0)
        assert refused.value.kind is FailureKind.EMPTY_LIST

    def test_what_legs_may_lack_is_counted(self) -> None:
        gathering = self.gathered(2)
        gathering.lacking("bidprice")
        gathering.lacking("bidprice")
        assert gathering.settle(0) == ["bidprice is missing in 2 legs"]


def test_the_honest_chain_is_priced_by_the_book() -> None:
    """Put-call parity, without which the other tests would prove little."""
    for strike in STRIKES:
        assert premium(strike, CALL) - premium(strike, PUT) == pytest.approx(SPOT - strike, abs=0.2)
