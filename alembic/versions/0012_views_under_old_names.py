"""Read-only views of option chains, for queries written for an older collector.

PostgreSQL has them in the schema `optionchain`, SQLite with `optionchain_` before their names. So
has a PostgreSQL database whose administrator lets this role create no schema.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SCHEMA = "optionchain"
SCHEMA_PREFIX, NAME_PREFIX = f"{SCHEMA}.", f"{SCHEMA}_"
NAMES = ("option_chain_data", "symbol_config")
INDEX = "ix_optionchain_newest"

# Shares, rupees, percent. Beside the former columns: where the leg is from, the provider's figures.
LEGS = """
CREATE VIEW {name} AS SELECT
    {timestamp} AS timestamp,
    legs.underlying AS symbol,
    legs.instrument_key,
    legs.expiry AS expiry_date,
    {strike} AS strike_price,
    legs.option_type,
    legs.ltp,
    legs.volume,
    legs.oi,
    legs.prev_oi,
    legs.oi - legs.prev_oi AS chg_oi,
    legs.prev_close AS close_price,
    legs.ltp - legs.prev_close AS change,
    legs.iv * 100 AS iv,
    legs.delta,
    legs.gamma,
    legs.theta,
    legs.vega,
    {spot} AS spot_price,
    legs.source,
    legs.provider_iv * 100 AS provider_iv,
    legs.provider_delta,
    legs.provider_gamma,
    legs.provider_theta,
    legs.provider_vega
FROM {tables}
"""
CONFIG = """
CREATE VIEW {name} AS SELECT
    symbol,
    instrument_key,
    active AS is_active,
    refresh_seconds AS refresh_interval_seconds,
    {changed_at} AS last_updated
FROM symbol_config{read_only}
"""
SAME_SNAPSHOT = " AND ".join(
    f"legs.{column} = heads.{column}" for column in ("underlying", "expiry", "timestamp", "source")
)

# PostgreSQL finds the newest instant in an index only if the view has a single table, and refuses
# changes through a view only if it has several. The second one here is gone when it is planned.
READ_ONLY = " CROSS JOIN (SELECT 1) AS read_only"
POSTGRESQL = {
    "timestamp": "legs.timestamp",
    "strike": "CAST(legs.strike AS double precision)",
    "spot": f"(SELECT heads.spot FROM chain_snapshots AS heads WHERE {SAME_SNAPSHOT})",
    "tables": f"option_chain_data AS legs{READ_ONLY}",
    "changed_at": "changed_at",
    "read_only": READ_ONLY,
}


def as_text(column: str) -> str:
    """An instant of SQLite as 2026-09-16 03:45:00.000000+00:00, which sorts as the instant does."""
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06d+00:00', {column} % 1000000)"


SQLITE = {
    "timestamp": as_text("heads.timestamp"),
    "strike": "legs.strike / 10000.0",
    "spot": "heads.spot",
    # A cross join is read from left to right: the heads by the index, then the legs of each.
    "tables": f"chain_snapshots AS heads CROSS JOIN option_chain_data AS legs ON {SAME_SNAPSHOT}",
    "changed_at": as_text("changed_at"),
    "read_only": "",
}


def upgrade() -> None:
    if is_sqlite():
        words = SQLITE
        # SQLite finds an expression in an index if it is written in the same way.
        execute(f"CREATE INDEX {INDEX} ON chain_snapshots (underlying, {as_text('timestamp')})")
    else:
        words = POSTGRESQL
        op.create_index(INDEX, "option_chain_data", ["underlying", "timestamp"])
    prefix = SCHEMA_PREFIX if not is_sqlite() and schema_can_be_used() else NAME_PREFIX
    for name, view in zip(NAMES, (LEGS, CONFIG), strict=True):
        execute(view.format(name=f"{prefix}{name}", **words))


def downgrade() -> None:
    # The schema stays: others may have put something into it.
    in_schema = not is_sqlite() and not exists(f"{NAME_PREFIX}{NAMES[0]}")
    for name in NAMES:
        execute(f"DROP VIEW {SCHEMA_PREFIX if in_schema else NAME_PREFIX}{name}")
    execute(f"DROP INDEX {INDEX}")


def is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def schema_can_be_used() -> bool:
    """Whether the views can be in the schema of PostgreSQL, which is created if it is missing."""
    if context.is_offline_mode():
        execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        return True
    if answer("to_regnamespace", SCHEMA) is not None:
        free = not any(exists(f"{SCHEMA_PREFIX}{name}") for name in NAMES)
        return free and bool(answer("has_schema_privilege", SCHEMA, "CREATE"))
    if not answer("has_database_privilege", sa.func.current_database(), "CREATE"):
        return False
    execute(f"CREATE SCHEMA {SCHEMA}")
    return True


def exists(name: str) -> bool:
    return not context.is_offline_mode() and answer("to_regclass", name) is not None


def answer(question: str, *about: object) -> object:
    """What a function of PostgreSQL returns."""
    return op.get_bind().scalar(sa.select(getattr(sa.func, question)(*about)))


def execute(statement: str) -> None:
    """Run a statement as it stands: SQLAlchemy would take what follows a colon for a parameter."""
    op.execute(sa.text(statement.replace(":", r"\:")))
