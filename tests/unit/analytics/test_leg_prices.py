"""The price that is used for a leg."""

from typing import Any

import pytest
from option_chains import CALL, leg

from data_fetch.analytics.columns import LegColumns
from data_fetch.analytics.leg_prices import LegPrices, last_traded, quoted_or_traded
from data_fetch.core.chains.valuation import Reason


def only(choose: Any, given: dict[str, Any]) -> tuple[float | None, Reason | None]:
    found: LegPrices = choose(LegColumns.of([leg(100, CALL, **given)]))
    [price] = found.prices.tolist()
    return (None if price != price else price), found.reasons[0]


@pytest.mark.parametrize(
    ("given", "price", "reason"),
    [
        pytest.param(
            {"bid": 9.9, "ask": 10.1, "ltp": 12.0, "volume": 5},
            10.0,
            None,
            id="a narrow book is used before the last trade",
        ),
        pytest.param({"bid": 9.9, "ask": 10.1}, 10.0, None, id="a book without any trade"),
        pytest.param(
            {"bid": 0.05, "ask": 0.15}, 0.1, None, id="two ticks are narrow, however cheap"
        ),
        pytest.param(
            {"bid": 8.0, "ask": 12.0, "ltp": 9.0, "volume": 5},
            9.0,
            None,
            id="in a wide book today's trade is used",
        ),
        pytest.param(
            {"bid": 8.0, "ask": 12.0, "ltp": 13.0, "volume": 5},
            12.0,
            None,
            id="a trade above the ask is over: the ask",
        ),
        pytest.param(
            {"bid": 8.0, "ask": 12.0, "ltp": 7.0, "volume": 5},
            8.0,
            None,
            id="a trade below the bid is over: the bid",
        ),
        pytest.param(
            {"bid": 9.0, "ask": 11.0, "ltp": 7.0, "volume": 0},
            10.0,
            None,
            id="yesterday's trade: the middle of a book of 20 %",
        ),
        pytest.param(
            {"bid": 1.0, "ask": 529.0}, None, Reason.WIDE_QUOTE, id="1 to 529 is no price"
        ),
        pytest.param(
            {"bid": 1.0, "ask": 529.0, "ltp": 200.0, "volume": 0},
            None,
            Reason.WIDE_QUOTE,
            id="nor with a trade of yesterday",
        ),
        pytest.param({"ask": 12.0, "ltp": 9.0, "volume": 5}, 9.0, None, id="no bid: today's trade"),
        pytest.param(
            {"ask": 8.0, "ltp": 9.0, "volume": 5}, 8.0, None, id="offered below the last trade"
        ),
        pytest.param(
            {"bid": 10.0, "ltp": 9.0, "volume": 5}, 10.0, None, id="bid above the last trade"
        ),
        pytest.param({"ltp": 9.0, "volume": 5}, 9.0, None, id="no book at all"),
        pytest.param(
            {"ltp": 9.0, "volume": 0}, None, Reason.STALE_PRICE, id="a last price of an earlier day"
        ),
        pytest.param({"ltp": 9.0}, None, Reason.STALE_PRICE, id="not known to be traded today"),
        pytest.param({"oi": 500.0}, None, Reason.NO_PRICE, id="open interest and no price"),
        pytest.param({"ask": 12.0}, None, Reason.ONE_SIDED_BOOK, id="an offer alone is no price"),
        pytest.param({"bid": 12.0}, None, Reason.ONE_SIDED_BOOK, id="nor is a bid alone"),
        pytest.param(
            {"bid": 8.0, "ltp": 9.0, "volume": 0}, None, Reason.STALE_PRICE, id="a bid, and old"
        ),
        pytest.param({"bid": 10.0, "ask": 12.0}, 11.0, None, id="an untraded book of 18 %"),
        pytest.param(
            {"bid": 8.5, "ask": 11.5}, None, Reason.WIDE_QUOTE, id="an untraded book of 30 %"
        ),
        pytest.param(
            {"bid": 11.0, "ask": 10.0, "ltp": 10.5, "volume": 5},
            None,
            Reason.CROSSED_BOOK,
            id="a crossed book",
        ),
    ],
)
def test_our_own_price(given: dict[str, Any], price: float | None, reason: Reason | None) -> None:
    found, why = only(quoted_or_traded, given)

    assert (found, why) == (pytest.approx(price) if price else None, reason)


@pytest.mark.parametrize(
    ("given", "price", "reason"),
    [
        pytest.param({"bid": 9.9, "ask": 10.1, "ltp": 12.0}, 12.0, None, id="the book is not used"),
        pytest.param({"bid": 9.9, "ask": 10.1}, None, Reason.NO_PRICE, id="never traded"),
    ],
)
def test_the_providers_price_is_the_last_one(
    given: dict[str, Any], price: float | None, reason: Reason | None
) -> None:
    assert only(last_traded, given) == (price, reason)
