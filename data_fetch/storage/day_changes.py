"""Transactions that change where a day is read: in the store, or from its files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, delete

from data_fetch.core.archive.days import ArchivedDay, Dataset, bounds_of
from data_fetch.core.errors import DataFetchError
from data_fetch.storage.archive_ledger import day_in_ledger
from data_fetch.storage.candles.candles import begin_candle_writing
from data_fetch.storage.chains.receipts import begin_chain_writing
from data_fetch.storage.chains.rows import snapshots
from data_fetch.storage.database.store import Store
from data_fetch.storage.quotes import begin_quote_dropping

# The tables that show whether anything of a day has changed: whatever changes a leg or a summary
# changes its head.
DECISIVE: Mapping[Dataset, tuple[str, ...]] = {
    Dataset.CHAINS: ("chain_snapshots", "chain_receipts"),
    Dataset.QUOTES: ("ltp_data",),
    Dataset.CANDLES: ("candles", "candle_revisions"),
}
BEGIN_ALONE: Mapping[Dataset, Callable[[Connection], None]] = {
    Dataset.CHAINS: begin_chain_writing,
    Dataset.QUOTES: begin_quote_dropping,
    Dataset.CANDLES: begin_candle_writing,
}


class DayChanged(DataFetchError):
    """Another program has changed what the ledger says of a day."""

    def __init__(self, known: ArchivedDay) -> None:
        super().__init__(
            f"another program works on {known.dataset} of {known.trading_date}, too",
            hint="Run one archiver for each store; what was begun is finished by the next round.",
        )


@contextmanager
def changing(store: Store, known: ArchivedDay) -> Iterator[Connection]:
    """A write transaction on rows of a day that is still as *known*.

    Raises DayChanged if it is not, and as `Store.writing` does.
    """
    with store.writing() as connection:
        if day_in_ledger(connection, known.dataset, known.trading_date, hold=True) != known:
            raise DayChanged(known)
        yield connection


@contextmanager
def dropping(store: Store, known: ArchivedDay) -> Iterator[Connection]:
    """A transaction that reads a day and then lets it be read from its files.

    No row of the day is written between the first read and the end of the transaction: writers
    wait on PostgreSQL, and on SQLite the transaction fails with StoreUnreachable if another
    program has written meanwhile. Raises DayChanged if the day is not as *known*.
    """
    with store.deciding() as connection:
        BEGIN_ALONE[known.dataset](connection)
        if day_in_ledger(connection, known.dataset, known.trading_date, hold=True) != known:
            raise DayChanged(known)
        yield connection


def delete_heads(connection: Connection, known: ArchivedDay) -> None:
    """Delete the heads of a day of chains: every query begins with one, so that nothing of the
    day is found any more."""
    first, end = bounds_of(known.trading_date)
    connection.execute(
        delete(snapshots).where(snapshots.c.timestamp >= first, snapshots.c.timestamp < end)
    )
