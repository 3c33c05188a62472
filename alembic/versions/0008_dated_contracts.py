"""Strikes and expiries by date: the exchange adjusts the former and moves the latter."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Exact

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = ("strike", "expiry")


def upgrade() -> None:
    op.add_column("instrument_terms", sa.Column("strike", Exact(), nullable=True))
    op.add_column("instrument_terms", sa.Column("expiry", sa.Date(), nullable=True))
    # Every stored row is from a time in which these did not change.
    for name in COLUMNS:
        op.execute(
            f"UPDATE instrument_terms SET {name} = (SELECT instruments.{name} FROM instruments "
            "WHERE instruments.instrument_key = instrument_terms.instrument_key)"
        )


def downgrade() -> None:
    for name in COLUMNS:
        op.execute(f"ALTER TABLE instrument_terms DROP COLUMN {name}")
