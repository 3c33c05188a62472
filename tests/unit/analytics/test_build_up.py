"""Build-up: the change of price and open interest of each leg."""

import pytest
from option_chains import CALL, PUT, chain_of, leg

from data_fetch.analytics.build_up import (
    BaselineLeg,
    BuildUp,
    baseline_of,
    build_up,
    counts,
    previous_close,
)
from data_fetch.core.chains.valuation import Reason


@pytest.mark.parametrize(
    ("price", "oi", "kind"),
    [
        pytest.param(12.0, 150.0, BuildUp.LONG_BUILD_UP, id="price up, more open"),
        pytest.param(8.0, 150.0, BuildUp.SHORT_BUILD_UP, id="price down, more open"),
        pytest.param(12.0, 50.0, BuildUp.SHORT_COVERING, id="price up, fewer open"),
        pytest.param(8.0, 50.0, BuildUp.LONG_UNWINDING, id="price down, fewer open"),
        pytest.param(10.0, 150.0, BuildUp.UNCHANGED, id="the same price"),
        pytest.param(12.0, 100.0, BuildUp.UNCHANGED, id="the same open interest"),
    ],
)
def test_the_kind_follows_price_and_open_interest(price: float, oi: float, kind: BuildUp) -> None:
    """From a price of 10 and open interest of 100."""
    chain = chain_of([leg(100, CALL, ltp=price, oi=oi)])

    [found] = build_up(chain, {(chain.legs[0].key): BaselineLeg(10.0, 100.0)})

    assert (found.kind, found.reason) == (kind, None)
    assert (found.price_change, found.oi_change) == (price - 10.0, oi - 100.0)


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        pytest.param({}, Reason.NO_BASELINE, id="a leg that the baseline lacks"),
        pytest.param({"ltp": 10.0}, Reason.NO_BASELINE, id="no open interest in the baseline"),
        pytest.param({"oi": 10.0}, Reason.NO_BASELINE, id="no price in the baseline"),
    ],
)
def test_without_a_baseline_there_is_no_kind(earlier: dict[str, float], reason: Reason) -> None:
    now = chain_of([leg(100, CALL, ltp=12.0, oi=150.0)])
    before = baseline_of(chain_of([leg(100, CALL, **earlier)] if earlier else [leg(90, CALL)]))

    [found] = build_up(now, before)

    assert (found.kind, found.reason) == (None, reason)


def test_a_leg_without_a_price_has_that_reason() -> None:
    chain = chain_of([leg(100, CALL, oi=150.0)])

    [found] = build_up(chain, {chain.legs[0].key: BaselineLeg(10.0, 100.0)})

    assert (found.kind, found.reason) == (None, Reason.NO_PRICE)


def test_a_leg_without_open_interest_has_that_reason() -> None:
    chain = chain_of([leg(100, CALL, ltp=12.0)])

    [found] = build_up(chain, {chain.legs[0].key: BaselineLeg(10.0, 100.0)})

    assert (found.kind, found.reason) == (None, Reason.NO_OPEN_INTEREST)


def test_the_previous_close_is_a_baseline() -> None:
    chain = chain_of([leg(100, PUT, ltp=12.0, oi=150.0, prev_close=10.0, prev_oi=100.0)])

    [found] = build_up(chain, previous_close(chain))

    assert found.kind is BuildUp.LONG_BUILD_UP


def test_counts_by_side_and_kind() -> None:
    chain = chain_of(
        [
            leg(100, CALL, ltp=12.0, oi=150.0, prev_close=10.0, prev_oi=100.0),
            leg(110, CALL, ltp=13.0, oi=150.0, prev_close=10.0, prev_oi=100.0),
            leg(100, PUT, ltp=8.0, oi=150.0, prev_close=10.0, prev_oi=100.0),
            leg(110, PUT, ltp=8.0, oi=150.0),
        ]
    )

    found = counts(build_up(chain, previous_close(chain)))

    assert found == {"CE long_build_up": 2, "PE short_build_up": 1}
