"""Option chains for tests: stored, and read back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from data_fetch.core.chains.chains import Chain, ChainLeg, ChainSource, OptionType, QuantityUnit
from data_fetch.core.chains.valuation import (
    ChainSummary,
    Forward,
    ForwardMethod,
    LegValuation,
    Metric,
    PricedChain,
    Reason,
)
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.world import World
from data_fetch.storage.chains.snapshots import ChainStore, ReceiptResult, Received, StoredSnapshot
from data_fetch.storage.database.store import WORLD, Store
from data_fetch.storage.database.tables import (
    ChainReceiptRow,
    ChainSnapshotRow,
    ChainSummaryRow,
    OptionChainData,
    StoreMeta,
    table,
)
from data_fetch.storage.instruments.instruments import save_master

OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
CLOSES = datetime(2026, 9, 22, 10, 10, tzinfo=UTC)
EXPIRY, NEXT_EXPIRY = date(2026, 9, 22), date(2026, 9, 29)
STRIKE = Decimal(24000)
LEGS = table(OptionChainData)
TABLES = [LEGS, *map(table, (ChainSnapshotRow, ChainSummaryRow, ChainReceiptRow))]
INVENTED = Instrument(
    instrument_key="NSE_EQ|ZZP000000001",
    live_key="NSE_EQ|ZZP000000001",
    symbol="INKWELL",
    segment="NSE_EQ",
    instrument_type="EQ",
)
UNPRICED = LegValuation(None, None, None, None, None, None, None, Reason.NO_PRICE)


def minute(number: int) -> datetime:
    return OPENS + timedelta(minutes=number)


def chain(spot: float = 24000.0, *legs: ChainLeg, **facts: Any) -> Chain:
    given = {
        "underlying": "NIFTY",
        "expiry": EXPIRY,
        "source": ChainSource.UPSTOX,
        "unit": QuantityUnit.SHARES,
        "exchange_time": None,
        "spot": spot,
        "legs": legs or (ChainLeg(strike=STRIKE, option_type=OptionType.CALL, ltp=100.0, oi=75.0),),
    }
    return Chain(**{**given, **facts})


def received(of: Chain, at: datetime, **facts: Any) -> Received:
    priced = PricedChain(
        chain=of,
        convention="ours",
        priced_at=at,
        expires_at=CLOSES + timedelta(days=(of.expiry - EXPIRY).days),
        provisional=False,
        years=0.02,
        rate=0.065,
        forward=Forward(value=24010.0, method=ForwardMethod.PARITY, strikes=3, spread=0.5),
        numbers=(UNPRICED,) * len(of.legs),
    )
    summary = ChainSummary(
        priced=priced,
        age_seconds=None,
        metrics={"pcr_oi": Metric(value=0.8, used=1, of=2)},
        build_up={"long_build_up": 1},
    )
    return Received(summary=summary, received_at=at, **facts)


def a_run(run_id: str = "run") -> SyncRun:
    return SyncRun(
        run_id=run_id,
        job="chains",
        due_slot=OPENS,
        started_at=OPENS,
        finished_at=OPENS,
        outcome=Outcome.COMPLETED,
    )


def keep(store: Store, *several: Received) -> list[ReceiptResult]:
    recorded = ChainStore(store).record(several, a_run(), ())
    return [each.result for each in recorded.chains]


def renewed(store: Store, *several: Received) -> list[ReceiptResult]:
    return [ChainStore(store).renew(each, a_run("anew")) for each in several]


def snapshot(store: Store, at: datetime, of: Chain | None = None) -> StoredSnapshot:
    wanted = of or chain()
    found = ChainStore(store).of(wanted.underlying).snapshot_at(wanted.expiry, at, wanted.source)
    assert found is not None
    return found


def heads(store: Store) -> list[tuple[datetime, float | None, int, datetime]]:
    """When each snapshot was received first, its spot, how often and when last."""
    found = ChainStore(store).of("NIFTY").heads_of(EXPIRY, minute(-10_000), minute(10_000))
    return [(one.timestamp, one.spot, one.confirmations, one.last_confirmed) for one in found]


def rows(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {
            of.name: connection.scalar(select(func.count()).select_from(of)) or 0 for of in TABLES
        }


def emptied(store: Store) -> Store:
    with store.writing() as connection:
        for of in TABLES:
            connection.execute(delete(of))
    return store


def mislabelled(paper: Store) -> None:
    """Store an invented stock in *paper*, and change its stamp to live by hand."""
    save_master(paper, [INVENTED], OPENS.date(), OPENS)
    meta = table(StoreMeta)
    with paper.writing() as connection:
        connection.execute(update(meta).where(meta.c.name == WORLD).values(value=World.LIVE.value))


@dataclass(frozen=True)
class ParsedResponse:
    at: int
    spot: float
    stamp: int | None

    @property
    def received(self) -> Received:
        stamp = None if self.stamp is None else minute(self.stamp)
        return received(chain(self.spot, exchange_time=stamp), minute(self.at))


histories = st.lists(
    st.builds(
        ParsedResponse,
        at=st.integers(0, 12),
        spot=st.sampled_from([1.0, 2.0]),
        stamp=st.sampled_from([None, -1, -2]),
    ),
    max_size=9,
    unique_by=lambda one: one.at,
)


def expected_heads(
    history: Sequence[ParsedResponse],
) -> list[tuple[datetime, float, int, datetime]]:
    """The definition: consecutive receipts with the same content are one snapshot."""
    in_order = sorted(history, key=lambda one: one.at)
    alike = [list(several) for _, several in groupby(in_order, lambda one: one.spot)]
    return [(minute(run[0].at), run[0].spot, len(run), minute(run[-1].at)) for run in alike]
