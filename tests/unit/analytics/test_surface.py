"""The volatility surface."""

from datetime import date
from math import exp

import pytest
from option_chains import AT, CALL, chain_of, leg, smile, smile_chain

from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.surface import surface
from data_fetch.core.market.calendar import MarketCalendar

CALENDAR = MarketCalendar.reviewed()
NEAR, FAR = date(2026, 9, 29), date(2026, 10, 27)
CHAINS = [
    smile_chain(forward=24_300.0, years=0.1129, rate=OWN.rate, expiry=FAR),
    smile_chain(forward=24_100.0, years=0.0361, rate=OWN.rate, expiry=NEAR),
]


def test_the_surface_has_the_smile_of_the_prices() -> None:
    found = surface(price_chains(CHAINS, AT, OWN, CALENDAR))

    assert [one.expiry for one in found.smiles] == [NEAR, FAR]
    near = found.smiles[0]
    assert near.atm_iv == pytest.approx(smile(24_100.0), abs=2e-3)
    for strike, iv in zip(near.strikes, near.ivs, strict=True):
        assert iv == pytest.approx(smile(strike), abs=2e-3)


def test_deltas_fall_with_the_strike() -> None:
    [near, _] = surface(price_chains(CHAINS, AT, OWN, CALENDAR)).smiles

    assert all(0 < delta < 1 for delta in near.deltas)
    assert list(near.deltas) == sorted(near.deltas, reverse=True)


def test_deltas_are_those_of_the_calls() -> None:
    """As the valuation of each call has them, without its discount."""
    priced = price_chains(CHAINS, AT, OWN, CALENDAR)
    [near, _] = surface(priced).smiles
    [chain] = [one for one in priced if one.chain.expiry == NEAR]
    assert chain.years is not None
    discount = exp(-OWN.rate * chain.years)
    of_legs = {
        float(leg.strike): numbers.delta / discount
        for leg, numbers in zip(chain.chain.legs, chain.numbers, strict=True)
        if leg.option_type is CALL and numbers.delta is not None
    }

    out_of_the_money = [
        (strike, delta)
        for strike, delta in zip(near.strikes, near.deltas, strict=True)
        if strike >= near.forward
    ]
    assert out_of_the_money
    for strike, delta in out_of_the_money:
        assert delta == pytest.approx(of_legs[strike], abs=1e-9)


def test_the_25_delta_point_by_hand() -> None:
    [near, _] = surface(price_chains(CHAINS, AT, OWN, CALENDAR)).smiles
    place = next(n for n, delta in enumerate(near.deltas) if delta < 0.25)
    (above, below), (high, low) = (
        near.deltas[place - 1 : place + 1],
        near.ivs[place - 1 : place + 1],
    )
    share = (above - 0.25) / (above - below)

    assert near.by_delta["25C"] == pytest.approx(high + share * (low - high))


def test_a_downside_skew_is_visible() -> None:
    """The smile falls with the strike: puts are more expensive than calls of the same distance."""
    [near, _] = surface(price_chains(CHAINS, AT, OWN, CALENDAR)).smiles

    assert near.risk_reversal is not None
    assert near.risk_reversal < 0
    assert near.butterfly is not None
    assert near.by_delta["25P"] > near.by_delta["50"] > near.by_delta["25C"]  # type: ignore[operator]


def test_nothing_is_extrapolated_beyond_the_strikes() -> None:
    few = smile_chain(
        forward=24_100.0, years=0.0361, rate=OWN.rate, strikes=(24_050, 24_100, 24_150)
    )

    [only] = surface(price_chains([few], AT, OWN, CALENDAR)).smiles

    assert only.by_delta["50"] is not None
    assert only.by_delta["10P"] is None
    assert (only.risk_reversal, only.butterfly) == (None, None)


def test_an_expiry_without_a_smile_is_listed() -> None:
    bare = chain_of([leg(24_000, CALL, oi=5.0)], expiry=FAR)

    found = surface(price_chains([CHAINS[1], bare], AT, OWN, CALENDAR))

    assert [one.expiry for one in found.smiles] == [NEAR]
    assert found.left_out == ((FAR, 0),)
