"""The tables. Natural keys, so that a row means the same in every database.

Prices are rupees, volumes and quantities units (shares), instants UTC. The purpose of each
table is described in its class.
"""

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from data_fetch.storage.database.types import Exact, Instant

# On SQLite the table is stored in its key, without a second copy. PostgreSQL ignores this.
KEYED = {"sqlite_with_rowid": False}


# A column that several tables share, from a class that is no table: before the table's own.
shared = partial(mapped_column, sort_order=-1)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
    )
    type_annotation_map = {  # noqa: RUF012 - the name and shape SQLAlchemy looks for
        str: String(),
        int: BigInteger(),
        float: Double(),
        bool: Boolean(),
        date: Date(),
        datetime: Instant(),
        Decimal: Exact(),
    }


class InstrumentRow(Base):
    """An instrument that the exchange trades or traded; never deleted."""

    __tablename__ = "instruments"

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str]
    segment: Mapped[str]
    instrument_type: Mapped[str]
    name: Mapped[str]
    isin: Mapped[str | None]
    underlying_key: Mapped[str | None]
    underlying_symbol: Mapped[str | None]
    expiry: Mapped[date | None]
    strike: Mapped[Decimal | None]
    lot_size: Mapped[int | None]
    tick_size: Mapped[Decimal | None]
    cas_eligible: Mapped[bool]
    live_key: Mapped[str]
    first_seen: Mapped[date]
    last_seen: Mapped[date]

    __table_args__ = (
        Index(None, "symbol"),
        Index(None, "underlying_key", "expiry"),
        Index(None, "live_key"),
        KEYED,
    )


class InstrumentLineage(Base):
    """A rename, or a new ISIN: *new_key* replaces *old_key* from *valid_from* on."""

    __tablename__ = "instrument_lineage"
    __table_args__ = KEYED

    old_key: Mapped[str] = mapped_column(primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    new_key: Mapped[str]
    reason: Mapped[str]
    recorded: Mapped[datetime]


class LineageRevisionRow(Base):
    """From which day on a new ISIN was valid, as was known until *superseded_at*."""

    __tablename__ = "lineage_revisions"
    __table_args__ = KEYED

    old_key: Mapped[str] = mapped_column(primary_key=True)
    new_key: Mapped[str] = mapped_column(primary_key=True)
    superseded_at: Mapped[datetime] = mapped_column(primary_key=True)
    valid_from: Mapped[date]


class LtpData(Base):
    """The last price of one symbol at the end of the slot *timestamp*."""

    __tablename__ = "ltp_data"

    symbol: Mapped[str] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(primary_key=True)
    instrument_key: Mapped[str]
    ltp: Mapped[float]
    volume: Mapped[int | None]
    change: Mapped[float | None]
    change_percent: Mapped[float | None]
    prev_close: Mapped[float | None]
    ltq: Mapped[int | None]
    off_session: Mapped[bool]
    received_at: Mapped[datetime]
    source: Mapped[str]
    run_id: Mapped[str]

    # The key serves queries for one symbol, this index those for all symbols of some slots.
    __table_args__ = (Index(None, "timestamp"), KEYED)


class SyncRunRow(Base):
    """The audit: one row per execution of a job, or per missed slot."""

    __tablename__ = "sync_runs"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    job: Mapped[str]
    due_slot: Mapped[datetime | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    outcome: Mapped[str]
    requested: Mapped[int] = mapped_column(Integer)
    stored: Mapped[int] = mapped_column(Integer)
    absent: Mapped[int] = mapped_column(Integer)
    quarantined: Mapped[int] = mapped_column(Integer)
    rejected: Mapped[int] = mapped_column(Integer)
    requests: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)
    # JSONB and not JSON: the upsert compares rows, and JSON has no equality.
    details: Mapped[dict[str, Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))

    __table_args__ = (Index(None, "job", "due_slot"), Index(None, "started_at"), KEYED)


class DataSyncStatus(Base):
    """The result of the last attempts on one symbol."""

    __tablename__ = "data_sync_status"
    __table_args__ = KEYED

    symbol: Mapped[str] = mapped_column(primary_key=True)
    data_type: Mapped[str] = mapped_column(primary_key=True)
    last_attempt: Mapped[datetime]
    last_success: Mapped[datetime | None]
    status: Mapped[str]
    records: Mapped[int]
    consecutive_failures: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)
    last_run: Mapped[str]


class CandleColumns:
    """The columns that a candle and its former versions share."""

    instrument_key: Mapped[str] = shared(primary_key=True)
    interval: Mapped[str] = shared(primary_key=True)
    timestamp: Mapped[datetime] = shared(primary_key=True)
    open: Mapped[float] = shared()
    high: Mapped[float] = shared()
    low: Mapped[float] = shared()
    close: Mapped[float] = shared()
    volume: Mapped[int] = shared()
    oi: Mapped[int | None] = shared()
    kind: Mapped[str] = shared()
    source: Mapped[str] = shared()
    is_final: Mapped[bool] = shared()
    fetched_at: Mapped[datetime] = shared()
    run_id: Mapped[str] = shared()


class CandleRow(CandleColumns, Base):
    """What was traded in the minute, or on the day, that begins at *timestamp*."""

    __tablename__ = "candles"
    __table_args__ = KEYED


class CandleRevision(CandleColumns, Base):
    """A former version of a candle: valid from *fetched_at* until *superseded_at*.

    The first version has revision 1.
    """

    __tablename__ = "candle_revisions"

    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    superseded_at: Mapped[datetime]

    __table_args__ = (Index(None, "timestamp"), KEYED)


class CoverageRow(Base):
    """One instrument, interval and trading date, its minutes counted by state.

    *stretches* is the day as intervals, the counts are their sums; *pending* and *missed* are
    as of *changed_at*. An instrument-day without a row was never requested.
    """

    __tablename__ = "coverage"

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    expected: Mapped[int] = mapped_column(Integer)
    present: Mapped[int] = mapped_column(Integer)
    no_trade: Mapped[int] = mapped_column(Integer)
    source_empty: Mapped[int] = mapped_column(Integer)
    unknown_instrument: Mapped[int] = mapped_column(Integer, server_default="0")
    missed: Mapped[int] = mapped_column(Integer)
    pending: Mapped[int] = mapped_column(Integer)
    not_expected: Mapped[int] = mapped_column(Integer)
    provisional: Mapped[int] = mapped_column(Integer)
    stretches: Mapped[list[Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    provisional_spans: Mapped[list[Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    attempts: Mapped[int] = mapped_column(Integer)
    confirmations: Mapped[int] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(Text)
    last_attempt: Mapped[datetime | None]
    next_attempt: Mapped[datetime | None]
    run_id: Mapped[str]
    changed_at: Mapped[datetime]

    # The key serves queries for one instrument, this index those for all instruments of a day.
    __table_args__ = (Index(None, "interval", "trading_date"), KEYED)


class CoverageRevisionRow(Base):
    """What a row of `coverage` had settled, or as provisional, until *superseded_at*."""

    __tablename__ = "coverage_revisions"
    __table_args__ = KEYED

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    superseded_at: Mapped[datetime] = mapped_column(primary_key=True)
    stretches: Mapped[list[Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    provisional_spans: Mapped[list[Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    changed_at: Mapped[datetime]
    run_id: Mapped[str]


class InstrumentMasterRow(Base):
    """A date whose instrument master was stored as a whole: what it lacked was not listed."""

    __tablename__ = "instrument_masters"

    as_of: Mapped[date] = mapped_column(primary_key=True)


class CandleLeaseRow(Base):
    """Days of candles that the run *run_id* requests at present, until *expires_at* at most."""

    __tablename__ = "candle_leases"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    last_day: Mapped[date]
    expires_at: Mapped[datetime]

    __table_args__ = (Index(None, "instrument_key", "interval"), KEYED)


class InstrumentTerms(Base):
    """Lot, tick, eligibility for the closing auction, strike and expiry from *effective_from* on,
    the date of the first master that had them.

    There is a row only where the terms differ from those before; before the first one they are
    unknown.
    """

    __tablename__ = "instrument_terms"
    __table_args__ = KEYED

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    effective_from: Mapped[date] = mapped_column(primary_key=True)
    lot_size: Mapped[int | None]
    tick_size: Mapped[Decimal | None]
    cas_eligible: Mapped[bool] = mapped_column(server_default=false())
    strike: Mapped[Decimal | None]
    expiry: Mapped[date | None]


class AuctionDay(Base):
    """A day on which the candles of a stock show whether it took part in the closing auction, and
    differ in that from `instrument_terms`."""

    __tablename__ = "auction_days"
    __table_args__ = KEYED

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    eligible: Mapped[bool]
    run_id: Mapped[str]


class ChainReceiptRow(Base):
    """A chain received from *source* at *received_at*, with the hash of its content.

    Consecutive receipts with the same content make one snapshot, whose timestamp is the first's.
    """

    __tablename__ = "chain_receipts"
    __table_args__ = KEYED

    underlying: Mapped[str] = mapped_column(primary_key=True)
    expiry: Mapped[date] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    exchange_time: Mapped[datetime | None]
    content_hash: Mapped[str]
    run_id: Mapped[str]


class SnapshotKey:
    """The key of a snapshot: its chain, its source, and when it was received first."""

    underlying: Mapped[str] = shared(primary_key=True)
    expiry: Mapped[date] = shared(primary_key=True)
    timestamp: Mapped[datetime] = shared(primary_key=True)
    source: Mapped[str] = shared(primary_key=True)


class SnapshotFacts:
    """The facts of a whole chain that the snapshot and its summary share."""

    exchange_time: Mapped[datetime | None] = shared()
    spot: Mapped[float | None] = shared()
    unit: Mapped[str] = shared()


class ChainSnapshotRow(SnapshotKey, SnapshotFacts, Base):
    """One content of a chain, first received at *timestamp* and last at *last_confirmed*.

    *confirmations* counts its receipts, the first included; *lot_size* is the one in force that
    day, null if unknown; *rejected* counts legs whose values are impossible.
    """

    __tablename__ = "chain_snapshots"

    content_hash: Mapped[str]
    lot_size: Mapped[int | None]
    legs: Mapped[int] = mapped_column(Integer)
    confirmations: Mapped[int] = mapped_column(Integer)
    last_confirmed: Mapped[datetime]
    rejected: Mapped[int] = mapped_column(Integer)
    run_id: Mapped[str]

    # The key serves queries for the newest snapshot of a chain; these indexes serve the newest from
    # one source, even if another source has reported since, and all chains of some minutes.
    __table_args__ = (
        Index(None, "underlying", "expiry", "source", "timestamp"),
        Index(None, "timestamp"),
        KEYED,
    )


class OptionChainData(SnapshotKey, Base):
    """One leg of a snapshot: market data, the provider's numbers, and our own.

    *volume*, *oi* and *prev_oi* are shares; the contracts of a source that reports contracts are
    stored beside them, and *oi_reason* is why one could not be converted to shares. The quantities
    of the order book are shares. Our numbers are derived from *price*; *reason* is why there are
    none.
    """

    __tablename__ = "option_chain_data"
    # The rows of a snapshot are stored together. A contract over time is looked up by its
    # snapshots: for an index of its own every snapshot would have to be written in as many places
    # as it has legs.
    __table_args__ = KEYED

    strike: Mapped[Decimal] = mapped_column(primary_key=True)
    option_type: Mapped[str] = mapped_column(primary_key=True)
    instrument_key: Mapped[str | None]
    ltp: Mapped[float | None]
    prev_close: Mapped[float | None]
    bid: Mapped[float | None]
    bid_qty: Mapped[int | None]
    ask: Mapped[float | None]
    ask_qty: Mapped[int | None]
    total_buy_qty: Mapped[int | None]
    total_sell_qty: Mapped[int | None]
    volume: Mapped[int | None]
    oi: Mapped[int | None]
    prev_oi: Mapped[int | None]
    volume_contracts: Mapped[float | None]
    oi_contracts: Mapped[float | None]
    prev_oi_contracts: Mapped[float | None]
    oi_reason: Mapped[str | None]
    provider_iv: Mapped[float | None]
    provider_delta: Mapped[float | None]
    provider_gamma: Mapped[float | None]
    provider_theta: Mapped[float | None]
    provider_vega: Mapped[float | None]
    price: Mapped[float | None]
    forward: Mapped[float | None]
    iv: Mapped[float | None]
    delta: Mapped[float | None]
    gamma: Mapped[float | None]
    theta: Mapped[float | None]
    vega: Mapped[float | None]
    rho: Mapped[float | None]
    reason: Mapped[str | None]
    run_id: Mapped[str]


class ChainSummaryRow(SnapshotKey, SnapshotFacts, Base):
    """The figures of a snapshot. Open interest and volume are in its *unit*.

    *inputs* has for each figure a list: of how many legs it is, of how many it could be, and if
    there is any the reason why it is missing, then its value if it has no column; *priced_at* is
    the instant of the prices, *age_seconds* their age when they were received.
    """

    __tablename__ = "chain_summary"
    __table_args__ = KEYED

    forward: Mapped[float | None]
    forward_method: Mapped[str | None]
    forward_strikes: Mapped[int] = mapped_column(Integer)
    forward_spread: Mapped[float | None]
    years: Mapped[float | None]
    priced_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    provisional: Mapped[bool]
    rate: Mapped[float]
    convention: Mapped[str]
    call_oi: Mapped[float | None]
    put_oi: Mapped[float | None]
    call_volume: Mapped[float | None]
    put_volume: Mapped[float | None]
    pcr_oi: Mapped[float | None]
    pcr_volume: Mapped[float | None]
    max_pain: Mapped[float | None]
    atm_strike: Mapped[float | None]
    straddle: Mapped[float | None]
    atm_iv: Mapped[float | None]
    support: Mapped[float | None]
    resistance: Mapped[float | None]
    gamma_exposure: Mapped[float | None]
    legs: Mapped[int] = mapped_column(Integer)
    priced: Mapped[int] = mapped_column(Integer)
    age_seconds: Mapped[float | None]
    build_up: Mapped[dict[str, Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    inputs: Mapped[dict[str, Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    run_id: Mapped[str]


class SymbolConfigRow(Base):
    """Which option chains to poll: of how many expiries, and how often.

    *strikes* is how many to store on each side of the money; null: all.
    """

    __tablename__ = "symbol_config"
    __table_args__ = KEYED

    symbol: Mapped[str] = mapped_column(primary_key=True)
    instrument_key: Mapped[str]
    active: Mapped[bool]
    refresh_seconds: Mapped[int] = mapped_column(Integer)
    expiries: Mapped[int] = mapped_column(Integer)
    strikes: Mapped[int | None] = mapped_column(Integer)
    pinned: Mapped[bool]
    changed_at: Mapped[datetime]


class ArchivedDayRow(Base):
    """A day of a dataset that has files in the archive, and whether it is still in the store."""

    __tablename__ = "archived_days"
    __table_args__ = KEYED

    dataset: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    state: Mapped[str]
    generation: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime]
    run_id: Mapped[str]


class ArchivedFileRow(Base):
    """The file of one table and day: its place in the archive, and how to recognise it."""

    __tablename__ = "archived_files"
    __table_args__ = KEYED

    table_name: Mapped[str] = mapped_column(primary_key=True)
    trading_date: Mapped[date] = mapped_column(primary_key=True)
    path: Mapped[str]
    rows: Mapped[int]
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    digest: Mapped[str]
    schema_version: Mapped[int] = mapped_column(Integer)
    written_at: Mapped[datetime]


class ArchivedSeriesRow(Base):
    """The chains of one underlying, expiry and source on an archived day, counted."""

    __tablename__ = "archived_series"

    trading_date: Mapped[date] = mapped_column(primary_key=True)
    underlying: Mapped[str] = mapped_column(primary_key=True)
    expiry: Mapped[date] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    snapshots: Mapped[int] = mapped_column(Integer)
    legs: Mapped[int]
    receipts: Mapped[int] = mapped_column(Integer)
    first: Mapped[datetime | None]
    last: Mapped[datetime | None]
    first_received: Mapped[datetime | None]
    last_received: Mapped[datetime | None]

    # The key serves a day, this index the days of one underlying.
    __table_args__ = (Index(None, "underlying", "trading_date"), KEYED)


class WorkUnitRow(Base):
    """A unit of work that several processes share: its state, and its last failure.

    *enqueued_at*: when its key was last sent to the broker, empty if it has to be. *holder* is the
    run that has or had its lease. The instants are on the clock of the machine, not the market's.
    """

    __tablename__ = "work_units"

    key: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject: Mapped[dict[str, Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str | None]
    error: Mapped[str | None]
    holder: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    next_try: Mapped[datetime]
    enqueued_at: Mapped[datetime | None]
    offered_at: Mapped[datetime]
    changed_at: Mapped[datetime]

    __table_args__ = (Index(None, "state", "next_try"), KEYED)


class AccountRow(Base):
    """An account; never deleted, so that its events keep their meaning.

    Access tokens of an earlier *generation* are void. *password_hash* is Argon2's.
    """

    __tablename__ = "accounts"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    generation: Mapped[int] = mapped_column(Integer)

    __table_args__ = (Index(None, "email", unique=True), KEYED)


class ApiKeyRow(Base):
    """An API key of an account: its SHA-256 and the first characters, never the key.

    *last_used_at* is exact to a minute.
    """

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    name: Mapped[str]
    shown: Mapped[str]
    key_hash: Mapped[str]
    scopes: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "key_hash", unique=True), Index(None, "account_id"), KEYED)


class RefreshTokenRow(Base):
    """The refresh tokens that follow from one time of signing in: the SHA-256 of the one that is
    valid. Any other one of the *family* was used before."""

    __tablename__ = "refresh_tokens"

    family: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    token_hash: Mapped[str]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "account_id"), Index(None, "expires_at"), KEYED)


class SignInFailureRow(Base):
    """Failures in a row to sign in: to an account (by a digest of its address) or from a network
    address."""

    __tablename__ = "sign_in_failures"

    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime]

    __table_args__ = (Index(None, "last_at"), KEYED)


class AccountEventRow(Base):
    """The audit of accounts: a change, or *count* refusals, *at* an instant. No secrets."""

    __tablename__ = "account_events"
    __table_args__ = KEYED

    at: Mapped[datetime] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    email: Mapped[str | None]
    address: Mapped[str | None]
    request_id: Mapped[str | None]
    detail: Mapped[str | None]
    count: Mapped[int] = mapped_column(Integer)


class AlertRow(Base):
    """What is or was wrong, by rule and subject; instants on the system's clock."""

    __tablename__ = "alerts"
    __table_args__ = KEYED

    rule: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    severity: Mapped[int] = mapped_column(Integer)
    title: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]
    last_seen: Mapped[datetime]
    reported_at: Mapped[datetime | None]
    reports: Mapped[int] = mapped_column(Integer)
    recovered_at: Mapped[datetime | None]
    flaps: Mapped[int] = mapped_column(Integer)


class AlertMessageRow(Base):
    """A message about alerts to one channel, waiting or sent; instants on the system's clock."""

    __tablename__ = "alert_messages"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str]
    made_at: Mapped[datetime]
    kind: Mapped[str]
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt: Mapped[datetime]
    claimed_until: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "made_at"), KEYED)


class SentRequestRow(Base):
    """A request that was *sent* to a provider and counts in its windows from *ends* on: its
    response, or the latest possible instant of one. Deleted when it is in no window any more."""

    __tablename__ = "sent_requests"

    account: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    api: Mapped[str]
    sent: Mapped[datetime]
    ends: Mapped[datetime]
    answered: Mapped[bool]

    __table_args__ = (Index(None, "account", "api", "ends"), KEYED)


class WaitingRequestRow(Base):
    """A request that waits for permission: by lane, then by ticket. Its process last asked when it
    was *seen*, and is taken for dead when it *expires*."""

    __tablename__ = "waiting_requests"
    __table_args__ = KEYED

    account: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    api: Mapped[str]
    lane: Mapped[int] = mapped_column(Integer)
    ticket: Mapped[int]
    seen: Mapped[datetime]
    expires: Mapped[datetime]


class ProviderPauseRow(Base):
    """Until when a provider wants no request to an API."""

    __tablename__ = "provider_pauses"
    __table_args__ = KEYED

    account: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class FeedDisconnectRow(Base):
    """An interval without the streaming feed; it lasts while *ended* is null. *sample* has some
    of its *keys*, which are counted."""

    __tablename__ = "feed_disconnects"
    __table_args__ = KEYED

    began: Mapped[datetime] = mapped_column(primary_key=True)
    ended: Mapped[datetime | None]
    cause: Mapped[str] = mapped_column(Text)
    keys: Mapped[int] = mapped_column(Integer)
    sample: Mapped[list[Any]] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))


class FeedCandleRow(Base):
    """A minute of today as the streaming feed has it: provisional, and gone the next day.

    *is_whole*: a later minute of the instrument was seen.
    """

    __tablename__ = "feed_candles"
    __table_args__ = KEYED

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    timestamp: Mapped[datetime] = mapped_column(primary_key=True)
    open: Mapped[float]
    high: Mapped[float]
    low: Mapped[float]
    close: Mapped[float]
    volume: Mapped[int]
    is_whole: Mapped[bool]
    received_at: Mapped[datetime]


class FeedLegRow(Base):
    """The newest tick of an option contract today, gone the next day. *volume* and *oi* are shares,
    *iv* is a fraction; the greeks are the provider's."""

    __tablename__ = "feed_legs"
    __table_args__ = KEYED

    instrument_key: Mapped[str] = mapped_column(primary_key=True)
    underlying_key: Mapped[str]
    expiry: Mapped[date]
    strike: Mapped[Decimal]
    option_type: Mapped[str]
    ltp: Mapped[float]
    prev_close: Mapped[float | None]
    bid: Mapped[float | None]
    bid_qty: Mapped[int | None]
    ask: Mapped[float | None]
    ask_qty: Mapped[int | None]
    volume: Mapped[int | None]
    oi: Mapped[int | None]
    iv: Mapped[float | None]
    delta: Mapped[float | None]
    gamma: Mapped[float | None]
    theta: Mapped[float | None]
    vega: Mapped[float | None]
    rho: Mapped[float | None]
    traded_at: Mapped[datetime | None]
    received_at: Mapped[datetime]


class StoreMeta(Base):
    """Facts about the store: world, leader, fencing number, digest of the last master, state of
    the feed."""

    __tablename__ = "store_meta"
    __table_args__ = KEYED

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


# What does not come from collecting prices.
REFERENCE: tuple[type[Base], ...] = (
    InstrumentRow,
    InstrumentLineage,
    LineageRevisionRow,
    InstrumentTerms,
    InstrumentMasterRow,
    AuctionDay,
    SymbolConfigRow,
)


def table(model: type[Base]) -> Table:
    """The Core table of a model."""
    described = model.__table__
    assert isinstance(described, Table)
    return described
