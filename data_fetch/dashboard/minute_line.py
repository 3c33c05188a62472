"""The newest minute of a feed in one line: it moves with each tick."""

from datetime import datetime

from data_fetch.core.clock import IST
from data_fetch.dashboard.numbers import age_text, grouped
from data_fetch.reading.feed_ticks import AWAY
from data_fetch.reading.running_minutes import RunningMinute


def minute_line(minute: RunningMinute | None, now: datetime) -> str | None:
    """The line for *minute*; None where the feed does not bring the symbol *now*."""
    if minute is None or now - minute.received_at > AWAY:
        return None
    prices = [
        f"{name} {grouped(value, 2)}"
        for name, value in (
            ("open", minute.open),
            ("high", minute.high),
            ("low", minute.low),
            ("last", minute.close),
        )
    ]
    volume = [f"volume {grouped(minute.volume)}"] if minute.volume else []
    age = max(0.0, (now - minute.received_at).total_seconds())
    return " · ".join(
        (
            f"Minute {minute.start.astimezone(IST):%H:%M} by the live feed of {minute.source}, "
            f"provisional, {age_text(age)} old",
            *prices,
            *volume,
        )
    )
