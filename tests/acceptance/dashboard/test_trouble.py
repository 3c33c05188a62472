"""An empty store, and one that goes away while a page is open and comes back."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page
from programs import Desk
from servers import reopen, shut


@pytest.mark.long
def test_a_page_says_what_to_do_and_mends_by_itself(
    open_page: Callable[..., Page],
    dashboard_of: Callable[[Desk], AbstractContextManager[str]],
    tmp_path: Path,
    empty_postgres_url: str,
) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper", DATABASE_URL=empty_postgres_url)
    with dashboard_of(desk) as url:
        page = open_page(url)
        to_start = page.get_by_text("Start collecting: data-fetch run").first
        to_start.wait_for()

        shut(empty_postgres_url)
        page.get_by_text("is not currently accepting connections").first.wait_for()

        reopen(empty_postgres_url)
        to_start.wait_for()
