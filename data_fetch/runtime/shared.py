"""The shared objects behind the public names. Inert until called.

Each call opens the configured store and provider, does its work and closes them again.
"""

from collections.abc import Sequence
from datetime import date, timedelta

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.clock import IST
from data_fetch.core.runs import SyncRun
from data_fetch.runtime import collector as runtime
from data_fetch.runtime.reporting import SILENT
from data_fetch.services.backfill import BackfillOrder, BackfillReport


class SharedLtpService:
    """Last prices of the configured universe."""

    def collect_now(self) -> SyncRun:
        """Collect one slot of quotes now, at any hour; the run as it was recorded.

        Raises SetupError and OutsideError when nothing could be collected.
        """
        with runtime.one_off_for(runtime.settings(), SILENT) as collector:
            return collector.service.collect_now()


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
        with runtime.one_off_for(runtime.settings(), SILENT) as collector:
            context = collector.context
            chosen = runtime.selection_at(context, collector.universe, symbols)
            last = last or context.provider.clock.now().astimezone(IST).date()
            service = runtime.backfill_at(context, collector.calendar)
            order = BackfillOrder(
                instruments=chosen.instruments,
                interval=interval,
                first=last - timedelta(days=days - 1),
                last=last,
                listed=chosen.listed,
            )
            return service.run(service.plan(order))


ltp_service = SharedLtpService()
backfill_service = SharedBackfillService()
