"""What a collector reports of its feed."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from data_fetch.core.feed.liveness import Condition, FeedState
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.feed.report import MOST_NAMED, report_of
from data_fetch.core.feed.ticks import TickCounts
from data_fetch.services.feed import feed_report_of
from data_fetch.sources.upstox.feed_state import FeedCounts, FeedStatus

NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
MANY = {f"KEY{number:02}": "refused" for number in range(MOST_NAMED + 3)}


def status(unhonoured: Mapping[str, str], counts: FeedCounts | None = None) -> FeedStatus:
    return FeedStatus(
        condition=Condition(state=FeedState.LIVE, cause="prices come", since=NOW, expected=True),
        connected_since=NOW,
        requested=frozenset(unhonoured),
        awaited=frozenset(),
        unhonoured=unhonoured,
        left_out={},
        disconnect=None,
        refusal="",
        counts=counts or FeedCounts(),
        ticks=TickCounts(),
        recording=None,
    )


@pytest.mark.parametrize(
    ("planned", "unhonoured", "named"),
    [
        pytest.param(["A", "B"], {}, [], id="all delivered"),
        pytest.param(
            ["B", "A"], {"A": "refused", "B": "silent"}, ["B", "A"], id="the order of the plan"
        ),
        pytest.param(
            ["B"], {"A": "refused", "B": "silent"}, ["B", "A"], id="one that has just left the plan"
        ),
        pytest.param(list(MANY), MANY, list(MANY)[:MOST_NAMED], id="more than are named"),
    ],
)
def test_keys_that_are_not_delivered_are_named_the_most_important_first(
    planned: list[str], unhonoured: Mapping[str, str], named: list[str]
) -> None:
    plan = Plan(dict.fromkeys(planned, Mode.FULL))

    report = feed_report_of(status(unhonoured), plan, {}, {"A": "RELIANCE"}.get, NOW)

    assert [each.key for each in report.unhonoured_keys] == named
    assert report.unhonoured == len(unhonoured)
    for each in report.unhonoured_keys:
        assert each.reason == unhonoured[each.key]
        assert each.symbol == ("RELIANCE" if each.key == "A" else None)


def test_what_was_not_read_is_counted_by_kind_without_zeros() -> None:
    counts = FeedCounts(messages=900, junk=2, unknown_words=7)

    report = feed_report_of(status({}, counts), Plan(), {}, {}.get, NOW)

    assert report.unread == {"junk": 2, "unknown_words": 7}
    assert report_of(report.document()) == report
