"""The candle rows recounted, and compared with the calendar and with the coverage ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.findings import Difference, Finding, FindingKind
from data_fetch.core.settings import Settings
from data_fetch.core.spans import Spans
from data_fetch.reading.coverage_days import DayRange, coverage_query
from data_fetch.reading.coverage_gaps import minute_text
from data_fetch.reading.records import records_for
from data_fetch.storage.candles.audit import recount
from data_fetch.storage.candles.repair import Repair
from data_fetch.storage.candles.repair import repair as mend

__all__ = ["Audit", "Difference", "Finding", "FindingKind", "audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How many instrument-days and candles were recounted, and what was found.

    *differences* are the minutes of the findings of the kind `minutes`. *repaired* are the days
    that were mended, and the candles that were deleted.
    """

    interval: CandleInterval
    first: date
    last: date
    days: int
    candles: int
    differences: Sequence[Difference]
    findings: Sequence[Finding]
    repaired: Repair

    @property
    def counts(self) -> Mapping[FindingKind, int]:
        """The days with findings of each kind."""
        found = Counter(one.kind for one in self.findings)
        return {kind: found[kind] for kind in FindingKind if found[kind]}

    def document(self) -> dict[str, Any]:
        return {
            "checked_days": self.days,
            "candles": self.candles,
            "differences": [
                {
                    "symbol": one.instrument.symbol,
                    "instrument_key": one.instrument.instrument_key,
                    "interval": self.interval.value,
                    "trading_date": one.day.isoformat(),
                    "ledger_present": one.ledger_present,
                    "candles_present": one.candles_present,
                    "only_in_ledger": _times(one.only_in_ledger),
                    "only_in_candles": _times(one.only_in_candles),
                }
                for one in self.differences
            ],
            "counts": {kind.value: days for kind, days in self.counts.items()},
            "findings": [
                {
                    "finding": one.kind.value,
                    "symbol": one.instrument.symbol,
                    "instrument_key": one.instrument.instrument_key,
                    "interval": self.interval.value,
                    "trading_date": one.day.isoformat(),
                    "count": one.count,
                    "samples": list(one.samples),
                }
                for one in self.findings
            ],
            "repaired_days": self.repaired.days,
            "deleted_candles": self.repaired.deleted,
        }


def audit(settings: Settings, of: DayRange, *, repair: bool = False) -> Audit:
    """The audit of the days that *of* names; with *repair* what was found is mended.

    The mending is the only write of this package. Raises SetupError for a symbol that the
    store does not know, CalendarUnknown, StoreUnreachable.
    """
    with records_for(settings, of.symbols) as records:
        query = coverage_query(records, of)
        with records.store.reading() as connection:
            found = recount(connection, query)
        repaired = mend(records.store, query, found.findings) if repair else Repair()
    return Audit(
        interval=query.interval,
        first=query.first,
        last=query.last,
        days=found.days,
        candles=found.candles,
        differences=found.differences,
        findings=found.findings,
        repaired=repaired,
    )


def _times(spans: Spans) -> list[list[str]]:
    return [[minute_text(first), minute_text(end)] for first, end in spans]
