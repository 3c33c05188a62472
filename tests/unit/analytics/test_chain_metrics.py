"""The metrics of a chain."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from option_chains import AT, CALL, PUT, chain_of, leg, smile, smile_chain

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.metrics import (
    ChainArrays,
    chain_metrics,
    exposure_by_leg,
    otm_smile,
    payout_curve,
)
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.cli.chain.ladder import footing
from data_fetch.core.chains.chains import Chain, ChainLeg, QuantityUnit
from data_fetch.core.chains.valuation import ChainSummary, Metric, PricedChain, Reason
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.reading.documents import metrics_document

CALENDAR = MarketCalendar.reviewed()
STRIKES = [90, 95, 100, 105, 110]
YEARS = 0.0361


def priced(chain: Chain) -> PricedChain:
    [found] = price_chains([chain], AT, OWN, CALENDAR)
    return found


def metrics(chain: Chain, lot_size: int | None = None) -> dict[str, Metric]:
    return chain_metrics(ChainArrays.of(priced(chain)), lot_size)


def with_oi(calls: list[Any], puts: list[Any], **values: Any) -> Chain:
    legs = [leg(k, CALL, oi=oi, volume=oi) for k, oi in zip(STRIKES, calls, strict=True)]
    legs += [leg(k, PUT, oi=oi, volume=oi) for k, oi in zip(STRIKES, puts, strict=True)]
    return chain_of(legs, spot=100.0, **values)


@pytest.mark.parametrize(
    ("calls", "puts", "name", "value"),
    [
        pytest.param([1, 2, 3, 4, 5], [5, 0, 5, 0, 5], "pcr_oi", 1.0, id="15 puts on 15 calls"),
        pytest.param([1, 2, 3, 4, 5], [5, 0, 5, 0, 5], "call_oi", 15.0, id="calls in all"),
        pytest.param(
            [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], "pcr_oi", 0.0, id="no put at all is a true 0"
        ),
        pytest.param([1, 2, 3, 4, 5], [9, 0, 5, 0, 5], "support", 90.0, id="most puts at 90"),
        pytest.param([1, 2, 9, 4, 5], [9, 0, 5, 0, 5], "resistance", 100.0, id="most calls at 100"),
        pytest.param(
            [1, 7, 7, 4, 5], [0, 8, 8, 0, 0], "resistance", 95.0, id="of equals the lower"
        ),
        pytest.param([1, 7, 7, 4, 5], [0, 8, 8, 0, 0], "pcr_volume", 16 / 24, id="by volume"),
        pytest.param([0, 10, 20, 30, 0], [0, 30, 20, 10, 0], "max_pain", 100.0, id="by hand: 100"),
        pytest.param(
            [0, 10, 0, 0, 0], [0, 0, 10, 0, 0], "max_pain", 95.0, id="of equals the lowest"
        ),
        pytest.param(
            [1.5, 0, 0, 0, 0], [3.0, 0, 0, 0, 0], "pcr_oi", 2.0, id="fractions of contracts"
        ),
    ],
)
def test_metrics_by_name(calls: list[Any], puts: list[Any], name: str, value: float) -> None:
    assert metrics(with_oi(calls, puts))[name].value == pytest.approx(value)


@pytest.mark.parametrize(
    ("calls", "puts", "name", "reason"),
    [
        pytest.param([0] * 5, [1] * 5, "pcr_oi", Reason.NO_CALLS, id="nothing to divide by"),
        pytest.param([0] * 5, [1] * 5, "pcr_volume", Reason.NO_CALLS, id="by volume neither"),
        pytest.param(
            [0] * 5, [0] * 5, "pcr_oi", Reason.NO_OPEN_INTEREST, id="nothing on either side"
        ),
        pytest.param([0] * 5, [0] * 5, "pcr_volume", Reason.NO_VOLUME, id="nothing traded"),
        pytest.param(
            [0] * 5,
            [0] * 5,
            "max_pain",
            Reason.NO_OPEN_INTEREST,
            id="no open interest on either side",
        ),
        pytest.param([0] * 5, [1] * 5, "resistance", Reason.NO_OPEN_INTEREST, id="no wall above"),
        pytest.param([1] * 5, [1] * 5, "straddle", Reason.NO_PRICE, id="no price at the money"),
        pytest.param([1] * 5, [1] * 5, "atm_iv", Reason.NO_PRICE, id="no volatility"),
    ],
)
def test_a_missing_metric_has_a_reason(
    calls: list[Any], puts: list[Any], name: str, reason: Reason
) -> None:
    found = metrics(with_oi(calls, puts))[name]

    assert (found.value, found.reason) == (None, reason)


def test_every_metric_counts_the_legs_it_is_computed_from() -> None:
    found = metrics(with_oi([1, None, 3, 4, None], [1, 1, 1, 1, 1]))

    assert (found["call_oi"].used, found["call_oi"].of) == (3, 5)
    assert (found["pcr_oi"].used, found["pcr_oi"].of) == (8, 10)
    assert (found["max_pain"].used, found["max_pain"].of) == (8, 10)


def test_the_payout_curve_is_what_writers_pay_at_each_close() -> None:
    chain = chain_of(
        [
            *(leg(k, CALL, oi=oi) for k, oi in ((100, 10), (110, 20), (120, 30))),
            *(leg(k, PUT, oi=oi) for k, oi in ((100, 30), (110, 20), (120, 10))),
        ]
    )

    assert payout_curve(priced(chain)) == [(100.0, 400.0), (110.0, 200.0), (120.0, 400.0)]


open_interest = st.lists(st.integers(0, 10_000), min_size=5, max_size=5)


@given(calls=open_interest, puts=open_interest)
def test_no_strike_costs_writers_less_than_max_pain(calls: list[int], puts: list[int]) -> None:
    """Compared with the definition in plain Python."""

    def cost(close: float) -> float:
        return sum(
            call * max(close - strike, 0) + put * max(strike - close, 0)
            for strike, call, put in zip(STRIKES, calls, puts, strict=True)
        )

    chosen = metrics(with_oi(calls, puts))["max_pain"].value

    if chosen is None:
        assert not any(calls) and not any(puts)  # noqa: PT018
    else:
        assert cost(chosen) == min(map(cost, STRIKES))


@given(calls=open_interest, puts=open_interest, lot=st.integers(1, 2000))
def test_ratios_and_strikes_do_not_depend_on_the_unit(
    calls: list[int], puts: list[int], lot: int
) -> None:
    contracts = metrics(with_oi(calls, puts, unit=QuantityUnit.CONTRACTS))
    shares = metrics(with_oi([c * lot for c in calls], [p * lot for p in puts]))

    for name in ("max_pain", "support", "resistance"):
        assert contracts[name].value == shares[name].value
    assert contracts["pcr_oi"].value == pytest.approx(shares["pcr_oi"].value)


def test_at_the_money_is_nearest_to_the_forward() -> None:
    chain = smile_chain(forward=24_160.0, years=YEARS, rate=OWN.rate, spot=24_040.0)

    found = metrics(chain)

    prices = {one.key: (one.bid or 0) + 0.05 for one in chain.legs}
    at_money = [one for one in chain.legs if float(one.strike) == 24_200]
    assert found["atm_strike"].value == 24_200
    assert found["straddle"].value == pytest.approx(sum(prices[one.key] for one in at_money))
    assert found["atm_iv"].value == pytest.approx(smile(24_160.0), abs=1e-4)


def test_gamma_exposure_by_hand() -> None:
    """One percent of the forward, times gamma, times shares: plus for calls, minus for puts."""
    chain = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate)
    found = priced(chain)
    forward = found.forward.value or 0
    by_hand = sum(
        (1 if one.option_type is CALL else -1) * (n.gamma or 0) * (one.oi or 0) * forward**2 / 100
        for one, n in zip(chain.legs, found.numbers, strict=True)
    )

    assert metrics(chain)["gamma_exposure"].value == pytest.approx(by_hand, rel=1e-9)


def test_gamma_exposure_of_contracts_needs_their_lot() -> None:
    chain = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate, unit=QuantityUnit.CONTRACTS)
    some = [one for one in chain.legs if one.option_type is CALL]
    calls = chain_of(some, unit=QuantityUnit.CONTRACTS)

    unknown = metrics(calls, None)["gamma_exposure"]
    one, lot = (metrics(calls, size)["gamma_exposure"].value for size in (1, 65))

    assert (unknown.value, unknown.reason) == (None, Reason.LOT_UNKNOWN)
    assert one is not None
    assert lot == pytest.approx(65 * one)


def test_exposure_of_a_leg_without_numbers_is_unknown() -> None:
    chain_arrays = ChainArrays.of(priced(with_oi([1] * 5, [1] * 5)))

    assert np.isnan(exposure_by_leg(chain_arrays, None)).all()


def test_an_expired_chain_still_has_its_open_interest() -> None:
    chain = with_oi([1, 2, 3, 4, 5], [5, 0, 5, 0, 5], expiry=AT.date().replace(day=1))

    found = metrics(chain)

    assert found["pcr_oi"].value == 1.0
    assert found["gamma_exposure"].reason is Reason.EXPIRED
    assert found["atm_iv"].reason is Reason.EXPIRED


def test_a_forward_outside_of_the_strikes_has_no_volatility() -> None:
    chain = smile_chain(
        forward=24_100.0, years=YEARS, rate=OWN.rate, strikes=(24_400, 24_500, 24_600)
    )

    found = metrics(chain)["atm_iv"]

    assert (found.value, found.used, found.reason) == (None, 3, Reason.OUTSIDE_STRIKES)


def test_a_chain_priced_at_its_close_is_expired() -> None:
    chain = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate)
    [at_close] = price_chains([chain], CALENDAR.expiry_close(chain.expiry).at, OWN, CALENDAR)

    found = chain_metrics(ChainArrays.of(at_close), None)["atm_iv"]

    assert (found.value, found.reason) == (None, Reason.EXPIRED)


def test_at_the_forwards_own_strike_the_smile_is_the_calls() -> None:
    chain = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate)
    own = priced(chain)
    at_forward = replace(own, forward=replace(own.forward, value=24_100.0))
    arrays = ChainArrays.of(at_forward)
    row = arrays.strikes.tolist().index(24_100.0)
    arrays.iv.call[row], arrays.iv.put[row] = 0.11, 0.22

    assert otm_smile(arrays)[row] == 0.11


def one_sided(side: Any) -> list[ChainLeg]:
    return [leg(strike, side, oi=1, volume=1) for strike in STRIKES]


@pytest.mark.parametrize("side", [CALL, PUT])
def test_a_chain_of_one_side_has_the_metrics_of_that_side(side: Any) -> None:
    found = metrics(chain_of(one_sided(side), spot=100.0))

    total, other = ("call_oi", "put_oi") if side is CALL else ("put_oi", "call_oi")
    wall, gone = ("resistance", "support") if side is CALL else ("support", "resistance")
    assert (found[total].value, found[wall].value) == (5, 90)
    for name in (other, gone, "pcr_oi", "max_pain"):
        assert (found[name].value, found[name].reason) == (None, Reason.NO_OPEN_INTEREST), name
    assert (found["pcr_volume"].value, found["pcr_volume"].reason) == (None, Reason.NO_VOLUME)


def test_missing_values_do_not_add_up_to_zero() -> None:
    found = metrics(with_oi([None] * 5, [1] * 5))

    assert (found["call_oi"].value, found["call_oi"].used) == (None, 0)
    assert found["call_oi"].reason is Reason.NO_OPEN_INTEREST
    assert found["put_oi"].value == 5
    assert found["pcr_oi"].value is None


@pytest.mark.parametrize("calls", [[None] * 5, [1] * 5], ids=["nothing", "calls only"])
def test_missing_open_interest_has_no_payout(calls: list[Any]) -> None:
    assert payout_curve(priced(with_oi(calls, [None] * 5))) == []


def test_without_open_interest_there_is_no_gamma_exposure() -> None:
    chain = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate)
    untold = chain_of([one._replace(oi=None) for one in chain.legs])

    found = metrics(untold)["gamma_exposure"]

    assert (found.value, found.used, found.reason) == (None, 0, Reason.NO_OPEN_INTEREST)


MISSING = {
    "call_oi": Reason.NO_OPEN_INTEREST,
    "put_oi": Reason.NO_OPEN_INTEREST,
    "pcr_oi": Reason.NO_OPEN_INTEREST,
    "call_volume": Reason.NO_VOLUME,
    "put_volume": Reason.NO_VOLUME,
    "pcr_volume": Reason.NO_VOLUME,
    "max_pain": Reason.NO_OPEN_INTEREST,
    "straddle": Reason.NO_PRICE,
    "atm_iv": Reason.NO_PRICE,
    "support": Reason.NO_OPEN_INTEREST,
    "resistance": Reason.NO_OPEN_INTEREST,
    "gamma_exposure": Reason.NO_OPEN_INTEREST,
}


def summary_of_nothing() -> ChainSummary:
    [summary] = summarise([Subject(priced(with_oi([None] * 5, [None] * 5)), AT, None)])
    return summary


def test_in_json_a_missing_metric_is_null_with_its_reason() -> None:
    document = metrics_document(summary_of_nothing())

    assert {name: document[name] for name in MISSING} == dict.fromkeys(MISSING)
    assert {name: document["inputs"][name]["reason"] for name in MISSING} == MISSING
    assert document["build_up"] == {}
    assert document["inputs"]["build_up"] == {"used": 0, "of": 10, "reason": Reason.NO_BASELINE}


def test_in_text_a_missing_metric_is_a_dash_with_its_reason() -> None:
    figures, _ = footing(summary_of_nothing(), None)

    assert figures == (
        "PCR by OI - (no_open_interest), by volume - (no_volume), "
        "max pain - (no_open_interest), ATM IV - (no_price), straddle - (no_price), "
        "support - (no_open_interest), resistance - (no_open_interest)"
    )
