"""The periods that partitions hold: months of Indian dates, or weeks from Monday on. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import accumulate, repeat

from data_fetch.core.archive.days import DAY, bounds_of
from data_fetch.core.errors import SetupError

# Rows of other years come from a clock that is wrong, or from a column that was misread.
FIRST_YEAR, LAST_YEAR = 1990, 2099
# Of months or weeks, beside the current one.
MADE_AHEAD = 2


class Width(StrEnum):
    """How long a period is."""

    MONTH = "month"
    WEEK = "week"


# The tables that are stored in partitions. A week of legs has as many rows as years of the others.
WIDTHS: Mapping[str, Width] = {
    "ltp_data": Width.MONTH,
    "candles": Width.MONTH,
    "candle_revisions": Width.MONTH,
    "chain_receipts": Width.MONTH,
    "chain_snapshots": Width.MONTH,
    "option_chain_data": Width.WEEK,
    "chain_summary": Width.MONTH,
}
NAME = re.compile(r"(\w+?)_(\d{4})_(\d{2})(?:_(\d{2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The Indian dates from *first* to the one before *end*."""

    first: date
    end: date

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Its first instant, and the first one after it, in UTC."""
        return bounds_of(self.first)[0], bounds_of(self.end)[0]

    @property
    def days(self) -> list[date]:
        return [self.first + count * DAY for count in range((self.end - self.first).days)]


def period_with(day: date, width: Width) -> Period:
    """The period that *day* is in."""
    if width is Width.WEEK:
        first = day - timedelta(days=day.weekday())
        return Period(first, first + timedelta(days=7))
    first = day.replace(day=1)
    return Period(first, (first + timedelta(days=31)).replace(day=1))


def periods_ahead(day: date, width: Width) -> list[Period]:
    """The period of *day* and those that are made ahead of time."""
    return list(
        accumulate(
            repeat(width, MADE_AHEAD),
            lambda before, width: period_with(before.end, width),
            initial=period_with(day, width),
        )
    )


def partition_name(table: str, period: Period) -> str:
    """``candles_2026_09``, or with the Monday of a week ``option_chain_data_2026_09_14``."""
    suffix = "%Y_%m_%d" if WIDTHS[table] is Width.WEEK else "%Y_%m"
    return f"{table}_{period.first:{suffix}}"


def period_named(name: str) -> Period | None:
    """The period of the partition of this name; None for a name that `partition_name` never
    gives."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    table, year, month, monday = found.groups()
    try:
        period = period_with(date(int(year), int(month), int(monday or 1)), WIDTHS[table])
    except (KeyError, ValueError):
        return None
    return period if partition_name(table, period) == name else None


def refuse_absurd(table: str, period: Period) -> None:
    """Raise SetupError for a period in which nothing was or will be traded."""
    if not FIRST_YEAR <= period.first.year <= LAST_YEAR:
        raise SetupError(
            f"{table} was to store a row of {period.first.year}; "
            f"it has room for {FIRST_YEAR} to {LAST_YEAR}",
            hint="Set the clock of this machine, or correct the dates of the imported files.",
        )
