"""Chains as `reading.chain_metrics` returns them, without a store."""

from option_chains import AT

from data_fetch.analytics.build_up import baseline_of, build_up, previous_close
from data_fetch.analytics.chain_pricing import price_chains
from data_fetch.analytics.conventions import OWN
from data_fetch.analytics.summary import Subject, summarise
from data_fetch.core.chains.chains import Chain
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.reading.chain_metrics import PREVIOUS_CLOSE, ChainMetrics, ComparedWith
from data_fetch.storage.chains.rows import SnapshotHead, StoredSnapshot

CALENDAR = MarketCalendar.reviewed()


def stored(chain: Chain, lot_size: int | None = None) -> StoredSnapshot:
    """*chain* as it is stored when it was received at AT."""
    [priced] = price_chains([chain], AT, OWN, CALENDAR)
    [summary] = summarise([Subject(priced, AT, lot_size)])
    head = SnapshotHead(
        underlying=chain.underlying,
        expiry=chain.expiry,
        timestamp=AT,
        source=chain.source,
        exchange_time=None,
        content_hash="",
        unit=chain.unit,
        spot=chain.spot,
        lot_size=lot_size,
        legs=len(chain.legs),
        confirmations=1,
        last_confirmed=AT,
        rejected=0,
        run_id="run",
    )
    return StoredSnapshot(head=head, summary=summary, instrument_keys={})


def shown(chain: Chain, lot_size: int | None = None) -> ChainMetrics:
    """*chain* compared with its previous close."""
    baseline = previous_close(chain)
    compared = ComparedWith(PREVIOUS_CLOSE, baseline)
    return ChainMetrics(stored(chain, lot_size), compared, build_up(chain, baseline))


def shown_since(chain: Chain, before: Chain) -> ChainMetrics:
    """*chain* compared with an earlier snapshot."""
    baseline = baseline_of(before)
    compared = ComparedWith("15m", baseline, stored(before))
    return ChainMetrics(stored(chain), compared, build_up(chain, baseline))
