"""Alerts: what is wrong, and the messages about it."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Instant

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("last_seen", Instant(), nullable=False),
        sa.Column("reported_at", Instant(), nullable=True),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("recovered_at", Instant(), nullable=True),
        sa.Column("flaps", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "subject", name="pk_alerts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alert_messages",
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("made_at", Instant(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt", Instant(), nullable=False),
        sa.Column("claimed_until", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", name="pk_alert_messages"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_alert_messages_made_at", "alert_messages", ["made_at"])


def downgrade() -> None:
    for name in ("alert_messages", "alerts"):
        op.drop_table(name)
