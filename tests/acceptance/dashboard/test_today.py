"""The page Today: what is collected now, and what is missing."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from programs import Desk


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_shows_what_is_stored(
    screen: Callable[..., Page], rehearsed: Desk, width: int, scheme: str
) -> None:
    page = screen("/", width, scheme)
    rows = rehearsed.json("status")["quotes"]["rows"]
    assert page.get_by_text("as of").is_visible()
    assert page.locator('[data-testid="stMetricValue"]').first.inner_text() == str(rows)
