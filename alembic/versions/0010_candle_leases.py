"""Leases of the days that a backfill requests, so that two of them send no request twice."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "candle_leases",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(
            "run_id", "instrument_key", "interval", "first_day", name="pk_candle_leases"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_candle_leases_instrument_key_interval",
        "candle_leases",
        ["instrument_key", "interval"],
    )


def downgrade() -> None:
    op.drop_table("candle_leases")
