"""Columns and states in the words of the trade: `set_aside` becomes `rejected`."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("sync_runs", "chain_snapshots")


def upgrade() -> None:
    _rename("set_aside", "rejected")


def downgrade() -> None:
    _rename("rejected", "set_aside")


def _rename(old: str, new: str) -> None:
    for table in TABLES:
        # Both databases rename in place; Alembic's own way would copy the table on SQLite.
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    status = sa.table("data_sync_status", sa.column("status", sa.String))
    op.execute(status.update().where(status.c.status == old).values(status=new))
