"""The figures of a chain, and the build-up at each strike since a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from data_fetch.analytics.build_up import (
    Baseline,
    LegBuildUp,
    baseline_of,
    build_up,
    counts,
    previous_close,
)
from data_fetch.analytics.metrics import ChainArrays, exposure_by_leg, payout_curve
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown, SetupError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.market.session import instant_of
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_snapshots import snapshot_of
from data_fetch.reading.documents import (
    head_document,
    metrics_document,
    rounded,
    strike_number,
)
from data_fetch.reading.instants import exact_text, instant
from data_fetch.reading.seam import Question, question
from data_fetch.runtime.calendars import calendar_for
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot

PREVIOUS_CLOSE, DAY_OPEN = "previous-close", "day-open"
# The name of a baseline where the first snapshot is later than the opening by more than this.
FIRST_OF_DAY, AT_THE_OPEN = "first-of-day", timedelta(minutes=5)
USUAL_OPENING = time(9, 15)


class NoBaseline(SetupError):
    """Nothing is stored that a chain could be compared with."""


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """A baseline, its *name*, and its *snapshot* where it is a stored one."""

    name: str
    legs: Baseline
    snapshot: StoredSnapshot | None = None

    @property
    def since(self) -> datetime | None:
        """The first receipt of its snapshot."""
        return None if self.snapshot is None else self.snapshot.timestamp


@dataclass(frozen=True, slots=True)
class ChainMetrics:
    """A snapshot, the baseline it is compared with, and the build-up of each leg."""

    snapshot: StoredSnapshot
    baseline: ComparedWith
    moved: Sequence[LegBuildUp]

    def document(self) -> dict[str, Any]:
        snapshot = self.snapshot
        exposure = exposure_by_leg(ChainArrays.of(snapshot.summary.priced), snapshot.lot_size)
        return {
            **head_document(snapshot.head),
            "metrics": metrics_document(snapshot.summary),
            "baseline": {"name": self.baseline.name, "since": exact_text(self.baseline.since)},
            "build_up": counts(list(self.moved)),
            "by_strike": [
                {
                    "strike": strike_number(each.leg.strike),
                    "option_type": each.leg.option_type.value,
                    "price_change": rounded(each.price_change),
                    "oi_change": rounded(each.oi_change),
                    "build_up": each.kind,
                    "reason": each.reason,
                    "gamma_exposure": rounded(value) if np.isfinite(value) else None,
                }
                for each, value in zip(self.moved, exposure.tolist(), strict=True)
            ],
            "payout_curve": [
                {"strike": strike, "payout": payout}
                for strike, payout in payout_curve(snapshot.summary.priced)
            ],
        }


def chain_metrics(
    settings: Settings,
    underlying: str,
    expiry: date | None,
    at: datetime | None,
    source: str | None,
    baseline: str,
) -> ChainMetrics:
    """The figures of the chain in force at *at*, with its build-up since *baseline*.

    *baseline* is "previous-close", "day-open", minutes ("15m") or the ISO text of an instant.
    Without a snapshot of the opening "day-open" is the first one of the day, and named
    "first-of-day". Raises NoBaseline when no snapshot for the baseline is stored, SetupError when
    no such chain is, and for a baseline that is none of these.
    """
    with question(settings) as asked:
        found = snapshot_of(asked, underlying, expiry, at, source)
        compared = _compared_with(asked, found, baseline, settings)
    return ChainMetrics(found, compared, build_up(found.chain, compared.legs))


def opening_of(calendar: MarketCalendar, day: date) -> datetime:
    """When derivatives begin to trade on *day*; 09:15 IST on a day without trading hours."""
    try:
        spans = calendar.session(day, FUTURES_AND_OPTIONS).spans
    except CalendarUnknown:
        spans = ()
    return instant_of(spans[0][0]) if spans else datetime.combine(day, USUAL_OPENING, IST)


def _compared_with(
    asked: Question, found: StoredSnapshot, baseline: str, settings: Settings
) -> ComparedWith:
    if baseline == PREVIOUS_CLOSE:
        return ComparedWith(baseline, previous_close(found.chain))
    head, now = found.head, found.last_confirmed
    chains, source = ChainStore(asked.store).of(head.underlying), ChainSource(head.source)
    if baseline == DAY_OPEN:
        opening = opening_of(calendar_for(settings), now.astimezone(IST).date())
        asked.recall_range(chains.lineage, head.expiry, opening, now)
        heads = chains.heads_of(head.expiry, opening, now, source)
        since = heads[0].timestamp if heads else found.timestamp
        baseline = DAY_OPEN if since <= opening + AT_THE_OPEN else FIRST_OF_DAY
    else:
        since = _instant_of_baseline(baseline, now)
    asked.recall_chain(chains.lineage, head.expiry, since, source)
    snapshot = chains.snapshot_at(head.expiry, since, source)
    if snapshot is None:
        raise NoBaseline(
            f"no chain of {head.underlying} is stored as of {exact_text(since)}",
            hint="Choose another baseline.",
        )
    return ComparedWith(baseline, baseline_of(snapshot.chain), snapshot)


def _instant_of_baseline(baseline: str, now: datetime) -> datetime:
    minutes = baseline.removesuffix("m")
    if minutes + "m" == baseline and minutes.isdecimal():
        return now - timedelta(minutes=int(minutes))
    since = instant(baseline)
    assert since is not None
    return since
