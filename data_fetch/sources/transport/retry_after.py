"""The pause that a provider requires in a header of its response."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from data_fetch.core.pacing import LONGEST_PAUSE


def retry_after(headers: Mapping[str, str], received_at: datetime) -> timedelta | None:
    """The pause that Retry-After names, as seconds or as a date; None if it names none.

    At most LONGEST_PAUSE, and not below 0.
    """
    named = next((v for name, v in headers.items() if name.lower() == "retry-after"), "").strip()
    if not named:
        return None
    try:
        pause = _pause_named(named, received_at)
    except (ValueError, OverflowError):
        return None
    return max(timedelta(0), min(pause, LONGEST_PAUSE))


def _pause_named(named: str, received_at: datetime) -> timedelta:
    if named.replace(".", "", 1).isdigit():
        return timedelta(seconds=min(float(named), LONGEST_PAUSE.total_seconds()))
    date = parsedate_to_datetime(named)
    # "-0000" means UTC of unknown place, and parses as a naive date.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - received_at
