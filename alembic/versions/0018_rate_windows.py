"""Rate windows that machines share."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Instant

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sent_requests",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("sent", Instant(), nullable=False),
        sa.Column("ends", Instant(), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "number", name="pk_sent_requests"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_sent_requests_account_api_ends", "sent_requests", ["account", "api", "ends"]
    )
    op.create_table(
        "waiting_requests",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("seen", Instant(), nullable=False),
        sa.Column("expires", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account", "number", name="pk_waiting_requests"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "provider_pauses",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account", "api", name="pk_provider_pauses"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for name in ("provider_pauses", "waiting_requests", "sent_requests"):
        op.drop_table(name)
