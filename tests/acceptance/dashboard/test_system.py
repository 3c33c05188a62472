"""The page System: jobs, runs, alerts, storage, archive and log lines."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from programs import Desk


@pytest.mark.long
def test_it_shows_what_ran_and_what_is_stored(screen: Callable[..., Page], rehearsed: Desk) -> None:
    page = screen("/system?job=finalise")
    archive = rehearsed.json("archive", "status")

    page.get_by_text("No collector is running").wait_for()
    jobs, datasets, runs = (page.get_by_test_id("stTable").nth(number) for number in range(3))
    quotes = jobs.get_by_role("row").filter(has_text="quotes")
    assert "60 completed" in quotes.inner_text()
    for each in archive["datasets"]:
        row = datasets.get_by_role("row").filter(has_text=each["dataset"]).inner_text()
        assert str(each["days_in_store"]) in row
    # The link restores the view.
    assert runs.get_by_role("row").count() == 2
    assert "finalise" in runs.get_by_role("row").nth(1).inner_text()
    assert page.locator(".js-plotly-plot").count() == 1
