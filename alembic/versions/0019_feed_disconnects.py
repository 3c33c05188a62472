"""Intervals without the streaming feed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from data_fetch.storage.database.types import Instant

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feed_disconnects",
        sa.Column("began", Instant(), nullable=False),
        sa.Column("ended", Instant(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("keys", sa.Integer(), nullable=False),
        sa.Column(
            "sample", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("began", name="pk_feed_disconnects"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("feed_disconnects")
