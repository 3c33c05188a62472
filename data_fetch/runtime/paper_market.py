"""The paper market of a working folder: its time, without its server."""

from data_fetch.core.clock import IST, SystemClock
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import Clock
from data_fetch.core.settings import Settings
from data_fetch.paper_exchange.addresses import reachable_exchange
from data_fetch.paper_exchange.clock import PaperMarketClock
from data_fetch.sources.paper_clock import PaperClock


def own_market_clock(settings: Settings, calendar: MarketCalendar) -> PaperMarketClock:
    """The clock of an exchange that this process starts; it goes on where the last one stopped."""
    return PaperMarketClock(
        calendar,
        today=SystemClock().now().astimezone(IST).date(),
        state_file=settings.data_folder / "paper_clock.json",
    )


def market_clock(settings: Settings, calendar: MarketCalendar) -> Clock:
    """The time of the exchange in use; of an exchange of this folder that stands still, of that.

    Raises Unreachable when the exchange at UPSTOX_BASE_URL does not respond.
    """
    url = settings.base_url or reachable_exchange(settings.data_folder)
    return own_market_clock(settings, calendar) if url is None else PaperClock(url)
