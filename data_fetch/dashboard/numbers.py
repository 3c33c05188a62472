"""Numbers and instants as Indian traders write them."""

from datetime import datetime, timedelta
from decimal import Decimal

from data_fetch.core.clock import IST

LAKH, CRORE = 100_000, 10_000_000
UNKNOWN = "–"


def grouped(value: float | Decimal | None, digits: int = 0) -> str:
    """12,34,567.50: three digits, then groups of two. UNKNOWN for None."""
    if value is None:
        return UNKNOWN
    if 1 - LAKH < value < LAKH - 1:
        # The only group is of thousands, as Python has it.
        return f"{value:,.{digits}f}" if digits else f"{value:,.0f}"
    sign = "-" if value < 0 else ""
    number, point, decimals = f"{abs(value):.{digits}f}".partition(".")
    thousands, rest = divmod(int(number), 1000)
    return f"{sign}{_pairs(thousands)},{rest:03}{point}{decimals}"


def _pairs(number: int) -> str:
    """Groups of two digits."""
    return str(number) if number < 100 else f"{_pairs(number // 100)},{number % 100:02}"


def short(value: float | None) -> str:
    """A quantity in lakh or crore: 12.35 L, 4.56 Cr; smaller ones in full."""
    if value is None:
        return UNKNOWN
    for size, name in ((CRORE, "Cr"), (LAKH, "L")):
        if abs(value) >= size:
            return f"{grouped(value / size, 2)} {name}"
    return grouped(value)


def span_text(span: timedelta | None) -> str:
    """A time span: 420 ms, 1.5 s, 12 min, 26 h 5 min."""
    if span is None:
        return UNKNOWN
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{grouped(minutes // 60)} h {minutes % 60} min"


def clock_time(at: datetime | None) -> str:
    """An instant as the time of day in India."""
    return UNKNOWN if at is None else f"{at.astimezone(IST):%H:%M:%S}"


def day_and_time(at: datetime | None) -> str:
    """An instant in India: 16 Sep 2026 10:00:30 IST."""
    return UNKNOWN if at is None else f"{at.astimezone(IST):%d %b %Y %H:%M:%S} IST"


def age_text(seconds: float) -> str:
    """How old something is: 42 s, 12 min, 3.5 h, 4 days."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.1f} h" if unit == "h" else f"{seconds // size:.0f} {unit}"
    return f"{seconds // 86_400:.0f} days"


def brief_time(at: datetime | None) -> str:
    """An instant in India without its year, for tables: 16 Sep 10:00:30."""
    return UNKNOWN if at is None else f"{at.astimezone(IST):%d %b %H:%M:%S}"
