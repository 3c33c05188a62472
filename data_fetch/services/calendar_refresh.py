"""The market calendar updated from the provider's holidays and timings."""

from data_fetch.sources.upstox.market_info import Change, Conflict, Refresh, refresh_calendar

__all__ = ["Change", "Conflict", "Refresh", "refresh_calendar"]
