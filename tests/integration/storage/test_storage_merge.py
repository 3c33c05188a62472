"""Merging copies every row, once; of two rows the better one remains."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from data_fetch.core.world import World
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import (
    AuctionDay,
    Base,
    CandleRevision,
    CandleRow,
    CoverageRevisionRow,
    CoverageRow,
    DataSyncStatus,
    FeedDisconnectRow,
    InstrumentLineage,
    InstrumentMasterRow,
    InstrumentRow,
    InstrumentTerms,
    LineageRevisionRow,
    LtpData,
    SymbolConfigRow,
    SyncRunRow,
    table,
)
from data_fetch.storage.database.upsert import upsert
from data_fetch.storage.merge import RULES, merge

AT = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
DAY = date(2026, 9, 16)
MINUTE = timedelta(minutes=1)
KEY = "NSE_EQ|ZZP000000001"

CANDLE: dict[str, Any] = {
    "instrument_key": KEY,
    "interval": "1minute",
    "timestamp": AT,
    "open": 2990.05,
    "high": 2995.0,
    "low": 2989.0,
    "close": 2991.1,
    "volume": 5_000_000_000,
    "oi": 0,
    "kind": "traded",
    "source": "paper",
    "is_final": True,
    "fetched_at": AT + timedelta(minutes=1),
    "run_id": "r",
}
REVISION = CANDLE | {"revision": 1, "superseded_at": AT + timedelta(minutes=5)}

SAMPLE: dict[type[Base], dict[str, Any]] = {
    InstrumentRow: {
        "instrument_key": KEY,
        "symbol": "RELIANCE",
        "segment": "NSE_EQ",
        "instrument_type": "EQ",
        "name": "Reliance",
        "isin": "ZZP000000001",
        "underlying_key": None,
        "underlying_symbol": None,
        "expiry": None,
        "strike": Decimal("1.5"),
        "lot_size": 500,
        "tick_size": Decimal("0.05"),
        "cas_eligible": True,
        "live_key": KEY,
        "first_seen": DAY,
        "last_seen": DAY,
    },
    InstrumentLineage: {
        "old_key": "NSE_EQ|ZZP000000009",
        "valid_from": DAY,
        "new_key": KEY,
        "reason": "new ISIN",
        "recorded": AT,
    },
    LtpData: {
        "symbol": "RELIANCE",
        "timestamp": AT,
        "instrument_key": KEY,
        "ltp": 2990.05,
        "volume": 5_000_000_000,
        "change": 1.0,
        "change_percent": 0.1,
        "prev_close": 2989.05,
        "ltq": 5,
        "off_session": False,
        "received_at": AT,
        "source": "paper",
        "run_id": "r",
    },
    SyncRunRow: {
        "run_id": "r",
        "job": "quotes",
        "due_slot": AT,
        "started_at": AT,
        "finished_at": AT,
        "outcome": "completed",
        "requested": 1,
        "stored": 1,
        "absent": 0,
        "quarantined": 0,
        "rejected": 0,
        "requests": 1,
        "error": None,
        "details": {"absent": []},
    },
    DataSyncStatus: {
        "symbol": "RELIANCE",
        "data_type": "quotes",
        "last_attempt": AT,
        "last_success": AT,
        "status": "ok",
        "records": 1,
        "consecutive_failures": 0,
        "error": None,
        "last_run": "r",
    },
    CandleRow: CANDLE,
    CandleRevision: {
        column.name: REVISION[column.name] for column in table(CandleRevision).columns
    },
    CoverageRow: {
        "instrument_key": KEY,
        "interval": "1minute",
        "trading_date": DAY,
        "expected": 4,
        "present": 2,
        "no_trade": 0,
        "source_empty": 0,
        "unknown_instrument": 0,
        "missed": 2,
        "pending": 0,
        "not_expected": 0,
        "provisional": 1,
        "stretches": [[555, 557, "present"], [557, 559, "missed"]],
        "provisional_spans": [[556, 557]],
        "attempts": 1,
        "confirmations": 0,
        "last_error": None,
        "last_attempt": AT,
        "next_attempt": None,
        "run_id": "r",
        "changed_at": AT,
    },
    SymbolConfigRow: {
        "symbol": "RELIANCE",
        "instrument_key": KEY,
        "active": True,
        "refresh_seconds": 30,
        "expiries": 1,
        "strikes": None,
        "pinned": False,
        "changed_at": AT,
    },
    InstrumentTerms: {
        "instrument_key": KEY,
        "effective_from": DAY,
        "lot_size": 500,
        "tick_size": Decimal("0.05"),
        "cas_eligible": True,
        "strike": None,
        "expiry": None,
    },
    CoverageRevisionRow: {
        "instrument_key": KEY,
        "interval": "1minute",
        "trading_date": DAY,
        "superseded_at": AT,
        "stretches": [[555, 556, "source_empty", "an answer", "r", 0]],
        "provisional_spans": [],
        "changed_at": AT,
        "run_id": "r",
    },
    LineageRevisionRow: {
        "old_key": KEY,
        "new_key": "NSE_EQ|INE467B01030",
        "superseded_at": AT,
        "valid_from": DAY,
    },
    InstrumentMasterRow: {"as_of": DAY},
    AuctionDay: {"instrument_key": KEY, "trading_date": DAY, "eligible": False, "run_id": "r"},
    FeedDisconnectRow: {
        "began": AT,
        "ended": AT + timedelta(minutes=1),
        "cause": "the connection was cut",
        "keys": 1,
        "sample": [KEY],
    },
}
# Merged as what they are together: see test_chain_merge.py.
CHAINS = {"chain_receipts", "chain_snapshots", "option_chain_data", "chain_summary"}


def put(store: Store, model: type[Base], **facts: Any) -> None:
    row = SAMPLE[model] | facts
    with store.writing() as connection:
        upsert(connection, table(model), tuple(row), [tuple(row.values())])


def only(store: Store, model: type[Base]) -> dict[str, Any]:
    with store.reading() as connection:
        [row] = connection.execute(select(table(model))).mappings()
        return dict(row)


@pytest.fixture
def opened() -> Iterator[Callable[[str], Store]]:
    stores: list[Store] = []

    def open_paper(url: str) -> Store:
        stores.append(open_store(url, World.PAPER))
        return stores[-1]

    yield open_paper
    for store in stores:
        store.close()


@pytest.fixture(
    params=[
        "sqlite to postgres",
        "sqlite to partitioned",
        "postgres to sqlite",
        "sqlite to sqlite",
    ]
)
def urls(request: pytest.FixtureRequest, tmp_path: Any) -> tuple[str, str]:
    """A source and a destination."""
    other = f"sqlite:///{tmp_path / 'other.db'}"
    src, _, dst = str(request.param).split()
    first: str = request.getfixturevalue(f"{src}_url")
    return first, other if src == dst else request.getfixturevalue(f"{dst}_url")


def test_every_table_with_rows_of_its_own_has_a_rule() -> None:
    ruled = {table(model).name for model in RULES}
    of_processes = {
        "store_meta", "candle_leases", "alerts", "alert_messages", "work_units",
        "sent_requests", "waiting_requests", "provider_pauses", "feed_candles", "feed_legs",
    }  # fmt: skip
    # Accounts of the source must not open the destination.
    accounts = {
        "accounts", "api_keys", "refresh_tokens", "sign_in_failures", "account_events",
    }  # fmt: skip
    # The files of an archive belong to the store that they were written from.
    ledger = {"archived_days", "archived_files", "archived_series"}
    assert ruled == set(Base.metadata.tables) - of_processes - accounts - ledger - CHAINS
    assert set(SAMPLE) == set(RULES)


def test_every_row_is_merged_and_a_second_merge_changes_nothing(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    for model in SAMPLE:
        put(src, model)

    no_chains = dict.fromkeys(CHAINS, 0)

    assert merge(*urls) == {table(model).name: 1 for model in SAMPLE} | no_chains
    assert {model: only(dst, model) for model in SAMPLE} == SAMPLE
    assert merge(*urls) == {table(model).name: 0 for model in SAMPLE} | no_chains


@pytest.mark.parametrize(
    ("model", "newer_by"),
    [
        pytest.param(LtpData, {"received_at": AT + timedelta(seconds=1), "ltp": 3.0}, id="quotes"),
        pytest.param(
            DataSyncStatus,
            {"last_attempt": AT + timedelta(seconds=1), "status": "absent"},
            id="status",
        ),
        pytest.param(
            InstrumentRow, {"last_seen": DAY + timedelta(days=1), "symbol": "RIL"}, id="instruments"
        ),
        pytest.param(
            InstrumentLineage,
            {"recorded": AT + timedelta(seconds=1), "reason": "rename"},
            id="lineage",
        ),
        pytest.param(
            SymbolConfigRow,
            {"changed_at": AT + timedelta(seconds=1), "active": False},
            id="what to poll",
        ),
        pytest.param(
            CandleRow, {"fetched_at": AT + timedelta(days=1), "close": 2990.0}, id="candles"
        ),
        pytest.param(
            CandleRevision,
            {"superseded_at": AT + timedelta(days=1), "close": 2990.0},
            id="revisions",
        ),
        pytest.param(
            CoverageRow,
            {
                "present": 3,
                "missed": 1,
                "provisional": 0,
                "stretches": [[555, 558, "present"], [558, 559, "missed"]],
                "provisional_spans": [],
                "changed_at": AT + timedelta(days=1),
                "run_id": "later",
            },
            id="a ledger that knows all that the other does",
        ),
    ],
)
def test_the_newer_row_remains_whichever_side_it_is_on(
    urls: tuple[str, str],
    opened: Callable[[str], Store],
    model: type[Base],
    newer_by: dict[str, Any],
) -> None:
    src, dst = map(opened, urls)
    newer = SAMPLE[model] | newer_by
    put(src, model)
    put(dst, model, **newer_by)

    assert merge(*urls)[table(model).name] == 0
    assert only(dst, model) == newer

    put(src, model, **newer_by)
    put(dst, model, **SAMPLE[model])
    assert merge(*urls)[table(model).name] == 1
    assert only(dst, model) == newer


def test_a_final_candle_is_not_replaced_by_a_newer_provisional_one(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    put(src, CandleRow)
    put(dst, CandleRow, is_final=False, fetched_at=AT + timedelta(days=1), close=2990.0)

    assert merge(*urls)["candles"] == 1
    assert only(dst, CandleRow) == CANDLE


def test_two_ledgers_of_a_day_are_combined_and_a_second_time_changes_nothing(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    proved = [558, 559, "no_trade", "quotes", "q", 1_789_000_000_000_000]
    put(
        src,
        CoverageRow,
        stretches=[[555, 556, "missed"], [556, 558, "present"], proved],
        provisional_spans=[[557, 558]],
        no_trade=1,
        missed=1,
        attempts=3,
        changed_at=AT + timedelta(hours=1),
        run_id="later",
    )
    put(dst, CoverageRow)

    assert merge(*urls)["coverage"] == 1

    assert only(dst, CoverageRow) == SAMPLE[CoverageRow] | {
        "stretches": [[555, 558, "present"], proved],
        "provisional_spans": [[557, 558]],
        "present": 3,
        "no_trade": 1,
        "missed": 0,
        "provisional": 1,
        "attempts": 3,
        "changed_at": AT + timedelta(hours=1),
        "run_id": "later",
    }
    assert merge(*urls)["coverage"] == 0


def test_terms_of_two_stores_are_merged_by_date(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    before, after, late = DAY - timedelta(days=2), DAY + timedelta(days=1), DAY + timedelta(days=4)
    for store, lots in ((src, {before: 250, DAY: 500}), (dst, {after: 500, late: 750})):
        for day, lot in lots.items():
            put(store, InstrumentTerms, effective_from=day, lot_size=lot)

    merge(*urls)

    with dst.reading() as connection:
        rows = connection.execute(select(table(InstrumentTerms))).all()
    assert sorted((row.effective_from, row.lot_size) for row in rows) == [
        (before, 250),
        (DAY, 500),
        (late, 750),
    ]
    assert merge(*urls)["instrument_terms"] == 0


def test_an_instrument_was_first_seen_when_either_saw_it_first(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    put(src, InstrumentRow, first_seen=date(2025, 2, 8), symbol="OLD", last_seen=date(2025, 2, 9))
    put(dst, InstrumentRow)

    merge(*urls)

    assert only(dst, InstrumentRow) == SAMPLE[InstrumentRow] | {"first_seen": date(2025, 2, 8)}


def test_more_rows_than_one_portion_are_merged(
    sqlite_url: str, postgres_url: str, opened: Callable[[str], Store]
) -> None:
    src = opened(sqlite_url)
    slots = [AT + timedelta(minutes=n) for n in range(12_000)]
    columns = tuple(SAMPLE[LtpData])
    rows = [tuple((SAMPLE[LtpData] | {"timestamp": slot}).values()) for slot in slots]
    with src.writing() as connection:
        upsert(connection, table(LtpData), columns, rows)
    response: list[tuple[str, int]] = []

    changed = merge(sqlite_url, postgres_url, lambda name, count: response.append((name, count)))

    assert changed["ltp_data"] == len(slots)
    assert sum(count for name, count in response if name == "ltp_data") == len(slots)


def test_of_equal_rank_the_offered_row_wins(
    urls: tuple[str, str], opened: Callable[[str], Store]
) -> None:
    src, dst = map(opened, urls)
    put(src, LtpData, ltp=2991.0)
    put(dst, LtpData)

    assert merge(*urls)["ltp_data"] == 1
    assert only(dst, LtpData)["ltp"] == 2991.0


@pytest.mark.parametrize("older_in", ["src", "dst"])
def test_the_later_success_survives_an_older_attempt(
    urls: tuple[str, str], opened: Callable[[str], Store], older_in: str
) -> None:
    stores = dict(zip(("src", "dst"), map(opened, urls), strict=True))
    later = {"last_attempt": AT + MINUTE, "last_success": None, "status": "failed"}
    for name, store in stores.items():
        put(store, DataSyncStatus, **({} if name == older_in else later))

    merge(*urls)
    merged = only(stores["dst"], DataSyncStatus)
    assert (merged["last_attempt"], merged["last_success"]) == (AT + MINUTE, AT)


@pytest.mark.parametrize("longer_in", ["src", "dst"])
def test_a_run_that_grew_stays_as_long_as_it_is(
    urls: tuple[str, str], opened: Callable[[str], Store], longer_in: str
) -> None:
    stores = dict(zip(("src", "dst"), map(opened, urls), strict=True))
    longer = {"finished_at": AT + MINUTE, "stored": 9}
    for name, store in stores.items():
        put(store, SyncRunRow, **(longer if name == longer_in else {}))

    merge(*urls)
    assert only(stores["dst"], SyncRunRow)["stored"] == 9


@pytest.mark.parametrize("missed_in", ["src", "dst"])
@pytest.mark.parametrize("known_as", ["completed", "incomplete", "failed"])
def test_a_slot_that_one_store_collected_is_missed_in_neither(
    urls: tuple[str, str], opened: Callable[[str], Store], missed_in: str, known_as: str
) -> None:
    stores = dict(zip(("src", "dst"), map(opened, urls), strict=True))
    for name, store in stores.items():
        missed = name == missed_in
        put(store, SyncRunRow, run_id=name, outcome="missed" if missed else known_as)
    really_missed = {"due_slot": AT + MINUTE, "outcome": "missed", "finished_at": AT + MINUTE}
    put(stores["src"], SyncRunRow, run_id="src too", **really_missed)
    put(stores["dst"], SyncRunRow, run_id="dst too", **really_missed | {"finished_at": AT})

    for _ in range(2):
        merge(*urls)
        assert runs_in(stores["dst"]) == [(AT, known_as), (AT + MINUTE, "missed")]


def runs_in(store: Store) -> list[tuple[datetime, str]]:
    query = select(SyncRunRow.due_slot, SyncRunRow.outcome).order_by(SyncRunRow.due_slot)
    with store.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]
