"""Collector, bulk writer and reader on one SQLite file do not get in each other's way."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

from sqlalchemy import func, select

from data_fetch.core.clock import stopwatch
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncAttempt, SyncRun, SyncState
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import StoreMeta, table
from data_fetch.storage.database.upsert import bulk_upsert
from data_fetch.storage.quotes import QuoteStore

OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
SYMBOLS = [f"SYM{n}" for n in range(214)]
SLOTS = 25
# The next slot is due by then, on however slow a machine.
LATE_SECONDS = 60.0
META = table(StoreMeta)


def collected(at: datetime) -> tuple[SyncRun, list[StoredQuote], list[SyncAttempt]]:
    run_id = at.isoformat()
    run = SyncRun(
        run_id=run_id,
        job="quotes",
        due_slot=at,
        started_at=at,
        finished_at=at,
        outcome=Outcome.COMPLETED,
    )
    quotes = [
        StoredQuote(
            symbol=symbol,
            slot=at,
            quote=Quote(instrument_key=symbol, last_price=1.0, volume=1),
            off_session=False,
            received_at=at,
            source="paper",
            run_id=run_id,
        )
        for symbol in SYMBOLS
    ]
    attempts = [
        SyncAttempt(
            symbol=symbol,
            data_type="quotes",
            state=SyncState.OK,
            attempted_at=at,
            records=1,
            error=None,
            run_id=run_id,
        )
        for symbol in SYMBOLS
    ]
    return run, quotes, attempts


def test_no_program_is_late_and_none_finds_the_database_locked(sqlite_url: str) -> None:
    done = Event()
    slot_seconds: list[float] = []
    slots_seen: list[int] = []
    bulk_rows = [0]

    def collector() -> None:
        store = open_store(sqlite_url, World.PAPER)
        quotes_repository = QuoteStore(store)
        try:
            for n in range(SLOTS):
                slot = collected(OPENS + timedelta(minutes=n))
                started = stopwatch()
                quotes_repository.record_slot(*slot)
                slot_seconds.append(stopwatch() - started)
        finally:
            done.set()
            store.close()

    def bulk_writer() -> None:
        store = open_store(sqlite_url, World.PAPER)
        rounds = 0
        while not done.is_set():
            rows = ((f"name {n}", f"{rounds}") for n in range(20_000))
            bulk_rows[0] += bulk_upsert(store.writing, META, ("name", "value"), rows)
            rounds += 1
        store.close()

    def reader() -> None:
        store = open_store(sqlite_url, World.PAPER)
        quotes_repository = QuoteStore(store)
        while not done.is_set():
            with store.reading() as connection:
                rows = connection.scalar(select(func.count()).select_from(META))
                assert rows == connection.scalar(select(func.count()).select_from(META))
            slots_seen.append(len(quotes_repository.latest()))
        store.close()

    with ThreadPoolExecutor() as pool:
        for work in [pool.submit(collector), pool.submit(bulk_writer), pool.submit(reader)]:
            work.result()

    assert len(slot_seconds) == SLOTS
    assert max(slot_seconds) < LATE_SECONDS
    assert bulk_rows[0] > 0
    # A reader sees whole slots or none.
    assert set(slots_seen) <= {0, len(SYMBOLS)}
