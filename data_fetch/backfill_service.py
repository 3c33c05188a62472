"""Candles: `backfill_service.run(...)`, and the classes to build one's own."""

from data_fetch.runtime.shared import backfill_service
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder

__all__ = ["BackfillOrder", "BackfillReport", "BackfillService", "backfill_service"]
