"""What the rules of alerts look at, at known instants of a small store."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from candle_shelf import RELIANCE, TUESDAY, WEDNESDAY, Shelf, whole_day
from freezegun import freeze_time

from data_fetch.alerts.facts import (
    AlertFacts,
    BackfillFacts,
    FailingJob,
    FeedFacts,
    MissedSlot,
)
from data_fetch.alerts.rules import findings
from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.report import FeedReport
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import ALERTS, ARCHIVE_DAYS, CHAINS, READINESS
from data_fetch.reading.alert_facts import alert_facts
from data_fetch.storage.alerts import FREE_BYTES
from data_fetch.storage.database.leadership import Leadership
from data_fetch.storage.feed import FeedStore
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import record_runs

# 09:15 IST of Wednesday.
OPENS = datetime(2025, 6, 11, 3, 45, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SOON = timedelta(seconds=20)
REASON = "the provider returned HTML"


def facts_at(shelf: Shelf, now: datetime) -> AlertFacts:
    with freeze_time(now):
        return alert_facts(shelf.settings)


def ran(
    shelf: Shelf, job: str, at: datetime, outcome: Outcome = Outcome.COMPLETED, **counts: object
) -> None:
    """A run of *job* for the minute that ends *at*."""
    begun = SyncRun.begin(job, at, at - MINUTE)
    record_runs(shelf.store, [begun.finish(at, outcome, **counts)])  # type: ignore[arg-type]


def quotes(shelf: Shelf, first: datetime, minutes: Sequence[int]) -> None:
    for minute in minutes:
        slot = first + minute * MINUTE
        run = SyncRun.begin("quotes", slot + MINUTE, slot).finish(
            slot + MINUTE, Outcome.COMPLETED, requested=1, stored=1
        )
        quote = StoredQuote(
            symbol="RELIANCE",
            slot=slot,
            quote=Quote(instrument_key=RELIANCE.instrument_key, last_price=1500.0 + minute),
            off_session=False,
            received_at=slot + MINUTE,
            source="upstox",
            run_id=run.run_id,
        )
        QuoteStore(shelf.store).record_slot(run, [quote], [])


@pytest.fixture
def collected(shelf: Shelf) -> Shelf:
    """Tuesday is complete; ten minutes of Wednesday are collected."""
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    quotes(shelf, OPENS - DAY, range(374, 375))
    quotes(shelf, OPENS, range(10))
    return shelf


def test_a_store_that_is_collected_into_has_no_alert_but_that_no_process_has_its_lead(
    collected: Shelf,
) -> None:
    found = facts_at(collected, OPENS + 10 * MINUTE + SOON)

    assert found.unknown == {}
    assert found.market is not None
    assert (found.market.is_open, found.market.missed, found.market.unrecorded) == (True, [], [])
    assert findings(found).alerts == []


def test_whether_a_collector_has_the_lead(collected: Shelf) -> None:
    before = OPENS - 10 * MINUTE
    assert [each.rule for each in findings(facts_at(collected, before)).alerts] == [
        "collector_dead"
    ]

    leadership = Leadership(collected.store)
    leadership.try_acquire()
    try:
        assert findings(facts_at(collected, before)).alerts == []
    finally:
        leadership.release()


def test_slots_without_a_record_are_counted_from_the_last_one_that_has_any(
    collected: Shelf,
) -> None:
    found = facts_at(collected, OPENS + 14 * MINUTE + SOON)

    assert found.market is not None
    assert found.market.unrecorded == [OPENS + minute * MINUTE for minute in range(10, 14)]
    assert [each.rule for each in findings(found).alerts] == ["collector_dead"]


def test_missed_are_those_of_the_last_five_slots(collected: Shelf) -> None:
    ran(collected, "quotes", OPENS + 11 * MINUTE, Outcome.FAILED, error=REASON)
    found = facts_at(collected, OPENS + 11 * MINUTE + SOON)
    assert found.market is not None
    assert found.market.missed == [MissedSlot(OPENS + 10 * MINUTE, REASON)]

    quotes(collected, OPENS, range(11, 16))
    later = facts_at(collected, OPENS + 16 * MINUTE + SOON)

    assert later.market is not None
    assert later.market.missed == []


def test_late_symbols_are_named_with_their_class(collected: Shelf) -> None:
    found = facts_at(collected, OPENS + 16 * MINUTE + SOON)

    assert found.freshness is not None
    assert [(each.name, list(each.late)) for each in found.freshness] == [
        ("stock quotes", ["RELIANCE"])
    ]


def test_a_day_is_judged_an_hour_after_its_final_check(collected: Shelf) -> None:
    evening = datetime(2025, 6, 11, 14, 30, tzinfo=UTC)
    tuesday = BackfillFacts(day=TUESDAY, expected=375, missed=0, unknown=0, pending=0)

    assert facts_at(collected, evening + HOUR - MINUTE).backfill == tuesday
    assert facts_at(collected, evening + HOUR).backfill == replace(
        tuesday, day=WEDNESDAY, missed=375
    )
    # Thursday's final check is still to come.
    assert facts_at(collected, evening + DAY).backfill == replace(
        tuesday, day=WEDNESDAY, missed=375
    )


def test_days_before_the_first_run_are_not_judged(collected: Shelf) -> None:
    monday_night = datetime(2025, 6, 9, 20, 0, tzinfo=UTC)

    assert facts_at(collected, monday_night).backfill is None


def test_polls_of_the_last_quarter_of_an_hour_show_the_source(collected: Shelf) -> None:
    old = {"remarks": ["unknown fields: old"], "answering": "nse", "fault_counts": {}}
    new = {
        "remarks": ["unknown fields: new", "iv is missing in 3 legs"],
        "answering": "nse",
        "fault_counts": {"upstox unreachable": 2},
    }
    now = OPENS + 40 * MINUTE
    ran(collected, CHAINS, now - 20 * MINUTE, rejected=100, details=old)
    for minute in range(3):
        ran(collected, CHAINS, now - minute * MINUTE, rejected=10, details=new)
    source = facts_at(collected, now).chain_source

    assert source is not None
    assert source.remarks == ["unknown fields: new", "iv is missing in 3 legs"]
    assert (source.rejected, source.answering, source.first) == (30, "nse", "upstox")
    assert source.failures == {"upstox unreachable": 6}


def test_the_growth_of_the_disk_is_that_of_the_samples(
    collected: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = OPENS + 10 * MINUTE + SOON
    [disk] = facts_at(collected, now).disks or ()
    assert disk.days_left is None

    sample = {FREE_BYTES: {disk.folder: 2 * disk.free}}
    ran(collected, ALERTS, now - 2 * DAY, details=sample)
    [grown] = facts_at(collected, now).disks or ()

    # It took two days to use as much as is left.
    assert grown.days_left == pytest.approx(2.0, rel=0.05)


def test_the_newest_run_of_a_job_of_the_archive_counts(collected: Shelf) -> None:
    now = OPENS + 10 * MINUTE + SOON
    ran(collected, ARCHIVE_DAYS, now - HOUR, Outcome.FAILED, error="no room")
    assert facts_at(collected, now).archive == [
        FailingJob(job=ARCHIVE_DAYS, at=now - HOUR, error="no room")
    ]

    ran(collected, ARCHIVE_DAYS, now - MINUTE)

    assert facts_at(collected, now).archive == []


def test_a_no_go_of_today_is_known_with_its_reasons(collected: Shelf) -> None:
    checked = OPENS - 20 * MINUTE
    ran(collected, READINESS, checked, Outcome.FAILED, error="token: it has ended")

    found = facts_at(collected, checked + MINUTE).readiness
    assert found is not None
    assert found.no_go == "token: it has ended"
    tomorrow = facts_at(collected, checked + DAY).readiness
    assert tomorrow is not None
    assert tomorrow.no_go == ""


def test_a_part_that_cannot_be_read_leaves_the_others(collected: Shelf) -> None:
    collected.settings.folder.joinpath("nse_fo_stock_symbols.txt").write_bytes(b"\xff\xfe\x00")
    found = facts_at(collected, OPENS + 10 * MINUTE)

    assert found.market is None
    assert "market" in found.unknown
    assert found.calendar is not None
    assert {each.rule for each in findings(found).alerts} == {"figures_unknown"}


def test_nights_weekends_and_a_muhurat_beside_a_complete_store_have_no_alert(shelf: Shelf) -> None:
    # Friday and Monday are complete; Tuesday has a session of an hour, from 13:45 IST.
    friday, monday = (datetime(2025, 10, day, 3, 45, tzinfo=UTC) for day in (17, 20))
    runs = []
    for opens in (friday, monday):
        shelf.keeps(RELIANCE, opens.date(), whole_day())
        slots = [opens + minute * MINUTE for minute in range(375)]
        begun = [SyncRun.begin("quotes", slot + MINUTE, slot) for slot in slots]
        runs += [run.finish(run.started_at, Outcome.COMPLETED, stored=1) for run in begun]
    record_runs(shelf.store, runs)
    instants = {
        "Friday night": friday + 15 * HOUR,
        "Sunday": monday - DAY,
        "Monday evening": monday + 12 * HOUR,
        "Tuesday, ordinary trading hours": monday + DAY + HOUR,
        "Tuesday, before the session": monday + DAY + 4 * HOUR + 25 * MINUTE,
    }
    leadership = Leadership(shelf.store)
    leadership.try_acquire()
    found = {}
    try:
        for name, at in instants.items():
            leadership.renew()
            found[name] = findings(facts_at(shelf, at)).alerts
    finally:
        leadership.release()

    assert {name: alerts for name, alerts in found.items() if alerts} == {}


CUT = "the connection was cut"


def reported(shelf: Shelf, at: datetime, state: str, *disconnects: Disconnect) -> Shelf:
    """*shelf* of a collector with a feed, which reported it with *disconnects* at *at*."""
    report = FeedReport(
        at=at,
        state=state,
        cause=CUT,
        since=at,
        expected=state != "stopped",
        keys={},
        left_out={},
        awaited=0,
        unhonoured=0,
        last_tick=None,
    )
    FeedStore(shelf.store).record(report, disconnects)
    return replace(shelf, settings=shelf.settings.model_copy(update={"feed_enabled": True}))


def away(began: datetime, ended: datetime | None) -> Disconnect:
    return Disconnect(began=began, ended=ended, cause=CUT, keys=frozenset())


NOON = OPENS + 165 * MINUTE
FEEDS: dict[str, tuple[str, list[Disconnect], timedelta, FeedFacts]] = {
    "live after a disconnect": (
        "live",
        [away(NOON - 9 * MINUTE, NOON - 8 * MINUTE)],
        MINUTE,
        FeedFacts(expected=True, cause=CUT),
    ),
    "away since the night": (
        "dead",
        [away(NOON - 9 * HOUR, None)],
        MINUTE,
        FeedFacts(expected=True, away_since=NOON - 9 * HOUR, cause=CUT),
    ),
    "stopped": ("stopped", [], MINUTE, FeedFacts(runs=False, cause=CUT)),
    "not reported any more": (
        "live",
        [],
        4 * MINUTE,
        FeedFacts(
            runs=False,
            expected=True,
            cause="no collector has reported its feed since 2025-06-11T12:00:00+05:30",
        ),
    ),
}


@pytest.mark.parametrize(("state", "disconnects", "later", "found"), FEEDS.values(), ids=FEEDS)
def test_the_feed_is_seen_through_its_last_report(
    shelf: Shelf, state: str, disconnects: list[Disconnect], later: timedelta, found: FeedFacts
) -> None:
    collected = reported(shelf, NOON, state, *disconnects)

    assert facts_at(collected, NOON + later).feed == found


def test_of_a_feed_that_is_not_enabled_any_more_nothing_is_expected(shelf: Shelf) -> None:
    reported(shelf, NOON, "dead", away(NOON - HOUR, None))

    assert facts_at(shelf, NOON + MINUTE).feed == FeedFacts()
