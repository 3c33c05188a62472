"""The closing auction and listings by date: eligibility in the terms, days judged by candles, and
the dates of the masters that were stored as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEYED = {"sqlite_with_rowid": False}


def upgrade() -> None:
    op.create_table(
        "instrument_masters",
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("as_of", name="pk_instrument_masters"),
    )
    op.create_table(
        "auction_days",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("trading_date", sa.Date(), nullable=False),
        sa.Column("eligible", sa.Boolean(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("instrument_key", "trading_date", name="pk_auction_days"),
        **KEYED,
    )
    eligible = sa.Column("cas_eligible", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("instrument_terms", eligible)
    _from_instruments()


def downgrade() -> None:
    op.execute("ALTER TABLE instrument_terms DROP COLUMN cas_eligible")
    op.drop_table("auction_days")
    op.drop_table("instrument_masters")


def _from_instruments() -> None:
    """What the stored instruments show: the flag of the newest master, and dates of masters."""
    day = sa.Date()
    instruments = sa.table(
        "instruments",
        sa.column("instrument_key", sa.String),
        sa.column("segment", sa.String),
        sa.column("cas_eligible", sa.Boolean),
        sa.column("first_seen", day),
        sa.column("last_seen", day),
    )
    terms = sa.table(
        "instrument_terms",
        sa.column("instrument_key", sa.String),
        sa.column("cas_eligible", sa.Boolean),
    )
    eligible = sa.select(instruments.c.instrument_key).where(instruments.c.cas_eligible)
    op.execute(
        terms.update().where(terms.c.instrument_key.in_(eligible)).values(cas_eligible=sa.true())
    )
    # Stocks and indices are stored after the contracts of their master.
    cash = instruments.c.segment != "NSE_FO"
    dates = sa.union(
        sa.select(instruments.c.first_seen).where(cash),
        sa.select(instruments.c.last_seen).where(cash),
    )
    masters = sa.table("instrument_masters", sa.column("as_of", day))
    op.execute(masters.insert().from_select(["as_of"], dates))
