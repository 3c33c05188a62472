"""Terms of instruments over time, option chains, and which of them to poll."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from data_fetch.storage.database.types import Exact, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEYED = {"sqlite_with_rowid": False}

instruments = sa.table(
    "instruments",
    sa.column("instrument_key"),
    sa.column("last_seen"),
    sa.column("lot_size"),
    sa.column("tick_size"),
)
terms = sa.table(
    "instrument_terms",
    sa.column("instrument_key"),
    sa.column("effective_from"),
    sa.column("lot_size"),
    sa.column("tick_size"),
)


def doubles(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.Double()) for name in names]


def quantities(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.BigInteger()) for name in names]


def snapshot_key() -> list[sa.Column]:
    return [
        sa.Column("underlying", sa.String(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=False),
        sa.Column("timestamp", Instant(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
    ]


def document(name: str) -> sa.Column:
    return sa.Column(name, sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "instrument_terms",
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("lot_size", sa.BigInteger()),
        sa.Column("tick_size", Exact()),
        sa.PrimaryKeyConstraint("instrument_key", "effective_from", name="pk_instrument_terms"),
        **KEYED,
    )
    # The terms of an instrument in the newest master are known for its date, not for earlier ones.
    op.execute(
        terms.insert().from_select(
            ["instrument_key", "effective_from", "lot_size", "tick_size"],
            sa.select(
                instruments.c.instrument_key,
                instruments.c.last_seen,
                instruments.c.lot_size,
                instruments.c.tick_size,
            ),
        )
    )

    op.create_table(
        "chain_receipts",
        sa.Column("underlying", sa.String(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("exchange_time", Instant()),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "underlying", "expiry", "source", "received_at", name="pk_chain_receipts"
        ),
        **KEYED,
    )

    op.create_table(
        "chain_snapshots",
        *snapshot_key(),
        sa.Column("exchange_time", Instant()),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("spot", sa.Double()),
        sa.Column("lot_size", sa.BigInteger()),
        sa.Column("legs", sa.Integer(), nullable=False),
        sa.Column("confirmations", sa.Integer(), nullable=False),
        sa.Column("last_confirmed", Instant(), nullable=False),
        sa.Column("set_aside", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "underlying", "expiry", "timestamp", "source", name="pk_chain_snapshots"
        ),
        **KEYED,
    )
    op.create_index(
        "ix_chain_snapshots_underlying_expiry_source_timestamp",
        "chain_snapshots",
        ["underlying", "expiry", "source", "timestamp"],
    )
    op.create_index("ix_chain_snapshots_timestamp", "chain_snapshots", ["timestamp"])

    op.create_table(
        "option_chain_data",
        *snapshot_key(),
        sa.Column("strike", Exact(), nullable=False),
        sa.Column("option_type", sa.String(), nullable=False),
        sa.Column("instrument_key", sa.String()),
        *doubles("ltp", "prev_close", "bid"),
        *quantities("bid_qty"),
        *doubles("ask"),
        *quantities("ask_qty", "total_buy_qty", "total_sell_qty", "volume", "oi", "prev_oi"),
        *doubles("volume_contracts", "oi_contracts", "prev_oi_contracts"),
        sa.Column("oi_reason", sa.String()),
        *doubles("provider_iv", "provider_delta", "provider_gamma"),
        *doubles("provider_theta", "provider_vega"),
        *doubles("price", "forward", "iv", "delta", "gamma", "theta", "vega", "rho"),
        sa.Column("reason", sa.String()),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "underlying",
            "expiry",
            "timestamp",
            "source",
            "strike",
            "option_type",
            name="pk_option_chain_data",
        ),
        **KEYED,
    )

    op.create_table(
        "chain_summary",
        *snapshot_key(),
        sa.Column("exchange_time", Instant()),
        *doubles("spot", "forward"),
        sa.Column("forward_method", sa.String()),
        sa.Column("forward_strikes", sa.Integer(), nullable=False),
        *doubles("forward_spread", "years"),
        sa.Column("priced_at", Instant()),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("convention", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        *doubles("call_oi", "put_oi", "call_volume", "put_volume", "pcr_oi", "pcr_volume"),
        *doubles("max_pain", "atm_strike", "straddle", "atm_iv", "support", "resistance"),
        *doubles("gamma_exposure"),
        sa.Column("legs", sa.Integer(), nullable=False),
        sa.Column("priced", sa.Integer(), nullable=False),
        sa.Column("age_seconds", sa.Double()),
        document("build_up"),
        document("inputs"),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "underlying", "expiry", "timestamp", "source", name="pk_chain_summary"
        ),
        **KEYED,
    )

    op.create_table(
        "symbol_config",
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("instrument_key", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("refresh_seconds", sa.Integer(), nullable=False),
        sa.Column("expiries", sa.Integer(), nullable=False),
        sa.Column("strikes", sa.Integer()),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", name="pk_symbol_config"),
        **KEYED,
    )


def downgrade() -> None:
    for table in (
        "symbol_config",
        "chain_summary",
        "option_chain_data",
        "chain_snapshots",
        "chain_receipts",
        "instrument_terms",
    ):
        op.drop_table(table)
