"""The ledger of the archive: its days, its files, and the chains in them."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Instant

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archived_days",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("trading_date", sa.Date(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "trading_date", name="pk_archived_days"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archived_files",
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("trading_date", sa.Date(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("written_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "trading_date", name="pk_archived_files"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "archived_series",
        sa.Column("trading_date", sa.Date(), nullable=False),
        sa.Column("underlying", sa.String(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("snapshots", sa.Integer(), nullable=False),
        sa.Column("legs", sa.BigInteger(), nullable=False),
        sa.Column("receipts", sa.Integer(), nullable=False),
        sa.Column("first", Instant(), nullable=True),
        sa.Column("last", Instant(), nullable=True),
        sa.Column("first_received", Instant(), nullable=True),
        sa.Column("last_received", Instant(), nullable=True),
        sa.PrimaryKeyConstraint(
            "trading_date", "underlying", "expiry", "source", name="pk_archived_series"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_archived_series_underlying_trading_date", "archived_series", ["underlying", "trading_date"]
    )


def downgrade() -> None:
    for name in ("archived_series", "archived_files", "archived_days"):
        op.drop_table(name)
