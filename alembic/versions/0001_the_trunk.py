"""Instruments and their lineage, quotes, the audit of runs, sync status, facts about the store."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from data_fetch.storage.database.types import Exact, Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEYED = {"sqlite_with_rowid": False}


def upgrade() -> None:
    op.create_table(
        "instruments",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("segment", sa.String(), nullable=False),
        sa.Column("instrument_type", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("isin", sa.String()),
        sa.Column("underlying_key", sa.String()),
        sa.Column("underlying_symbol", sa.String()),
        sa.Column("expiry", sa.Date()),
        sa.Column("strike", Exact()),
        sa.Column("lot_size", sa.BigInteger()),
        sa.Column("tick_size", Exact()),
        sa.Column("cas_eligible", sa.Boolean(), nullable=False),
        sa.Column("live_key", sa.String(), nullable=False),
        sa.Column("first_seen", sa.Date(), nullable=False),
        sa.Column("last_seen", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", name="pk_instruments"),
        **KEYED,
    )
    op.create_index("ix_instruments_symbol", "instruments", ["symbol"])
    op.create_index(
        "ix_instruments_underlying_key_expiry", "instruments", ["underlying_key", "expiry"]
    )
    op.create_index("ix_instruments_live_key", "instruments", ["live_key"])

    op.create_table(
        "instrument_lineage",
        sa.Column("old_key", sa.String(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("new_key", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("recorded", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("old_key", "valid_from", name="pk_instrument_lineage"),
        **KEYED,
    )

    op.create_table(
        "ltp_data",
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("timestamp", Instant(), nullable=False),
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("ltp", sa.Double(), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Double()),
        sa.Column("change_percent", sa.Double()),
        sa.Column("prev_close", sa.Double()),
        sa.Column("ltq", sa.BigInteger()),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timestamp", name="pk_ltp_data"),
        **KEYED,
    )
    op.create_index("ix_ltp_data_timestamp", "ltp_data", ["timestamp"])

    op.create_table(
        "sync_runs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("due_slot", Instant()),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("requested", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("absent", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("set_aside", sa.Integer(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("details", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_sync_runs"),
        **KEYED,
    )
    op.create_index("ix_sync_runs_job_due_slot", "sync_runs", ["job", "due_slot"])
    op.create_index("ix_sync_runs_started_at", "sync_runs", ["started_at"])

    op.create_table(
        "data_sync_status",
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("data_type", sa.String(), nullable=False),
        sa.Column("last_attempt", Instant(), nullable=False),
        sa.Column("last_success", Instant()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("last_run", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "data_type", name="pk_data_sync_status"),
        **KEYED,
    )

    op.create_table(
        "store_meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_store_meta"),
        **KEYED,
    )


def downgrade() -> None:
    for table in (
        "store_meta",
        "data_sync_status",
        "sync_runs",
        "ltp_data",
        "instrument_lineage",
        "instruments",
    ):
        op.drop_table(table)
