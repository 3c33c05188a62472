"""The access token in use: its kind, where it is from, and how long it is valid."""

from datetime import datetime, timedelta

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def time_left(until: datetime, now: datetime) -> str:
    """How long it is from *now* to *until*, for people: "18 h 12 min", "ended"."""
    left = until - now
    if left <= timedelta(0):
        return "ended"
    if left >= 2 * DAY:
        return f"{left // DAY} days"
    hours, minutes = left // HOUR, left % HOUR // MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
