"""What traders did at each strike."""

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
        pytest.param(12.0, 150.0, BuildUp.LONG_BUILD_UP, id="dearer, more open: buyers come"),
        pytest.param(8.0, 150.0, BuildUp.SHORT_BUILD_UP, id="cheaper, more open: sellers come"),
        pytest.param(12.0, 50.0, BuildUp.SHORT_COVERING, id="dearer, fewer open: sellers go"),
        pytest.param(8.0, 50.0, BuildUp.LONG_UNWINDING, id="cheaper, fewer open: buyers go"),
        pytest.param(10.0, 150.0, BuildUp.UNCHANGED, id="the price stood still"),
        pytest.param(12.0, 100.0, BuildUp.UNCHANGED, id="nobody came or went"),
    ],
)
def test_kinds(price: float, oi: float, kind: BuildUp) -> None:
    """From a price of 10 and open interest of 100."""
    chain = chain_of([leg(100, CALL, ltp=price, oi=oi)])

    [found] = build_up(chain, {(chain.legs[0].key): BaselineLeg(10.0, 100.0)})

    assert (found.kind, found.reason) == (kind, None)
    assert (found.price_change, found.oi_change) == (price - 10.0, oi - 100.0)


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        pytest.param({}, Reason.NO_BASELINE, id="a leg that was not there"),
        pytest.param({"ltp": 10.0}, Reason.NO_BASELINE, id="no open interest then"),
        pytest.param({"oi": 10.0}, Reason.NO_BASELINE, id="no price then"),
    ],
)
def test_without_a_baseline_there_is_no_kind(hint: dict[str, float], reason: Reason) -> None:
    now = chain_of([leg(100, CALL, ltp=12.0, oi=150.0)])
    before = baseline_of(chain_of([leg(100, CALL, **hint)] if hint else [leg(90, CALL)]))

    [found] = build_up(now, before)

    assert (found.kind, found.reason) == (None, reason)


def test_a_leg_that_has_no_price_now_says_so() -> None:
    chain = chain_of([leg(100, CALL, oi=150.0)])

    [found] = build_up(chain, {chain.legs[0].key: BaselineLeg(10.0, 100.0)})

    assert (found.kind, found.reason) == (None, Reason.NO_PRICE)


def test_the_provider_tells_the_previous_close_along() -> None:
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
