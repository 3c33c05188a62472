"""One option chain: the newest snapshot, or the one in force at an instant."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from data_fetch.core.chains.chain_lineage import ChainLineage
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.errors import NothingStored
from data_fetch.core.settings import Settings
from data_fetch.reading.documents import leg_documents, metrics_document
from data_fetch.reading.frames import DataAge, converted, form_named, one_of, rows_table
from data_fetch.reading.instants import date_of, exact_text, instant, ist_text
from data_fetch.reading.records import clock_of
from data_fetch.reading.seam import Question, question
from data_fetch.runtime.settings import process_settings
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot, UnderlyingChains
from data_fetch.storage.chains.symbol_config import SymbolConfigs
from data_fetch.storage.database.store import Store

COLUMNS = {
    "expiry": "date",
    "strike": "float",
    "option_type": "text",
    "instrument_key": "text",
    **dict.fromkeys(("ltp", "prev_close", "bid"), "float"),
    "bid_qty": "int",
    "ask": "float",
    "ask_qty": "int",
    **dict.fromkeys(("volume", "oi", "prev_oi"), "float"),
    **dict.fromkeys(("volume_contracts", "oi_contracts", "prev_oi_contracts"), "float"),
    "oi_reason": "text",
    **dict.fromkeys(("price", "iv", "delta", "gamma", "theta", "vega", "rho"), "float"),
    "reason": "text",
    **dict.fromkeys(
        ("provider_iv", "provider_delta", "provider_gamma", "provider_theta", "provider_vega"),
        "float",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegCompleteness:
    """How many *legs* a chain has, how many are *priced*, and how many were *rejected*.

    *reasons* counts the legs without a price by reason.
    """

    legs: int
    priced: int
    rejected: int
    reasons: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Every leg of the provider's response is stored and priced."""
        return self.priced == self.legs and not self.rejected

    def document(self) -> dict[str, Any]:
        return {
            "complete": self.complete,
            "legs": self.legs,
            "priced": self.priced,
            "rejected": self.rejected,
            "reasons": dict(self.reasons),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFreshness(DataAge):
    """When a chain was received first and last, how often, and from which source.

    *newest* is the last receipt of this content, so `age_seconds` counts from it.
    *exchange_time* is the provider's own stamp, None where it gives none.
    """

    received_at: datetime
    confirmations: int
    source: str
    exchange_time: datetime | None

    def document(self) -> dict[str, Any]:
        return {
            "as_of": exact_text(self.as_of),
            "newest": exact_text(self.newest),
            "age_seconds": self.age_seconds,
            "received_at": exact_text(self.received_at),
            "confirmations": self.confirmations,
            "source": self.source,
            "exchange_time": exact_text(self.exchange_time),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTable:
    """A *table* with a row per leg, lowest strike first, the call before the put.

    Columns: expiry, strike, option_type ("CE", "PE"), instrument_key, ltp, prev_close, bid,
    bid_qty, ask, ask_qty, volume, oi, prev_oi (shares; null where the lot is not known, with
    oi_reason), the same in contracts where the provider counts those, price, iv (a fraction),
    delta, gamma, theta, vega, rho (null with a reason), and the provider's own numbers.
    *metrics* are the figures of the expiry: PCR, max pain, ATM IV, straddle, walls, totals.
    """

    underlying: str
    expiry: date
    spot: float | None
    lot_size: int | None
    metrics: Mapping[str, Any]
    table: Any
    completeness: LegCompleteness
    freshness: ChainFreshness


def chain(
    underlying: str,
    expiry: date | str | None = None,
    at: datetime | str | None = None,
    *,
    source: str | None = None,
    form: str = "arrow",
    settings: Settings | None = None,
) -> ChainTable:
    """The option chain of *underlying* that was in force at *at* (now, without it).

    Without *expiry* it is the nearest one that was not over. A former symbol, and an expiry that
    was moved, are followed to the present one. *at* is an aware instant or its ISO text. Without
    *source* ("upstox", "nse") it is the one received last. The other arguments are those of
    `candles`. Raises SetupError for an invalid argument and when no such chain is
    stored, StoreUnreachable.
    """
    convert = form_named(form)
    settings, instant_of = settings or process_settings(), instant(at)
    expires = None if expiry is None else date_of(expiry)
    clock = clock_of(settings)
    with question(settings) as asked:
        found = snapshot_of(asked, underlying, expires, instant_of, source)
        as_of = instant_of or clock.now()
    head, numbers = found.head, found.summary.priced.numbers
    completeness = LegCompleteness(
        legs=len(numbers),
        priced=sum(each.iv is not None for each in numbers),
        rejected=head.rejected,
        reasons=Counter(each.reason.value for each in numbers if each.reason is not None),
    )
    freshness = ChainFreshness(
        as_of=as_of,
        newest=head.last_confirmed,
        received_at=head.timestamp,
        confirmations=head.confirmations,
        source=head.source,
        exchange_time=head.exchange_time,
    )
    return ChainTable(
        underlying=head.underlying,
        expiry=head.expiry,
        spot=head.spot,
        lot_size=head.lot_size,
        metrics=metrics_document(found.summary),
        table=converted(convert, rows_table(_legs(found), COLUMNS), completeness, freshness),
        completeness=completeness,
        freshness=freshness,
    )


def stored_chain(
    settings: Settings,
    underlying: str,
    expiry: date | None,
    at: datetime | None,
    source: str | None,
) -> tuple[StoredSnapshot, int | None]:
    """The snapshot in force at *at*, and how many strikes around the money are configured.

    Raises SetupError when no such chain is stored.
    """
    with question(settings) as asked:
        found = snapshot_of(asked, underlying, expiry, at, source)
        return found, configured_strikes(asked.store, found.head.underlying)


def snapshot_of(
    asked: Question,
    underlying: str,
    expiry: date | None,
    at: datetime | None,
    source: str | None,
) -> StoredSnapshot:
    """The newest snapshot as of *at*. Raises SetupError when there is none."""
    chains, of = ChainStore(asked.store).of(underlying), source_named(source)
    asked.recall_chain(chains.lineage, expiry, at, of)
    found = chains.snapshot_at(expiry, at, of)
    if found is None:
        raise nothing_stored(asked, chains.lineage, at)
    return found


def newest_of_each_expiry(
    asked: Question, underlying: str, at: datetime | None, source: str | None
) -> list[StoredSnapshot]:
    """The newest snapshot of each expiry that was not over. Raises SetupError without any."""
    chains, of = ChainStore(asked.store).of(underlying), source_named(source)
    asked.recall_running(chains.lineage, at, of)
    found = [
        snapshot
        for expiry in chains.expiries_at(at, of)
        if (snapshot := chains.snapshot_at(expiry, at, of)) is not None
    ]
    if not found:
        raise nothing_stored(asked, chains.lineage, at)
    return found


def source_named(source: str | None) -> ChainSource | None:
    """The source of that name. Raises SetupError for an unknown one."""
    return None if source is None else ChainSource(one_of(source, [*ChainSource], "source"))


def configured_strikes(store: Store, symbol: str) -> int | None:
    """How many strikes on each side of the money are stored of *symbol*, if configured."""
    configs = SymbolConfigs(store).all()
    return next((each.strikes for each in configs if each.symbol == symbol), None)


def nothing_stored(asked: Question, of: ChainLineage, at: datetime | None) -> NothingStored:
    """The error for a chain that is not stored, with the stored expiries or a command."""
    asked.recall_heads(of, None, at)
    symbol, stored = of.symbol, UnderlyingChains(asked.store, of).expiries_at(at)
    when = f" as of {ist_text(at)}" if at else ""
    if stored:
        days = ", ".join(day.isoformat() for day in stored)
        return NothingStored(
            f"no such chain of {symbol} is stored{when}", hint=f"There are: {days}."
        )
    return NothingStored(
        f"no chain of {symbol} is stored{when}",
        hint=f"Collect one: data-fetch chain collect --symbols '{symbol}'",
    )


def _legs(found: StoredSnapshot) -> list[dict[str, Any]]:
    documents = leg_documents(found.summary, found.lot_size)
    return [
        {
            **dict.fromkeys(COLUMNS),
            **document,
            "expiry": found.head.expiry,
            "strike": float(leg.strike),
            "prev_close": leg.prev_close,
            "instrument_key": found.instrument_keys.get(leg.key),
        }
        for leg, document in zip(found.chain.legs, documents, strict=True)
    ]
