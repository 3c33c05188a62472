"""The shared objects behind the public names. Inert until called.

Each call opens the configured store and provider, does its work and closes them again.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.runs import SyncRun
from data_fetch.runtime.one_off import backfill_for, quotes_for
from data_fetch.runtime.reporting import SILENT
from data_fetch.runtime.settings import process_settings
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder


class SharedLtpService:
    """Last prices of the configured universe."""

    def collect_now(self) -> SyncRun:
        """Collect one slot of quotes now, at any hour; the run as it was recorded.

        Raises SetupError and OutsideError when nothing could be collected.
        """
        with quotes_for(process_settings(), SILENT) as quotes:
            return quotes.collect_now()


class SharedBackfillService:
    """Missing candles of the configured universe."""

    def run(
        self,
        symbols: Sequence[str] = (),
        *,
        days: int = 30,
        last: date | None = None,
        interval: CandleInterval = CandleInterval.MINUTE,
    ) -> BackfillReport:
        """Fetch the missing candles of *symbols* (none named: of the whole universe).

        Covers *days* calendar days up to *last*, an IST date, today by default. Raises
        SetupError for an unknown symbol.
        """
        with backfill_for(process_settings(), SILENT, symbols) as backfill:
            if symbols:
                backfill.selection.universe.resolved()
            last = last or backfill.today
            order = BackfillOrder(
                instruments=backfill.selection.instruments,
                interval=interval,
                first=last - timedelta(days=days - 1),
                last=last,
                listed=backfill.selection.listed,
            )
            return backfill.service.run(backfill.service.plan(order))


ltp_service = SharedLtpService()
backfill_service = SharedBackfillService()
