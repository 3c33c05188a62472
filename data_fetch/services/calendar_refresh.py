"""The market calendar updated from the provider's holidays and timings."""

from data_fetch.sources.upstox.market_info import Change, Kept, Refresh, refresh_calendar

__all__ = ["Change", "Kept", "Refresh", "refresh_calendar"]
