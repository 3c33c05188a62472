"""Minutes under a key that the provider no longer knows have a state, and a count, of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    count = sa.Column("unknown_instrument", sa.Integer(), nullable=False, server_default="0")
    op.add_column("coverage", count)


def downgrade() -> None:
    op.execute("ALTER TABLE coverage DROP COLUMN unknown_instrument")
