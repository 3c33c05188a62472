"""Merges the rows of one store into another of the same world.

Accounts stay where they are: those of the source must not open the destination. So does the ledger
of the archive, whose files belong to one store.

Days that either store has in its archive only are not merged: they are brought back first.

Safe to repeat: of two rows with one key the better one remains, by a rule of its table. Two rows
of the coverage ledger are combined, because each may have facts that the other lacks. Option
chains are stored receipt by receipt, in order of time.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, delete, or_, select, tuple_

from data_fetch.core.archive.days import Dataset
from data_fetch.core.candles.coverage import combined
from data_fetch.core.errors import DayArchived, SetupError
from data_fetch.core.runs import Outcome
from data_fetch.storage.archive_ledger import accept_rows, days_in_files
from data_fetch.storage.candles.candles import begin_candle_writing
from data_fetch.storage.candles.coverage import COLUMNS, coverage_table, day_coverage, ledger_row
from data_fetch.storage.chains.merge import merge_chains
from data_fetch.storage.database.engine import engine_for, redacted
from data_fetch.storage.database.progress import Watcher, no_progress
from data_fetch.storage.database.store import Store, meta, open_store, refuse_invented, world_at
from data_fetch.storage.database.tables import (
    REFERENCE,
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
from data_fetch.storage.database.upsert import (
    REPLACE,
    RowValues,
    Rule,
    bulk_upsert,
    bulk_write,
    earliest,
    latest,
    upsert,
)
from data_fetch.storage.feed import ENDS_ONCE
from data_fetch.storage.instruments.instruments import MASTER
from data_fetch.storage.instruments.terms import merge_terms
from data_fetch.storage.quotes import begin_quote_writing

READ_AT_ONCE = 5_000
# Few enough to hold SQLite's write lock only briefly.
COMBINED_AT_ONCE = 300
KEYS_OF_INSTRUMENTS = {"instrument_key", "underlying_key", "new_key"}

# Which of two rows with one key is better: the newer one, by the table's own time. A table
# with provisional rows puts its flag first: ranking=("is_final", "fetched_at").
RULES: dict[type[Base], Rule] = {
    InstrumentRow: Rule(ranking=("last_seen",), combined={"first_seen": earliest}),
    InstrumentLineage: Rule(ranking=("recorded",)),
    LtpData: Rule(ranking=("received_at",)),
    SyncRunRow: Rule(ranking=("finished_at",)),
    DataSyncStatus: Rule(ranking=("last_attempt",), combined={"last_success": latest}),
    CandleRow: Rule(ranking=("is_final", "fetched_at")),
    CandleRevision: Rule(ranking=("superseded_at",)),
    CoverageRevisionRow: REPLACE,
    LineageRevisionRow: REPLACE,
    SymbolConfigRow: Rule(ranking=("changed_at",)),
    FeedDisconnectRow: ENDS_ONCE,
    # Both sides are merged by date, so that there is a row only where the terms change.
    InstrumentTerms: REPLACE,
    InstrumentMasterRow: REPLACE,
    AuctionDay: REPLACE,
    # After its candles. Each row is combined from both sides before it is written.
    CoverageRow: REPLACE,
}

DATASETS: dict[type[Base], Dataset] = {
    LtpData: Dataset.QUOTES,
    CandleRow: Dataset.CANDLES,
    CandleRevision: Dataset.CANDLES,
}


def merge(src_url: str, dst_url: str, watcher: Watcher = no_progress) -> dict[str, int]:
    """Copy the rows of *src_url* into *dst_url*; returns how many rows of each table changed there.

    *watcher* is called repeatedly with a table and how many more of its rows were read.

    Both may be SQLite or PostgreSQL. Raises WrongWorld if they belong to different worlds,
    SetupError if the source does not exist, is empty, or is the destination itself, and DayArchived
    if the source has a day in its archive only, or the destination one of which the source has
    rows; the rows before have been copied.
    """
    if engine_for(src_url).url == engine_for(dst_url).url:
        raise SetupError(f"{redacted(src_url)} cannot be merged into itself", hint="Name two.")
    world = world_at(src_url)
    with closing(open_store(src_url, world)) as src, closing(open_store(dst_url, world)) as dst:
        _refuse_archived(src)
        changed = {table(model).name: _merge_table(src, dst, model, watcher) for model in RULES}
        _drop_false_misses(dst)
        return changed | merge_chains(src, dst, watcher)


def copy_reference(src: Store, dst: Store) -> None:
    """Let *dst* know the instruments and the polled chains of *src*, a store of the same world."""
    for model in REFERENCE:
        _merge_table(src, dst, model, no_progress)
    with src.reading() as connection:
        facts = connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name == MASTER))
        rows = [tuple(row) for row in facts]
    with dst.writing() as connection:
        upsert(connection, meta, ("name", "value"), rows)


def _refuse_archived(src: Store) -> None:
    with src.reading() as connection:
        for dataset in Dataset:
            in_files = days_in_files(connection, dataset, date.min, date.max)
            if in_files:
                raise DayArchived(f"{dataset} ({src.name})", in_files)


def _drop_false_misses(dst: Store) -> None:
    """Delete the rows of slots as missed that another run of the job has: one of the two stores
    did not know of it. Of two such rows the first one stays."""
    runs, other = table(SyncRunRow).c, table(SyncRunRow).alias("other")
    missed = Outcome.MISSED.value
    earlier = tuple_(other.c.finished_at, other.c.run_id) < tuple_(runs.finished_at, runs.run_id)
    known = (
        select(other.c.run_id)
        .where(other.c.job == runs.job, other.c.due_slot == runs.due_slot)
        .where(or_(other.c.outcome != missed, earlier))
        .exists()
    )
    with dst.writing() as connection:
        connection.execute(delete(table(SyncRunRow)).where(runs.outcome == missed, known))


def _merge_table(src: Store, dst: Store, model: type[Base], watcher: Watcher) -> int:
    target = table(model)
    columns = [column.name for column in target.columns]
    with src.reading() as connection:
        rows = _streamed(connection, target, watcher)
        if model is CoverageRow:
            return _combine_ledger(dst, rows)
        if model is InstrumentTerms:
            return bulk_write(dst.writing, rows, merge_terms)
        if model in DATASETS:
            return bulk_write(lambda: _writing(dst), rows, partial(_write_dated, model, columns))
        return bulk_upsert(lambda: _writing(dst), target, columns, rows, RULES[model])


def _write_dated(
    model: type[Base], columns: Sequence[str], connection: Connection, rows: Sequence[RowValues]
) -> int:
    """Write rows of a dataset that is archived by day. Raises DayArchived."""
    instant = columns.index("timestamp")
    accept_rows(connection, DATASETS[model], (row[instant] for row in rows))
    return upsert(connection, table(model), columns, rows, RULES[model])


@contextmanager
def _writing(store: Store) -> Iterator[Connection]:
    with store.writing() as connection:
        begin_candle_writing(connection)
        begin_quote_writing(connection, ())
        yield connection


def _combine_ledger(dst: Store, rows: Iterator[RowValues]) -> int:
    changed = 0
    while several := list(islice(rows, COMBINED_AT_ONCE)):
        with _writing(dst) as connection:
            together = _together(connection, several)
            changed += upsert(connection, coverage_table, COLUMNS, together)
    return changed


def _together(connection: Connection, rows: Sequence[RowValues]) -> list[RowValues]:
    """These rows of another ledger, each combined with the stored row of its key."""
    key = [column.name for column in coverage_table.primary_key]
    offered = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    wanted = [tuple(facts[name] for name in key) for facts in offered]
    named = tuple_(*(coverage_table.c[name] for name in key))
    found = connection.execute(select(coverage_table).where(named.in_(wanted))).mappings()
    stored = {tuple(facts[name] for name in key): dict(facts) for facts in found}
    return [
        _combined_row(stored.get(name, theirs), theirs)
        for name, theirs in zip(wanted, offered, strict=True)
    ]


def _combined_row(ours: dict[str, Any], theirs: dict[str, Any]) -> RowValues:
    """With the run of the side that already had everything, else of the later one."""
    together = combined(day_coverage(ours), day_coverage(theirs))
    for known in (ours, theirs):
        if together == day_coverage(known):
            return tuple(known.values())
    later = max(ours, theirs, key=lambda facts: (facts["changed_at"], facts["run_id"]))
    return ledger_row(together, later["run_id"], later["changed_at"])


def _streamed(connection: Connection, source: Table, watcher: Watcher) -> Iterator[RowValues]:
    """Every row, read a few thousand at a time. Raises WrongWorld for one not allowed here."""
    keys = [at for at, column in enumerate(source.columns) if column.name in KEYS_OF_INSTRUMENTS]
    result = connection.execute(select(source), execution_options={"yield_per": READ_AT_ONCE})
    for rows in result.partitions():
        refuse_invented(connection, (row[at] for row in rows for at in keys))
        yield from map(tuple, rows)
        watcher(source.name, len(rows))
