"""A slot in hand survives the loss of its connection."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import monotonic

import pytest
from effort import PATIENCE_SECONDS
from sqlalchemy import Connection

from data_fetch.core.clock import SystemClock
from data_fetch.core.quotes.quotes import Quote, StoredQuote
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.services.kept_writes import keep_writing
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.quotes import QuoteStore
from data_fetch.storage.runs import recent_runs

SLOT = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
# Not pg_stat_activity, which stands still within a transaction.
WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'ltp_data'::regclass"


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    store = open_store(postgres_url, World.PAPER)
    # The stamp is written: from now on a write waits for nothing but the quotes' table.
    QuoteStore(store).record_runs([run_of(SLOT - timedelta(minutes=1))])
    yield store
    store.close()


@pytest.fixture
def administrator(postgres_url: str) -> Iterator[Connection]:
    engine = engine_for(postgres_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def run_of(slot: datetime) -> SyncRun:
    run = SyncRun.begin("quotes", slot + timedelta(minutes=1), slot)
    return run.finish(run.started_at, Outcome.COMPLETED, requested=1, stored=1)


def quote_of(slot: datetime, run: SyncRun) -> StoredQuote:
    return StoredQuote(
        symbol="TCS",
        slot=slot,
        quote=Quote(instrument_key="NSE_EQ|ZZPTCS", last_price=1.0, volume=1),
        off_session=False,
        received_at=run.started_at,
        source="paper",
        run_id=run.run_id,
    )


def waiting_backend(administrator: Connection) -> int:
    """The session that waits for a lock; the server itself does the waiting for it."""
    until = monotonic() + PATIENCE_SECONDS
    while monotonic() < until:
        found: int | None = administrator.exec_driver_sql(WAITING).scalar()
        if found is not None:
            return found
        administrator.exec_driver_sql("SELECT pg_sleep(0.02)")
    raise AssertionError("nobody waits for the lock")


@pytest.mark.parametrize("blows", [1, 3])
def test_a_slot_whose_connection_is_terminated_is_stored(
    store: Store, administrator: Connection, blows: int
) -> None:
    clock, run = SystemClock(), run_of(SLOT)
    quotes = [quote_of(SLOT, run)]
    until = clock.now() + timedelta(seconds=PATIENCE_SECONDS)
    administrator.exec_driver_sql("LOCK TABLE ltp_data IN ACCESS EXCLUSIVE MODE")
    writer = Thread(
        target=keep_writing,
        args=(lambda: QuoteStore(store).record_slot(run, quotes, []), clock, until),
    )
    writer.start()
    for _ in range(blows):
        backend = waiting_backend(administrator)
        administrator.exec_driver_sql(f"SELECT pg_terminate_backend({backend:d}, 5000)")
    administrator.rollback()
    writer.join(PATIENCE_SECONDS)

    assert not writer.is_alive()
    assert QuoteStore(store).latest().keys() == {"TCS"}
    assert [each.due_slot for each in recent_runs(store, job="quotes")].count(SLOT) == 1
