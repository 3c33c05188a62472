"""Minutes and option legs as the streaming feed has them."""

import sqlalchemy as sa
from alembic import op

from data_fetch.storage.database.types import Exact, Instant

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feed_candles",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("timestamp", Instant(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("open", "high", "low", "close")),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", "timestamp", name="pk_feed_candles"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feed_legs",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("underlying_key", sa.String(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=False),
        sa.Column("strike", Exact(), nullable=False),
        sa.Column("option_type", sa.String(), nullable=False),
        sa.Column("ltp", sa.Double(), nullable=False),
        sa.Column("prev_close", sa.Double(), nullable=True),
        sa.Column("bid", sa.Double(), nullable=True),
        sa.Column("bid_qty", sa.BigInteger(), nullable=True),
        sa.Column("ask", sa.Double(), nullable=True),
        sa.Column("ask_qty", sa.BigInteger(), nullable=True),
        sa.Column("volume", sa.BigInteger(), nullable=True),
        sa.Column("oi", sa.BigInteger(), nullable=True),
        *(
            sa.Column(name, sa.Double(), nullable=True)
            for name in ("iv", "delta", "gamma", "theta", "vega", "rho")
        ),
        sa.Column("traded_at", Instant(), nullable=True),
        sa.Column("received_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", name="pk_feed_legs"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for name in ("feed_legs", "feed_candles"):
        op.drop_table(name)
