"""The figures of collecting, at known instants of a small store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from candle_shelf import RELIANCE, TUESDAY, WEDNESDAY, Shelf, whole_day
from freezegun import freeze_time

from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading.collector_facts import CollectorFacts, SlotFigures, collector_facts
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import record_runs

# 09:15 IST of Wednesday.
OPENS = datetime(2025, 6, 11, 3, 45, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def quotes_run(slot: datetime, outcome: Outcome, stored: int = 0) -> SyncRun:
    begun = SyncRun.begin("quotes", slot + MINUTE, slot)
    return begun.finish(slot + 2 * MINUTE, outcome, requested=1, stored=stored, requests=1)


def facts_at(shelf: Shelf, now: datetime) -> CollectorFacts:
    with freeze_time(now):
        return collector_facts(shelf.settings)


@pytest.fixture
def collected(shelf: Shelf) -> Shelf:
    """Tuesday's candles are complete; of Wednesday's first four slots one failed, one was missed
    and one is not recorded. RELIANCE has one quote."""
    shelf.keeps(RELIANCE, TUESDAY, whole_day())
    shelf.keeps(RELIANCE, WEDNESDAY, {0: 1500.0, 1: 1501.0}, at=OPENS + 3 * MINUTE)
    run = quotes_run(OPENS, Outcome.COMPLETED, stored=1)
    quote = StoredQuote(
        symbol="RELIANCE",
        slot=OPENS,
        quote=Quote(instrument_key=RELIANCE.instrument_key, last_price=1500.0),
        off_session=False,
        received_at=OPENS + MINUTE,
        source="upstox",
        run_id=run.run_id,
    )
    QuoteStore(shelf.store).record_slot(run, [quote], [])
    failed = quotes_run(OPENS + MINUTE, Outcome.FAILED)
    missed = quotes_run(OPENS + 2 * MINUTE, Outcome.MISSED)
    backfill = SyncRun.begin("backfill", OPENS - timedelta(days=1))
    ended = backfill.finish(OPENS - timedelta(hours=23), Outcome.COMPLETED, stored=375, requests=4)
    record_runs(shelf.store, [failed, missed, ended])
    return shelf


def test_slots_of_today_are_due_collected_missed_or_not_recorded(collected: Shelf) -> None:
    found = facts_at(collected, OPENS + timedelta(minutes=4, seconds=30))

    assert found.market_open is True
    assert found.slots == SlotFigures(due=4, collected=1, missed=2)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        pytest.param(OPENS, 0, id="at the opening no slot is over"),
        pytest.param(OPENS + MINUTE, 1, id="a slot is due when it is over"),
        pytest.param(OPENS + timedelta(hours=10), 375, id="in the evening the whole day"),
        pytest.param(OPENS + timedelta(days=1, hours=-5), 0, id="from midnight the next day"),
        pytest.param(OPENS + timedelta(days=3), 0, id="none on a Saturday"),
    ],
)
def test_slots_are_those_of_the_indian_day(collected: Shelf, now: datetime, due: int) -> None:
    found = facts_at(collected, now)

    assert found.slots is not None
    assert found.slots.due == due


def test_runs_are_counted_for_today_and_their_last_end_is_kept(collected: Shelf) -> None:
    found = facts_at(collected, OPENS + 5 * MINUTE)

    assert found.runs is not None
    counted = {
        (run.job, run.outcome): (run.today, run.stored, run.requests, run.last_ended)
        for run in found.runs
    }
    assert counted == {
        ("backfill", "completed"): (0, 0, 0, OPENS - timedelta(hours=23)),
        ("quotes", "completed"): (1, 1, 1, OPENS + 2 * MINUTE),
        ("quotes", "failed"): (1, 0, 1, OPENS + 3 * MINUTE),
        ("quotes", "missed"): (1, 0, 1, OPENS + 4 * MINUTE),
    }


def test_runs_of_more_than_a_week_ago_are_left_out(collected: Shelf) -> None:
    assert facts_at(collected, OPENS + timedelta(days=9)).runs == []


@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        pytest.param(3, "fresh", id="fresh"),
        pytest.param(20, "stopped", id="no quote for more than five minutes"),
        pytest.param(600, "market_closed", id="in the evening"),
    ],
)
def test_quotes_are_counted_by_freshness(collected: Shelf, minutes: int, state: str) -> None:
    found = facts_at(collected, OPENS + minutes * MINUTE)

    assert found.quotes is not None
    assert {name for name, count in found.quotes.states.items() if count} == {state}
    assert found.quotes.newest == OPENS + MINUTE


def test_coverage_is_of_the_minutes_that_are_due(collected: Shelf) -> None:
    found = facts_at(collected, OPENS + timedelta(minutes=4, seconds=30)).coverage

    assert found is not None
    today, last = found["today"], found["last_session"]
    assert (today.day, last.day) == (WEDNESDAY, TUESDAY)
    assert (today.counts.present, today.counts.missed, today.counts.pending) == (2, 2, 371)
    assert (today.ratio, last.ratio) == (0.5, 1.0)


def test_without_a_minute_that_is_due_there_is_no_ratio(shelf: Shelf) -> None:
    found = facts_at(shelf, OPENS).coverage

    assert found is not None
    assert found["today"].ratio is None


def test_on_a_day_without_trading_only_the_last_session_is_there(collected: Shelf) -> None:
    found = facts_at(collected, OPENS + timedelta(days=3)).coverage

    assert found is not None
    assert [(name, figures.day.isoformat()) for name, figures in found.items()] == [
        ("last_session", "2025-06-13")
    ]


def test_what_cannot_be_known_has_a_reason_and_the_rest_is_there(collected: Shelf) -> None:
    blind = collected.settings.model_copy(update={"symbols_file": collected.settings.folder / "no"})

    with freeze_time(OPENS):
        found = collector_facts(blind)

    assert (found.store_answers, found.slots, found.coverage) == (True, None, None)
    assert found.runs
    assert list(found.problems) == ["symbols"]


def test_a_store_that_is_away_is_a_figure_and_no_error(tmp_path: Path) -> None:
    settings = Settings.load(
        {"DATA_SOURCE": "upstox", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
        tmp_path,
    )

    found = collector_facts(settings)

    assert (found.store_answers, found.at, found.runs) == (False, None, None)
    assert list(found.problems) == ["store"]
