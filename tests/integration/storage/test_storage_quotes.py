"""A slot lands whole, twice is once, and what was stored is read back as it was."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from data_fetch.core.errors import LostLeadership
from data_fetch.core.quotes.key_results import by_reason
from data_fetch.core.quotes.quotes import Movement, Quote, QuoteResponse, StoredQuote
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.sources.upstox.ltp_rows import read_quotes
from data_fetch.storage import runs as sync
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import QuoteHoldings, QuoteStore, ltp_data

pytestmark = pytest.mark.layouts

NINE_FIFTEEN = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SYMBOLS = ("M&M", "NIFTY", "RELIANCE")


def slot(minute: int) -> datetime:
    return NINE_FIFTEEN + minute * MINUTE


def run_for(at: datetime, **facts: Any) -> SyncRun:
    run_id = f"run of {at:%d %H:%M}"
    given: dict[str, Any] = {
        "run_id": run_id,
        "job": "quotes",
        "due_slot": at,
        "started_at": at + MINUTE,
        "finished_at": at + MINUTE + timedelta(milliseconds=210),
        "outcome": Outcome.COMPLETED,
        "requested": len(SYMBOLS),
        "stored": len(SYMBOLS),
        "requests": 1,
        "details": {"absent": ["NIFTY"], "seconds": 0.21, "none": None},
        **facts,
    }
    return SyncRun(**given)


def quote_of(symbol: str, at: datetime, **facts: Any) -> StoredQuote:
    price = facts.pop("price", 2990.05)
    given: dict[str, Any] = {
        "symbol": symbol,
        "slot": at,
        "quote": Quote(
            instrument_key=f"NSE_EQ|ZZP{symbol}",
            last_price=price,
            volume=5_000_000_000,
            ltq=75,
            prev_close=2950.15,
        ),
        "off_session": False,
        "received_at": at + MINUTE,
        "source": "paper",
        "run_id": f"run of {at:%d %H:%M}",
        **facts,
    }
    return StoredQuote(**given)


def attempt_on(symbol: str, at: datetime, state: SyncState = SyncState.OK) -> SyncAttempt:
    return SyncAttempt(
        symbol=symbol,
        data_type="quotes",
        state=state,
        attempted_at=at + MINUTE,
        records=1 if state is SyncState.OK else 0,
        error=None if state is SyncState.OK else "why",
        run_id=f"run of {at:%d %H:%M}",
    )


def collect(store: Store, minute: int, **facts: Any) -> list[StoredQuote]:
    at = slot(minute)
    quotes = [quote_of(symbol, at, **facts) for symbol in SYMBOLS]
    attempts = [attempt_on(symbol, at) for symbol in SYMBOLS]
    QuoteStore(store).record_slot(run_for(at), quotes, attempts)
    return quotes


@pytest.fixture
def rows(store: Store) -> Iterator[Any]:
    """The rows of `ltp_data`, read afresh at every call."""

    def read() -> list[tuple[Any, ...]]:
        with store.reading() as connection:
            return sorted(tuple(row) for row in connection.execute(select(ltp_data)))

    return read


def test_recorded_quotes_are_read_back(store: Store) -> None:
    quotes = collect(store, 0)

    assert QuoteStore(store).latest() == {quote.symbol: quote for quote in quotes}
    assert sync.recent_runs(store) == [run_for(slot(0))]


def test_a_quote_row_carries_the_change_from_the_previous_close(store: Store, rows: Any) -> None:
    collect(store, 0)

    row = dict(zip((c.name for c in ltp_data.columns), rows()[0], strict=True))
    assert (row["change"], row["change_percent"]) == (39.9, 1.3525)


def test_a_quote_without_previous_close_has_no_change(store: Store, rows: Any) -> None:
    at = slot(0)
    bare = quote_of("TCS", at, quote=Quote(instrument_key="K", last_price=1.0, volume=0))
    QuoteStore(store).record_slot(run_for(at), [bare], [])

    row = dict(zip((c.name for c in ltp_data.columns), rows()[0], strict=True))
    assert (row["change"], row["change_percent"], row["prev_close"], row["ltq"]) == (None,) * 4
    assert QuoteStore(store).latest() == {"TCS": bare}


def test_a_slot_collected_twice_leaves_the_same_rows(store: Store, rows: Any) -> None:
    collect(store, 0)
    once = rows()

    collect(store, 0)

    assert rows() == once


def test_a_fill_returns_what_no_request_has_stored_meanwhile(store: Store) -> None:
    collect(store, 0)
    fill = run_for(slot(0), run_id="fill", job="feed", requested=2, stored=2)
    other = quote_of("OTHER", slot(0), run_id="fill", source="feed")
    late = quote_of(SYMBOLS[0], slot(0), run_id="fill", source="feed", price=1.0)

    run, filled = QuoteStore(store).fill_slot(fill, [late, other])

    assert (run.stored, filled) == (1, [other])
    assert sync.recent_runs(store, 1, "feed") == [run]
    assert QuoteStore(store).latest()[SYMBOLS[0]].source == "paper"


def test_a_slot_is_stored_whole_or_not_at_all(store: Store, rows: Any) -> None:
    at = slot(0)
    unlucky = quote_of("TCS", at.replace(tzinfo=None))

    with pytest.raises(Exception, match="no time zone"):
        QuoteStore(store).record_slot(run_for(at), [quote_of("M&M", at), unlucky], [])

    assert rows() == []
    assert sync.recent_runs(store) == []


def test_a_replaced_scheduler_writes_nothing(store: Store, rows: Any) -> None:
    class Lost:
        def check_here(self) -> None:
            pass

        def check(self, connection: Any) -> None:
            raise LostLeadership("another scheduler collects into this store now")

    quotes_repository = QuoteStore(store, Lost())
    with pytest.raises(LostLeadership):
        quotes_repository.record_slot(run_for(slot(0)), [quote_of("TCS", slot(0))], [])
    with pytest.raises(LostLeadership):
        quotes_repository.record_runs([run_for(slot(0))])

    assert rows() == []
    assert sync.recent_runs(store) == []


def test_the_latest_quote_is_the_newest_in_session(store: Store) -> None:
    collect(store, 0)
    newest = collect(store, 1, price=3000.0)
    at = slot(600)
    QuoteStore(store).record_slot(run_for(at), [quote_of("M&M", at, off_session=True)], [])

    assert QuoteStore(store).latest() == {quote.symbol: quote for quote in newest}


def test_an_empty_store_has_no_latest_quotes(store: Store) -> None:
    assert QuoteStore(store).latest() == {}
    assert QuoteStore(store).holdings() == QuoteHoldings(0, 0, None, None)
    assert sync.last_due_slot(store, "quotes", LATER) is None


def test_movements_span_the_given_slots(store: Store) -> None:
    for minute, price in enumerate([100.0, 250.0, 120.0, 110.0]):
        collect(store, minute, price=price)

    movements = QuoteStore(store).movements([slot(3), slot(2), slot(0), slot(9)])

    volume = 5_000_000_000
    assert movements == dict.fromkeys(
        SYMBOLS,
        Movement(
            slots=3,
            lowest_price=100.0,
            highest_price=120.0,
            lowest_volume=volume,
            highest_volume=volume,
        ),
    )


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\x1b[2J", "K" * 100_000])
def test_odd_text_from_the_provider_loses_no_slot(store: Store, odd: str) -> None:
    answered = read_quotes({odd: None, "A": {"instrument_token": f"{odd}B"}}, ["C"])
    answer = QuoteResponse(records=(), unrequested=answered.unrequested, received_at=slot(1))
    run = run_for(slot(0), details=by_reason([], answer))

    QuoteStore(store).record_slot(run, [quote_of("TCS", slot(0))], [])

    assert sync.recent_runs(store) == [run]
    assert len(str(run.details)) < 1000


def test_holdings_count_rows_symbols_and_slots(store: Store) -> None:
    collect(store, 0)
    collect(store, 3)

    assert QuoteStore(store).holdings() == QuoteHoldings(6, 3, slot(0), slot(3))


LATER = slot(600)


@pytest.mark.parametrize(
    ("before", "found"),
    [(slot(0), None), (slot(1), slot(0)), (slot(3), slot(0)), (slot(4), slot(3))],
)
def test_slots_ahead_of_the_clock_are_not_the_last_recorded_one(
    store: Store, before: datetime, found: datetime | None
) -> None:
    collect(store, 0)
    collect(store, 3)

    assert QuoteStore(store).last_recorded(before) == found


def test_a_missed_slot_counts_as_recorded(store: Store) -> None:
    collect(store, 0)
    missed = run_for(slot(1), outcome=Outcome.MISSED, error="the collector was not running")
    other_job = run_for(slot(2), run_id="f", job="freshness")
    QuoteStore(store).record_runs([missed, other_job])

    assert sync.last_due_slot(store, "quotes", LATER) == slot(1)
    assert sync.recent_runs(store, job="quotes") == [missed, run_for(slot(0))]
    assert sync.recent_runs(store, limit=1) == [other_job]
    expected = dict.fromkeys(Outcome, 0) | {Outcome.MISSED: 1}
    assert sync.outcomes(store, "quotes", slot(1)) == expected


def test_an_attempt_written_again_counts_once(store: Store) -> None:
    failed = [attempt_on("NIFTY", slot(0), SyncState.FAILED)]
    for _ in range(2):
        QuoteStore(store).record_slot(run_for(slot(0)), [], failed)

    assert sync.statuses(store, "quotes")["NIFTY"].consecutive_failures == 1


def gone_process() -> dict[str, object]:
    """A process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return {"pid": ended.pid, "host": socket.gethostname()}


def running_run(store: Store) -> SyncRun:
    run = SyncRun.begin("backfill", slot(0))
    sync.record_runs(store, [run])
    return run


def outcome_of(store: Store, run: SyncRun) -> tuple[Outcome, str | None]:
    [found] = [each for each in sync.recent_runs(store) if each.run_id == run.run_id]
    return found.outcome, found.error


def test_a_run_in_hand_is_running_as_long_as_its_process(store: Store) -> None:
    run = running_run(store)

    assert sync.mark_interrupted(store, slot(1)) == 0
    assert outcome_of(store, run) == (Outcome.RUNNING, None)


def test_a_run_whose_process_has_ended_is_interrupted(store: Store) -> None:
    run = running_run(store)
    columns = sync.sync_runs.c
    with store.writing() as connection:
        gone = update(sync.sync_runs).where(columns.run_id == run.run_id)
        connection.execute(gone.values(details={"process": gone_process()}))

    # Reading finds out by itself; marking writes it, once.
    assert outcome_of(store, run)[0] is Outcome.INTERRUPTED
    assert [sync.mark_interrupted(store, slot(1)) for _ in range(2)] == [1, 0]
    outcome, error = outcome_of(store, run)
    assert outcome is Outcome.INTERRUPTED
    assert "interrupted" in (error or "")


def test_a_run_that_another_machine_left_is_interrupted_after_a_silence(store: Store) -> None:
    run = running_run(store)
    with store.writing() as connection:
        elsewhere = {"process": {"pid": 1, "host": "another"}}
        connection.execute(update(sync.sync_runs).values(details=elsewhere))

    assert sync.mark_interrupted(store, slot(0) + sync.SILENCE) == 0
    assert sync.mark_interrupted(store, slot(0) + sync.SILENCE + MINUTE) == 1
    assert outcome_of(store, run)[0] is Outcome.INTERRUPTED


BAD, GOOD = SyncState.ABSENT, SyncState.OK


@pytest.mark.parametrize(
    ("states", "failures", "last_success"),
    [
        pytest.param([GOOD], 0, 0, id="a success"),
        pytest.param([BAD], 1, None, id="never a success"),
        pytest.param([BAD, BAD, BAD], 3, None, id="failures add up"),
        pytest.param([GOOD, BAD, SyncState.FAILED], 2, 0, id="the last success remains"),
        pytest.param([BAD, BAD, GOOD], 0, 2, id="a success starts afresh"),
        pytest.param([GOOD, BAD, GOOD, BAD], 1, 2, id="up and down"),
    ],
)
def test_attempts_fold_into_the_status(
    store: Store, states: list[SyncState], failures: int, last_success: int | None
) -> None:
    for minute, state in enumerate(states):
        at = slot(minute)
        QuoteStore(store).record_slot(run_for(at), [], [attempt_on("TCS", at, state)])

    last = slot(len(states) - 1)
    assert sync.statuses(store, "quotes") == {
        "TCS": sync.SyncStatus(
            symbol="TCS",
            data_type="quotes",
            last_attempt=last + MINUTE,
            last_success=None if last_success is None else slot(last_success) + MINUTE,
            status=states[-1],
            records=1 if states[-1] is GOOD else 0,
            consecutive_failures=failures,
            error=None if states[-1] is GOOD else "why",
            last_run=f"run of {last:%d %H:%M}",
        )
    }
