"""When a connection is renewed ahead of a session."""

from datetime import datetime

import pytest

from data_fetch.core.clock import IST
from data_fetch.core.feed.renewal import is_worn
from data_fetch.core.market.calendar import INDEX, MarketCalendar

# Wednesday 2026-09-16 is an ordinary day; 2026-09-19 is a Saturday.
CASES = {
    "of yesterday, half an hour ahead": ("2026-09-15 15:00", "2026-09-16 08:45", True),
    "of yesterday, earlier": ("2026-09-15 15:00", "2026-09-16 08:44", False),
    "of the night before the end": ("2026-09-16 03:29", "2026-09-16 09:14", True),
    "of the night after the end": ("2026-09-16 03:30", "2026-09-16 09:14", False),
    "of yesterday, in the session": ("2026-09-15 15:00", "2026-09-16 10:00", False),
    "over the week-end": ("2026-09-18 15:00", "2026-09-19 09:00", False),
}


@pytest.mark.parametrize(("opened", "now", "worn"), CASES.values(), ids=CASES)
def test_a_connection_from_before_the_end_of_tokens_is_renewed(
    opened: str, now: str, worn: bool
) -> None:
    instants = [datetime.fromisoformat(each).replace(tzinfo=IST) for each in (opened, now)]

    assert is_worn(*instants, MarketCalendar.reviewed(), {INDEX}) is worn
