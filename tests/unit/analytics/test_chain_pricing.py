"""Pricing chains: every leg has values or a reason, never NaN and never 0 for a failure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from option_chains import AT, CALL, EXPIRY, PUT, chain_of, leg, smile, smile_chain

from data_fetch.analytics.chain_pricing import YEAR_SECONDS, price_chains
from data_fetch.analytics.conventions import CONVENTIONS, NSE, OWN, UPSTOX
from data_fetch.core.chains.chains import Chain, ChainLeg
from data_fetch.core.chains.valuation import ForwardMethod, LegValuation, PricedChain, Reason
from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import MarketCalendar

CALENDAR = MarketCalendar.reviewed()
# From 11:00 on 16 September to the close of derivatives, 15:40, on 29 September 2026.
YEARS = timedelta(days=13, hours=4, minutes=40).total_seconds() / YEAR_SECONDS
CHAIN = smile_chain(forward=24_100.0, years=YEARS, rate=OWN.rate)


def priced(chain: Chain, at: datetime | None = AT, convention: str = "own") -> PricedChain:
    [found] = price_chains([chain], at, CONVENTIONS[convention], CALENDAR)
    return found


def test_the_smile_of_the_prices_is_found_again() -> None:
    found = priced(CHAIN)

    assert found.forward.value == pytest.approx(24_100.0, abs=1e-6)
    assert found.forward.method is ForwardMethod.PARITY
    for one, numbers in zip(CHAIN.legs, found.numbers, strict=True):
        assert numbers.iv == pytest.approx(smile(float(one.strike)), abs=1e-7)
        assert numbers.reason is None


def test_a_call_and_a_put_at_one_strike_have_one_volatility() -> None:
    numbers = priced(CHAIN).numbers

    for call, put in zip(numbers[::2], numbers[1::2], strict=True):
        assert call.iv == pytest.approx(put.iv, abs=1e-7)
        assert call.gamma == pytest.approx(put.gamma, rel=1e-6)


def test_time_runs_to_the_close_of_the_expiry() -> None:
    found = priced(CHAIN)

    assert found.expires_at == datetime(2026, 9, 29, 10, 10, tzinfo=UTC)
    assert found.years == pytest.approx(YEARS)
    assert not found.provisional


@pytest.mark.parametrize(
    ("expiry", "closes", "provisional"),
    [
        pytest.param(date(2026, 7, 28), "2026-07-28T15:30", False, id="before August 2026"),
        pytest.param(date(2026, 8, 4), "2026-08-04T15:40", False, id="since August 2026"),
        pytest.param(date(2020, 5, 28), "2020-05-28T15:30", True, id="before the calendar"),
        pytest.param(date(2029, 12, 24), "2029-12-24T15:40", True, id="beyond the calendar"),
        pytest.param(date(2026, 10, 2), "2026-10-02T15:40", True, id="listed on a holiday"),
        pytest.param(date(2021, 11, 4), "2021-11-04T19:15", False, id="a Muhurat evening"),
    ],
)
def test_our_own_expiries_end_at_the_close_of_trading(
    expiry: date, closes: str, provisional: bool
) -> None:
    found = priced(replace(CHAIN, expiry=expiry), datetime(2020, 5, 1, tzinfo=UTC))

    assert found.expires_at == datetime.fromisoformat(closes).replace(tzinfo=IST)
    assert found.provisional is provisional
    assert any(numbers.iv is not None for numbers in found.numbers)


@pytest.mark.parametrize("convention", [NSE, UPSTOX], ids=lambda one: one.name)
def test_the_providers_end_every_expiry_at_half_past_three(convention: object) -> None:
    [found] = price_chains([CHAIN], AT, convention, CALENDAR)  # type: ignore[arg-type]

    assert found.expires_at == datetime(2026, 9, 29, 15, 30, tzinfo=IST)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        pytest.param(datetime(2026, 9, 29, 15, 40, tzinfo=IST), Reason.EXPIRED, id="at the close"),
        pytest.param(datetime(2026, 9, 30, 9, 15, tzinfo=IST), Reason.EXPIRED, id="the day after"),
        pytest.param(None, Reason.NO_CAPTURE_TIME, id="unknown time"),
    ],
)
def test_a_chain_that_cannot_be_priced_has_one_reason(at: datetime | None, reason: Reason) -> None:
    assert {numbers.reason for numbers in priced(CHAIN, at).numbers} == {reason}


def test_a_second_before_the_close_is_still_priced() -> None:
    last = datetime(2026, 9, 29, 15, 39, 59, tzinfo=IST)

    assert any(numbers.iv is not None for numbers in priced(CHAIN, last).numbers)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"bid": 998.9, "ask": 999.1}, Reason.BELOW_INTRINSIC, id="below intrinsic"),
        pytest.param({"bid": 26_000.0, "ask": 26_000.1}, Reason.ABOVE_MAXIMUM, id="dearer than F"),
        pytest.param({"oi": 5.0}, Reason.NO_PRICE, id="open interest and no price"),
        pytest.param({"ltp": 1_101.0, "volume": 0.0}, Reason.STALE_PRICE, id="not traded today"),
        pytest.param({"bid": 1.0, "ask": 529.0}, Reason.WIDE_QUOTE, id="a book that is too wide"),
    ],
)
def test_a_leg_without_a_volatility_has_a_reason_and_does_not_affect_others(
    given: dict[str, float], reason: Reason
) -> None:
    odd = leg(23_000, CALL, **given)
    others = [one for one in CHAIN.legs if one.key != odd.key]

    found = priced(chain_of([*others, odd]))

    by_key = {
        one.key: numbers for one, numbers in zip(found.chain.legs, found.numbers, strict=True)
    }
    assert by_key.pop(odd.key).reason is reason
    assert all(numbers.iv is not None for numbers in by_key.values())


def test_without_parity_the_spot_is_carried() -> None:
    calls = [one for one in CHAIN.legs if one.option_type is CALL]

    found = priced(chain_of(calls))

    assert found.forward.method is ForwardMethod.SPOT_CARRIED
    assert found.forward.value == pytest.approx(24_056.29, abs=0.5)


def test_without_parity_and_spot_there_is_no_forward() -> None:
    calls = [one for one in CHAIN.legs if one.option_type is CALL]

    found = priced(chain_of(calls, spot=None))

    assert {numbers.reason for numbers in found.numbers} == {Reason.NO_FORWARD}


def test_the_providers_own_greeks_are_not_used() -> None:
    given = {"provider_iv": 0.5, "provider_delta": 0.9, "provider_vega": 3.0}
    blanked = chain_of([one._replace(provider_iv=None) for one in CHAIN.legs])
    poisoned = chain_of([one._replace(**given) for one in CHAIN.legs])

    for convention in CONVENTIONS:
        assert priced(blanked, AT, convention).numbers == priced(poisoned, AT, convention).numbers


def test_several_expiries_are_priced_independently() -> None:
    later = smile_chain(forward=24_300.0, years=0.11, rate=OWN.rate, expiry=date(2026, 10, 27))

    together = price_chains([CHAIN, later], AT, OWN, CALENDAR)

    assert together == [priced(CHAIN), priced(later)]


numbers_told = st.none() | st.floats(0, 30_000) | st.sampled_from([0.0, 0.05, 1e9])
any_leg = st.builds(
    lambda strike, side, ltp, bid, ask, volume: leg(
        strike, side, ltp=ltp, bid=bid, ask=ask, volume=volume
    ),
    st.sampled_from([100, 12_000, 23_000, 24_000, 24_050, 25_000, 60_000]),
    st.sampled_from([CALL, PUT]),
    *[numbers_told] * 4,
)
any_chain = st.lists(any_leg, min_size=1, max_size=14, unique_by=lambda one: one.key)


@given(
    legs=any_chain,
    spot=st.none() | st.floats(1, 60_000),
    days=st.floats(-1, 2000),
    convention=st.sampled_from(list(CONVENTIONS)),
)
def test_each_leg_has_values_or_a_reason(
    legs: list[ChainLeg], spot: float | None, days: float, convention: str
) -> None:
    at = datetime(2026, 9, 29, 15, 30, tzinfo=IST) - timedelta(days=days)

    found = priced(chain_of(legs, spot=spot, expiry=EXPIRY), at, convention)

    assert len(found.numbers) == len(legs)
    for numbers in found.numbers:
        assert_whole(numbers)


def assert_whole(numbers: LegValuation) -> None:
    computed = numbers[1:7]
    if numbers.reason is None:
        assert numbers.iv is not None
        assert numbers.iv > 0
        assert all(value is not None and isfinite(value) for value in computed)
    else:
        assert computed == (None,) * 6
