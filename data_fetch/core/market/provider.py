"""What providers publish about trading days: holiday lists of a year, and timings of single days.

`calendar` decides how it is used. All times are IST, instants aware UTC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from data_fetch.core.market.table import Segment, TradingWindow

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ProviderHours:
    """The provider's hours of one segment on one day. No windows: it is closed.

    *since*: in a list the first refresh that had these hours there, in timings the last one.
    """

    windows: tuple[TradingWindow, ...]
    note: str = ""
    since: datetime = LONG_AGO


ProviderDays = Mapping[tuple[date, Segment], ProviderHours]


@dataclass(frozen=True, slots=True)
class ProviderCalendar:
    """All hours received from providers.

    *listed* are the days that the holiday lists of *years* name; every other day of these years
    is an ordinary one. *timings* were requested for their day. *refreshed_at* is the instant of
    the last refresh; None: there was none.
    """

    listed: ProviderDays = field(default_factory=dict)
    timings: ProviderDays = field(default_factory=dict)
    years: frozenset[int] = frozenset()
    refreshed_at: datetime | None = None

    def hours(self, day: date, segment: Segment) -> ProviderHours | None:
        """The hours in force. Timings win over a list, unless the list has changed since."""
        listed, timed = self.listed.get((day, segment)), self.timings.get((day, segment))
        if listed is None or timed is None:
            return listed or timed
        return timed if timed.since >= listed.since else listed

    def days(self) -> Iterator[tuple[date, Segment, ProviderHours]]:
        """Every day and segment with hours, in order."""
        for day, segment in sorted({*self.listed, *self.timings}):
            hours = self.hours(day, segment)
            if hours is not None:
                yield day, segment, hours

    def with_newer(self, newer: "ProviderCalendar") -> "ProviderCalendar":
        """Both together; where both have a day, *newer* applies.

        A newer list replaces the whole list of its year, so that a holiday can be moved; an
        empty one has no year and replaces nothing.
        """
        kept = {key: hours for key, hours in self.listed.items() if key[0].year not in newer.years}
        return ProviderCalendar(
            {**kept, **_with_first_dates(self.listed, newer.listed)},
            {**self.timings, **newer.timings},
            self.years | newer.years,
            newer.refreshed_at or self.refreshed_at,
        )


@dataclass(frozen=True, slots=True)
class PublishedCalendar:
    """A calendar as received from *source*, and the reasons of rejected rows."""

    source: str
    calendar: ProviderCalendar
    rejected: tuple[str, ...]


def year_of(days: Iterable[date]) -> frozenset[int]:
    """The year of a list. One day of another year does not make that year known."""
    years = Counter(day.year for day in days)
    return frozenset(year for year, _ in years.most_common(1))


def _with_first_dates(older: ProviderDays, newer: ProviderDays) -> ProviderDays:
    """*newer*, where unchanged hours have been published since the older date."""
    return {
        key: replace(hours, since=older[key].since)
        if key in older and older[key].windows == hours.windows
        else hours
        for key, hours in newer.items()
    }
