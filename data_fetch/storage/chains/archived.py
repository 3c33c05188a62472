"""The chains of days that are in files, as the ledger of the archive counts them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Select, and_, bindparam, exists, false, func, or_, select

from data_fetch.core.archive.days import Dataset
from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.freshness import LastReceipt
from data_fetch.storage.archive_ledger import IN_FILES, archived_days, archived_series
from data_fetch.storage.database.distinct import distinct_values

if TYPE_CHECKING:
    # It needs NumPy, which short commands do without.
    from data_fetch.storage.chains.rows import SeriesKey

_days, _series = archived_days.c, archived_series.c
IS_IN_FILES = exists().where(
    _days.dataset == Dataset.CHAINS.value,
    _days.trading_date == _series.trading_date,
    _days.state.in_(IN_FILES),
)
# Made once, which takes longer than to find what it finds.
EXPIRIES = (
    select(_series.expiry)
    .where(_series.underlying == bindparam("underlying"))
    .group_by(_series.expiry)
    .order_by(_series.expiry)
)


@dataclass(frozen=True, slots=True)
class SeriesDay:
    """The day *trading_date*, in files, of the chains of one *series*."""

    series: "SeriesKey"
    trading_date: date

    @property
    def expiry(self) -> date:
        return self.series[1]


def underlyings_in_files(connection: Connection) -> list[str]:
    """Every underlying with a chain on an archived day, by name."""
    return distinct_values(connection, _series.underlying)


def expiries_in_files(connection: Connection, underlying: str) -> list[date]:
    """The expiries of its chains on archived days, nearest first."""
    return list(connection.scalars(EXPIRIES, {"underlying": underlying}))


def newest_in_files(connection: Connection, underlyings: Collection[str]) -> LastReceipt | None:
    """The last receipt of the chains of *underlyings* on days in files; None without any.

    The source's stamp is not known of it.
    """
    query = (
        select(_series.expiry, _series.source, _series.last, _series.last_received)
        .where(_series.underlying.in_(sorted(underlyings)), IS_IN_FILES)
        .order_by(_series.trading_date.desc(), _series.last_received.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return LastReceipt(
        expiry=row.expiry,
        source=ChainSource(row.source),
        received_at=row.last_received,
        exchange_time=None,
        # On a day on which nothing new was received, its own first receipt is not known.
        unchanged_since=row.last or row.last_received,
    )


def has_chain_in_files(
    connection: Connection, of: ChainLineage, expiry: date, until: datetime
) -> bool:
    """Whether a snapshot of *expiry* that was received first by *until* is in files."""
    # A part begins and ends with days.
    parts = (
        and_(
            _series.underlying == part.underlying,
            _series.expiry == part.stored_expiry,
            _series.first.between(part.first, min(part.last, until)),
        )
        for part in of.parts(of.in_force(expiry))
    )
    return bool(connection.scalar(select(exists().where(or_(false(), *parts), IS_IN_FILES))))


def newest_series_days(
    connection: Connection, underlyings: Collection[str], until: datetime
) -> list[SeriesDay]:
    """For each series of *underlyings* the last day in files on which a snapshot of it was
    received first, at or before *until*."""
    query = (
        select(_series.underlying, _series.expiry, _series.source, func.max(_series.trading_date))
        .where(_series.underlying.in_(sorted(underlyings)), _series.first <= until, IS_IN_FILES)
        .group_by(_series.underlying, _series.expiry, _series.source)
    )
    return [SeriesDay((row[0], row[1], row[2]), row[3]) for row in connection.execute(query)]


def days_with_chains(
    connection: Connection, underlyings: Collection[str], first: date, last: date
) -> list[date]:
    """The days in files from *first* to *last* with a receipt of *underlyings*, oldest first."""
    query: Select[tuple[date]] = (
        select(_series.trading_date)
        .where(
            and_(
                _series.underlying.in_(sorted(underlyings)),
                _series.trading_date.between(first, last),
                IS_IN_FILES,
            )
        )
        .distinct()
        .order_by(_series.trading_date)
    )
    return list(connection.scalars(query))
