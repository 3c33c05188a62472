"""The feed of a collector, as another process reads it from the store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from candle_shelf import Shelf

from data_fetch.cli.status import feed_lines
from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.recorder import RecordingStatus
from data_fetch.core.feed.report import FeedReport, UnhonouredKey, report_of
from data_fetch.dashboard.today_texts import feed_line
from data_fetch.reading.feed_status import UNDELIVERED, FeedSummary, feed_in
from data_fetch.storage.feed import FeedStore

# 10:00 IST of a Wednesday.
NOW = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REPORT = FeedReport(
    at=NOW,
    state="live",
    cause="prices come",
    since=NOW - MINUTE,
    expected=True,
    keys={"full": 213, "option_greeks": 640},
    left_out={"other chains": 12},
    awaited=0,
    unhonoured=2,
    last_tick=NOW - timedelta(seconds=0.5),
    recording=RecordingStatus(files=44, failed=1, problem="the feed is not recorded: no space"),
)
SILENT = "the feed has sent nothing for it, after two requests"
TCS = UnhonouredKey("NSE_EQ|INE467B01029", "TCS", SILENT)
UNKNOWN = UnhonouredKey("NSE_EQ|INE000000000", None, "the feed refused: too many keys")


def cut(minutes_ago: int, lasted: int | None) -> Disconnect:
    began = NOW - minutes_ago * MINUTE
    ended = None if lasted is None else began + lasted * MINUTE
    return Disconnect(began=began, ended=ended, cause="the connection was cut", keys=frozenset("a"))


def summary(shelf: Shelf, now: datetime = NOW) -> FeedSummary:
    found = feed_in(shelf.store, now)
    assert found is not None
    return found


def test_a_store_that_never_had_a_feed_has_no_summary(shelf: Shelf) -> None:
    assert feed_in(shelf.store, NOW) is None


def test_a_report_is_read_as_it_was_recorded(shelf: Shelf) -> None:
    FeedStore(shelf.store).record(replace(REPORT, state="dead", last_tick=None), [])
    FeedStore(shelf.store).record(REPORT, [])

    assert summary(shelf).report == REPORT


def test_the_report_of_an_earlier_version_says_nothing_of_recordings() -> None:
    earlier = REPORT.document()
    del earlier["recording"]

    assert report_of(earlier) == replace(REPORT, recording=None)


def test_the_report_of_an_earlier_version_counts_keys_and_names_none(shelf: Shelf) -> None:
    FeedStore(shelf.store).record(REPORT, [])
    earlier = REPORT.document()
    del earlier["unhonoured_keys"]

    assert report_of(earlier) == REPORT
    assert summary(shelf).undelivered(5) == []
    assert summary(shelf).document()["unhonoured"] == 2


@pytest.mark.parametrize(
    ("named", "most", "lines"),
    [
        pytest.param(
            (TCS, UNKNOWN),
            2,
            [
                f"NSE_EQ|INE467B01029 (TCS): {SILENT}",
                "NSE_EQ|INE000000000: the feed refused: too many keys",
            ],
            id="each with its reason",
        ),
        pytest.param(
            (TCS, UNKNOWN),
            1,
            [f"NSE_EQ|INE467B01029 (TCS): {SILENT}", "and 1 more"],
            id="no more than wanted",
        ),
        pytest.param(
            (TCS,),
            5,
            [f"NSE_EQ|INE467B01029 (TCS): {SILENT}", "and 1 more"],
            id="the report does not name all",
        ),
    ],
)
def test_keys_that_are_not_delivered_are_named_with_what_to_do(
    shelf: Shelf, named: tuple[UnhonouredKey, ...], most: int, lines: list[str]
) -> None:
    FeedStore(shelf.store).record(replace(REPORT, unhonoured_keys=named), [])

    found = summary(shelf)

    assert found.report.unhonoured_keys == named
    assert found.undelivered(most) == [*lines, UNDELIVERED]
    assert list(feed_lines(found))[2] == f"        {lines[0]}"
    assert found.document()["unhonoured_keys"][0] == {
        "key": "NSE_EQ|INE467B01029",
        "symbol": "TCS",
        "reason": SILENT,
    }


def test_of_a_feed_that_does_not_run_no_key_is_named(shelf: Shelf) -> None:
    stopped = replace(REPORT, state="stopped", unhonoured_keys=(TCS,))
    FeedStore(shelf.store).record(stopped, [])

    assert summary(shelf).undelivered(5) == []


@pytest.mark.parametrize(
    ("later", "state"),
    [(3 * MINUTE, "live"), (3 * MINUTE + timedelta(seconds=1), "not running")],
    ids=["reported", "outdated"],
)
def test_a_feed_that_is_not_reported_any_more_is_not_running(
    shelf: Shelf, later: timedelta, state: str
) -> None:
    FeedStore(shelf.store).record(REPORT, [])

    assert summary(shelf, NOW + later).state == state


def test_disconnects_are_those_that_lasted_into_today(shelf: Shelf) -> None:
    midnight = 10 * 60
    yesterday, over_night = cut(midnight + 60, 30), cut(midnight + 10, 20)
    lasting = cut(5, None)
    FeedStore(shelf.store).record(REPORT, [yesterday, over_night, lasting])

    found = summary(shelf).disconnects

    assert [each.began for each in found] == [over_night.began, lasting.began]


def test_a_disconnect_whose_end_is_known_does_not_become_open_again(shelf: Shelf) -> None:
    over = cut(5, 1)
    FeedStore(shelf.store).record(REPORT, [over])
    FeedStore(shelf.store).record(REPORT, [replace(over, ended=None)])

    assert [each.ended for each in summary(shelf).disconnects] == [over.ended]


def test_what_the_feed_sent_and_was_not_read_is_shown(shelf: Shelf) -> None:
    strange = replace(
        REPORT, unread={"junk": 2, "refusals": 6, "unknown_fields": 1_041}, refusal="limit"
    )
    FeedStore(shelf.store).record(strange, [])
    found = summary(shelf)

    lines = [line.strip() for line in feed_lines(found)]
    assert lines[2:4] == found.unread_lines
    assert found.unread_lines == [
        "refusals in text: 6, the last one: limit",
        "not understood: 2 unreadable messages, 1,041 unknown fields; "
        "a newer version may know them",
    ]
    assert summary(shelf, NOW + 10 * MINUTE).unread_lines == []
    assert found.document()["unread"] == {"junk": 2, "refusals": 6, "unknown_fields": 1_041}


def test_people_see_state_keys_and_disconnects(shelf: Shelf) -> None:
    FeedStore(shelf.store).record(REPORT, [cut(5, 1), cut(2, None)])
    found = summary(shelf)

    assert list(feed_lines(found)) == [
        "Feed    live: prices come",
        "        213 full, 640 option_greeks, 12 without room, 2 not delivered as requested; "
        "as of 2026-09-16T10:00:00+05:30, last tick 0.5 s before that",
        "        recorded 44 minutes, 1 failed; the feed is not recorded: no space",
        "        away from 2026-09-16T09:55:00+05:30 to 2026-09-16T09:56:00+05:30: "
        "the connection was cut",
        "        away from 2026-09-16T09:58:00+05:30 to now: the connection was cut",
    ]
    assert feed_line(found) == (
        "Feed live: prices come · 213 full, 640 option_greeks, 12 without room, "
        "2 not delivered as requested, disconnects today: 2"
    )
    assert found.document()["disconnects"][1] == {
        "from": "2026-09-16T09:58:00+05:30",
        "to": None,
        "cause": "the connection was cut",
        "keys": 1,
        "sample": ["a"],
    }
