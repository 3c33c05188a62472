"""What was known before of the first day of a new ISIN, so that reading as of an instant has it."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineage_revisions",
        sa.Column("old_key", sa.String(), nullable=False),
        sa.Column("new_key", sa.String(), nullable=False),
        sa.Column("superseded_at", Instant(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint(
            "old_key", "new_key", "superseded_at", name="pk_lineage_revisions"
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lineage_revisions")
