"""Hypertables of TimescaleDB, where the extension is there and may be used.

Days are compressed when they are no longer corrected. Nothing is dropped by the extension, which
does not know what is in a verified file.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data_fetch.storage.database.partitions import TIME_COLUMNS

# Whole weeks, so that a chunk begins on a Thursday at 05:30 in India, when nothing is traded. A
# week of legs is as large as years of the other tables.
CHUNKS = dict.fromkeys(TIME_COLUMNS, "28 days") | {"option_chain_data": "7 days"}
# Quotes and candles are corrected for some days; later corrections work, and take longer.
COMPRESSED_AFTER = "7 days"


@dataclass(frozen=True, slots=True)
class Compression:
    """The columns whose values a compressed segment shares, and the order inside it."""

    segment: str
    order: str


# Heads and receipts stay rows: the search for the newest head of a chain would unpack every one.
# Revisions are few.
COMPRESSIONS: Mapping[str, Compression] = {
    "ltp_data": Compression("symbol", "timestamp"),
    "candles": Compression("instrument_key, interval", "timestamp"),
    "option_chain_data": Compression(
        "underlying, expiry, source", "timestamp, strike, option_type"
    ),
    "chain_summary": Compression("underlying, expiry, source", "timestamp"),
}

# Compression is missing from the edition under the Apache license. An extension that the server
# did not load when it started ends the session that creates it.
INSTALLED = text(
    "SELECT FROM pg_extension WHERE extname = 'timescaledb' "
    "AND coalesce(current_setting('timescaledb.license', true), 'timescale') = 'timescale'"
)
AVAILABLE = text(
    "SELECT FROM pg_available_extension_versions AS known, pg_settings AS loaded, pg_roles AS role "
    "WHERE known.name = 'timescaledb' AND loaded.name = 'shared_preload_libraries' "
    "AND loaded.setting LIKE '%timescaledb%' AND role.rolname = current_user "
    "AND (role.rolsuper OR known.trusted "
    "AND has_database_privilege(current_database(), 'CREATE')) LIMIT 1"
)
IS_HYPERTABLE = text(
    "SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = :of "
    "AND hypertable_schema = current_schema()"
)
CREATE = text(
    "SELECT create_hypertable(CAST(:of AS regclass), by_range(:time, CAST(:chunk AS interval)), "
    "create_default_indexes => false)"
)
COMPRESS_LATER = text(
    "SELECT add_compression_policy(CAST(:of AS regclass), "
    "compress_after => CAST(:after AS interval))"
)


def can_have_hypertables(connection: Connection) -> bool:
    """Whether the database has TimescaleDB with compression, or this role can give it to it."""
    return any(connection.execute(each).first() is not None for each in (INSTALLED, AVAILABLE))


def is_hypertable(connection: Connection, of: str) -> bool:
    """Whether the table *of* is a hypertable."""
    if connection.execute(INSTALLED).first() is None:
        return False
    return connection.execute(IS_HYPERTABLE, {"of": of}).first() is not None


def make_hypertable(connection: Connection, of: str, model: str) -> None:
    """Make the empty table *of* a hypertable, as the table *model* is to be one."""
    connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
    connection.execute(CREATE, {"of": of, "time": TIME_COLUMNS[model], "chunk": CHUNKS[model]})
    compression = COMPRESSIONS.get(model)
    if compression is None:
        return
    connection.exec_driver_sql(
        f"ALTER TABLE {of} SET (timescaledb.compress, "
        f"timescaledb.compress_segmentby = '{compression.segment}', "
        f"timescaledb.compress_orderby = '{compression.order}')"
    )
    connection.execute(COMPRESS_LATER, {"of": of, "after": COMPRESSED_AFTER})
