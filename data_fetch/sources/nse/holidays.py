"""NSE's own list of holidays, from its website.

The list names days, not hours. A trailing `*` marks a day with a Muhurat session, whose hours
come by circular: until they are known the day has none.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from threading import Event
from typing import Any

from data_fetch.core.errors import BadRecord, BadResponse
from data_fetch.core.market.provider import (
    ProviderCalendar,
    ProviderHours,
    PublishedCalendar,
    year_of,
)
from data_fetch.core.market.table import Segment
from data_fetch.core.ports import Clock
from data_fetch.sources.chain_parsing.values import read_date
from data_fetch.sources.nse.site import NseSite

# The keys of the list by segment; the indices follow the cash market.
SEGMENTS = {"CM": (Segment.CASH, Segment.INDEX), "FO": (Segment.FO,)}
MUHURAT_MARK = "*"
MUHURAT_NOTE = "Muhurat trading, hours not published yet"


class NseHolidays:
    """NSE's list of holidays (satisfies core.ports.CalendarSource)."""

    name = "NSE"

    def __init__(self, site: NseSite, clock: Clock) -> None:
        self._site = site
        self._clock = clock

    def published(self, days: Sequence[date], stop: Event) -> PublishedCalendar:
        """The holidays of the current year. NSE's site has no hours of single *days*."""
        document = self._site.holidays(self._site.context(stop))
        return read_holidays(document, self._clock.now())


def read_holidays(document: object, at: datetime) -> PublishedCalendar:
    """The list as published *at* that instant. Raises BadResponse for anything else."""
    if not isinstance(document, dict) or not SEGMENTS.keys() & document.keys():
        raise BadResponse("NSE returned no list of holidays")
    listed: dict[tuple[date, Segment], ProviderHours] = {}
    rejected: list[str] = []
    for key, segments in SEGMENTS.items():
        rows = document.get(key)
        for row in rows if isinstance(rows, list) else ():
            try:
                day, note = _holiday(row)
            except BadRecord as bad:
                rejected.append(bad.message)
                continue
            listed |= {(day, segment): ProviderHours((), note, at) for segment in segments}
    years = year_of({day for day, _ in listed})
    return PublishedCalendar(
        NseHolidays.name, ProviderCalendar(listed, {}, years, at), tuple(dict.fromkeys(rejected))
    )


def _holiday(row: Any) -> tuple[date, str]:
    if not isinstance(row, Mapping):
        raise BadRecord(f"a holiday is {type(row).__name__}, not an object")
    note = str(row.get("description") or "").strip()
    if note.endswith(MUHURAT_MARK):
        note = f"{note.rstrip(MUHURAT_MARK)} ({MUHURAT_NOTE})"
    return read_date(row.get("tradingDate")), note
