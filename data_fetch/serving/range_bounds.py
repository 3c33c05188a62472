"""Ranges are bounded before any work begins: by the rows that they can have at most."""

from datetime import date
from http import HTTPStatus

from data_fetch.serving.problems import Refusal

# About ten years of one stock's minutes.
MOST_ROWS = 1_000_000
MINUTES_A_DAY = 375
DAYS_A_WEEK, TRADING_DAYS_A_WEEK = 7, 5


def trading_days_at_most(first: date, last: date) -> int:
    """About how many days from *first* to *last*, both included, are trading days, at most."""
    weeks, rest = divmod((last - first).days + 1, DAYS_A_WEEK)
    return weeks * TRADING_DAYS_A_WEEK + min(rest, TRADING_DAYS_A_WEEK)


def refuse_too_large(cost: int, unit: str, then: str, limit: int = MOST_ROWS) -> None:
    """Raises Refusal (422) when a range of *cost*, counted in *unit*, is over the *limit*."""
    if cost <= limit:
        return
    raise Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "range_too_large",
        f"the range may have {cost:,} {unit}; the limit of one request is {limit:,}",
        then=then,
        cost=cost,
        limit=limit,
        unit=unit,
    )
