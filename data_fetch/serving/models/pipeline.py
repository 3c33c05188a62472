"""How collecting option chains goes, and what is stored of them."""

from datetime import datetime

from data_fetch.serving.models.option_chains import Enveloped
from data_fetch.serving.models.shared import Answer, DataAnswer


class LegsByType(Answer):
    """Stored legs by type; null in a store with too many to count."""

    CE: int | None
    PE: int | None


class Stats(DataAnswer):
    """Records are stored legs of option chains."""

    total_records: int
    records_by_symbol: dict[str, int]
    records_by_type: LegsByType
    latest_fetch_time: datetime | None
    data_freshness_seconds: float | None


class PipelineStatistics(Answer):
    """Legs of new snapshots (inserted), and of snapshots that were received again unchanged
    (skipped); null in a store with too many to count."""

    total_calls_inserted: int | None
    total_puts_inserted: int | None
    total_calls_skipped: int | None
    total_puts_skipped: int | None


class PipelineState(Answer):
    """Cycles are the recorded runs of the chain collector. `success_rate` is percent, null before
    the first one; `fetch_interval` seconds, null when nothing is polled."""

    running: bool
    total_cycles: int
    successful_cycles: int
    failed_cycles: int
    success_rate: float | None
    last_successful_fetch: datetime | None
    symbols: list[str]
    fetch_interval: int | None
    statistics: PipelineStatistics


class PipelineAnswer(Enveloped):
    data: PipelineState
