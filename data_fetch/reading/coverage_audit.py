"""The candle rows recounted, and compared with the coverage ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.settings import Settings
from data_fetch.core.spans import Spans
from data_fetch.reading.coverage_days import DayRange, coverage_query
from data_fetch.reading.coverage_gaps import minute_text
from data_fetch.reading.records import records_for
from data_fetch.storage.candles.audit import Difference, recount
from data_fetch.storage.candles.audit import repair as rewrite_ledger

__all__ = ["Audit", "Difference", "audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How many instrument-days and candles were recounted, and where the ledger differs.

    *repaired* is the number of days whose ledger rows were rewritten from the candles.
    """

    interval: CandleInterval
    first: date
    last: date
    days: int
    candles: int
    differences: Sequence[Difference]
    repaired: int

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
            "repaired_days": self.repaired,
        }


def audit(settings: Settings, of: DayRange, *, repair: bool = False) -> Audit:
    """The audit of the days that *of* names; with *repair* the ledger is rewritten.

    The rewriting is the only write of this package. Raises SetupError for a symbol that the
    store does not know, CalendarUnknown, StoreUnreachable.
    """
    with records_for(settings, of.symbols) as records:
        query = coverage_query(records, of)
        with records.store.reading() as connection:
            found = recount(connection, query)
        repaired = rewrite_ledger(records.store, query, found.differences) if repair else 0
    return Audit(
        interval=query.interval,
        first=query.first,
        last=query.last,
        days=found.days,
        candles=found.candles,
        differences=found.differences,
        repaired=repaired,
    )


def _times(spans: Spans) -> list[list[str]]:
    return [[minute_text(first), minute_text(end)] for first, end in spans]
