"""The market calendar of a process."""

from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.sources.calendar_files import load_calendar


def calendar_for(settings: Settings) -> MarketCalendar:
    """The reviewed calendar with the provider's and the user's amendments."""
    return load_calendar(settings.data_folder, settings.world, settings.calendar_override)
