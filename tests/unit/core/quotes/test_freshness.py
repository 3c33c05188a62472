"""The age of quotes, in minutes in which the market traded."""

from datetime import datetime

import pytest

from data_fetch.core.clock import IST
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.market.calendar import F_AND_O_STOCK, MarketCalendar
from data_fetch.core.quotes.freshness import Judgement, judge
from data_fetch.core.quotes.quotes import Movement

CALENDAR = MarketCalendar.reviewed()
RULES = FreshnessRules(stale_after=5, frozen_after=3)


def movement(slots: int, price: float = 0.0, volume: int = 0) -> Movement:
    """A symbol whose quotes moved by so much over so many slots."""
    return Movement(
        slots=slots,
        lowest_price=100.0,
        highest_price=100.0 + price,
        lowest_volume=5000,
        highest_volume=5000 + volume,
    )


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def judged(
    now: str,
    last_quote: str | None,
    moved: Movement | None = None,
    index_moved: bool = True,
) -> Judgement:
    return judge(
        "TCS",
        now=ist(now),
        group=F_AND_O_STOCK,
        calendar=CALENDAR,
        rules=RULES,
        last_quote=ist(last_quote) if last_quote else None,
        movement=moved,
        index_moved=index_moved,
    )


@pytest.mark.parametrize(
    ("now", "last_quote", "state", "minutes"),
    [
        pytest.param("2026-07-01 11:00:20", "2026-07-01 11:00:01", "fresh", 0, id="just collected"),
        pytest.param("2026-07-01 11:05:20", "2026-07-01 11:00:01", "fresh", 4, id="four minutes"),
        pytest.param("2026-07-01 11:06:20", "2026-07-01 11:00:01", "fresh", 5, id="five minutes"),
        pytest.param("2026-07-01 11:07:20", "2026-07-01 11:00:01", "stopped", 6, id="six minutes"),
        pytest.param("2026-07-01 11:07:20", None, "never_seen", None, id="nothing ever"),
        pytest.param(
            "2026-07-01 09:16:20", "2026-06-30 15:30:00", "fresh", 1, id="the night does not count"
        ),
        pytest.param(
            "2026-01-27 09:17:20", "2026-01-23 15:30:01", "fresh", 2, id="nor a long weekend"
        ),
        pytest.param(
            "2026-07-01 20:00:00", "2026-07-01 11:00:00", "market_closed", 270, id="at night"
        ),
        pytest.param(
            "2026-01-26 11:00:00", "2026-01-23 15:30:00", "market_closed", 0, id="on a holiday"
        ),
        pytest.param(
            "2026-09-16 15:25:00", "2026-09-16 15:15:00", "market_closed", 0, id="in the auction"
        ),
    ],
)
def test_freshness_counts_trading_minutes(
    now: str, last_quote: str | None, state: str, minutes: int | None
) -> None:
    judgement = judged(now, last_quote)

    assert (judgement.state, judgement.minutes) == (state, minutes)


@pytest.mark.parametrize(
    ("moved", "index_moved", "state"),
    [
        pytest.param(movement(3), True, "frozen", id="unchanged while the index moves"),
        pytest.param(movement(3), False, "fresh", id="the whole market is unchanged"),
        pytest.param(movement(2), True, "fresh", id="not for long enough"),
        pytest.param(movement(3, volume=1), True, "fresh", id="a trade at the same price"),
        pytest.param(movement(3, price=0.05), True, "fresh", id="a new price"),
        pytest.param(None, True, "fresh", id="no row in those slots"),
    ],
)
def test_frozen_without_movement_while_the_index_moves(
    moved: Movement | None, index_moved: bool, state: str
) -> None:
    judgement = judged("2026-07-01 11:00:20", "2026-07-01 11:00:01", moved, index_moved)

    assert judgement.state == state
