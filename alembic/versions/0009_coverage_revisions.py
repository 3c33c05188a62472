"""What the coverage ledger has taken back: its completeness as of an earlier instant."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from data_fetch.storage.database.types import Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LIST = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "coverage_revisions",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("trading_date", sa.Date(), nullable=False),
        sa.Column("superseded_at", Instant(), nullable=False),
        sa.Column("stretches", LIST, nullable=False),
        sa.Column("provisional_spans", LIST, nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "instrument_key",
            "interval",
            "trading_date",
            "superseded_at",
            name="pk_coverage_revisions",
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("coverage_revisions")
