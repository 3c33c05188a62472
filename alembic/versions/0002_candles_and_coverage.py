"""Candles, their former versions, and the coverage ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from data_fetch.storage.database.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEYED = {"sqlite_with_rowid": False}


def values() -> list[sa.Column]:
    """The values of a candle and their provenance."""
    return [
        sa.Column("open", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("oi", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("fetched_at", Instant(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "candles",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("timestamp", Instant(), nullable=False),
        *values(),
        sa.PrimaryKeyConstraint("instrument_key", "interval", "timestamp", name="pk_candles"),
        **KEYED,
    )

    op.create_table(
        "candle_revisions",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("timestamp", Instant(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        *values(),
        sa.Column("superseded_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(
            "instrument_key", "interval", "timestamp", "revision", name="pk_candle_revisions"
        ),
        **KEYED,
    )
    op.create_index("ix_candle_revisions_timestamp", "candle_revisions", ["timestamp"])

    op.create_table(
        "coverage",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("trading_date", sa.Date(), nullable=False),
        *(
            sa.Column(count, sa.Integer(), nullable=False)
            for count in (
                "expected",
                "present",
                "no_trade",
                "source_empty",
                "missed",
                "pending",
                "not_expected",
                "provisional",
            )
        ),
        sa.Column("stretches", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column(
            "provisional_spans", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("confirmations", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("last_attempt", Instant()),
        sa.Column("next_attempt", Instant()),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", "interval", "trading_date", name="pk_coverage"),
        **KEYED,
    )
    op.create_index("ix_coverage_interval_trading_date", "coverage", ["interval", "trading_date"])


def downgrade() -> None:
    for table in ("coverage", "candle_revisions", "candles"):
        op.drop_table(table)
