"""What really happened on a day, whatever faults make of it: for tests to compare with."""

from datetime import date, datetime
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.paper_exchange.market import PaperMarket, Tradable


def minutes_of(market: PaperMarket, tradable: Tradable, day: date) -> list[dict[str, Any]]:
    """Every minute that has a row that day, come or still to come, oldest first.

    A minute that is not *continuous* lies between the end of trading and the closing
    auction's print; the print itself has *traded*. An index trades without volume.
    """
    if not market.trades_on(tradable, day):
        return []
    rows = market.rows(tradable, day)
    columns = (rows.hours.starts.tolist(), rows.quiet.tolist(), rows.volume.tolist())
    return [
        {
            "start": f"{datetime.fromtimestamp(start, IST):%H:%M}",
            "continuous": number < rows.hours.continuous,
            "traded": not quiet,
            "volume": volume,
        }
        for number, (start, quiet, volume) in enumerate(zip(*columns, strict=True))
    ]
