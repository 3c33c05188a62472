"""Holidays, timings and market status, told from the calendar (reference, section 11)."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import (
    F_AND_O_STOCK,
    FUTURES_AND_OPTIONS,
    OTHER_STOCK,
    TradingGroup,
)
from data_fetch.paper_exchange.market.days import DAY, SATURDAY, Moment, TradingDays, epoch
from data_fetch.paper_exchange.wire import refuse

ALL_EXCHANGES = ["NSE", "NFO", "BSE", "BFO", "CDS", "BCD", "MCX"]
TRADING_GROUPS: dict[str, TradingGroup] = {"NSE": OTHER_STOCK, "NFO": FUTURES_AND_OPTIONS}
EXCHANGES = {*ALL_EXCHANGES, "NSCOM"}
WITH_AUCTION = {"NSE", "BSE"}

OPENS, CLOSES = time(9, 15), time(15, 30)
PRE_OPEN, PRE_OPEN_ENDS, EVENING = time(9, 0), time(9, 8), time(16, 0)
# The steps of the closing auction, by time of day.
AUCTION_STEPS = (
    (time(15, 15), "CTS_CLOSE"),
    (time(15, 20), "CAS_LM_START"),
    (time(15, 25), "CAS_M_STOP"),
    (time(15, 28), "CAS_STOP"),
)


class MarketTimes:
    def __init__(self, days: TradingDays) -> None:
        self._days = days

    def holidays(self, now: Moment) -> list[dict[str, Any]]:
        """The current year's weekdays without a session, special sessions, bank holidays."""
        year = now.day.year
        day = date(year, 1, 1)
        rows: list[dict[str, Any]] = []
        while day.year == year:
            rows += self._holiday(day)
            day += DAY
        return rows

    def holiday(self, day: str) -> list[dict[str, Any]]:
        """The same of one date; nothing when it is an ordinary day."""
        return list(self._holiday(read_day(day)))

    def timings(self, day: str) -> list[dict[str, Any]]:
        """When each exchange trades on a date, a row for every window; nothing when closed."""
        return self._open_exchanges(read_day(day))

    def status(self, exchange: str, now: Moment) -> dict[str, Any]:
        """NORMAL_OPEN and the like; with the auction's own status where it has one."""
        if exchange not in EXCHANGES:
            raise refuse("UDAPI1089")
        local = now.at.astimezone(IST)
        group = TRADING_GROUPS.get(exchange, OTHER_STOCK)
        status, since = self._status(local, group)
        answer: dict[str, Any] = {
            "exchange": exchange,
            "status": status,
            "last_updated": epoch(local.date(), since) * 1000,
        }
        if exchange in WITH_AUCTION and self._days.has_auction(local.date(), F_AND_O_STOCK):
            stepped, at = next(
                (
                    (step, begins)
                    for begins, step in reversed(AUCTION_STEPS)
                    if begins <= local.time() < CLOSES
                ),
                (status, since),
            )
            answer["cas_eligible_status"] = {
                "status": stepped,
                "last_updated": epoch(local.date(), at) * 1000,
            }
        return answer

    def _status(self, local: datetime, group: TradingGroup) -> tuple[str, time]:
        windows = self._days.windows(local.date(), group)
        now = local.time()
        if not windows:
            return "NORMAL_CLOSE", time(0)
        for start, end in windows:
            if start <= now < end:
                return "NORMAL_OPEN", start
        opens, closes = windows[0][0], windows[-1][1]
        if now >= closes:
            return ("CLOSING_END", EVENING) if now >= EVENING > closes else ("NORMAL_CLOSE", closes)
        if opens != OPENS or now < PRE_OPEN:
            return "NORMAL_CLOSE", time(0)
        if now >= PRE_OPEN_ENDS:
            return "PRE_OPEN_END", PRE_OPEN_ENDS
        return "PRE_OPEN_START", PRE_OPEN

    def _holiday(self, day: date) -> Iterator[dict[str, Any]]:
        windows = self._days.windows(day, OTHER_STOCK)
        weekend = day.weekday() >= SATURDAY
        told = self._days.plan(day, OTHER_STOCK).note or "Holiday"
        if not windows:
            if not weekend:
                yield _row(day, told, "TRADING_HOLIDAY", closed=ALL_EXCHANGES)
        elif weekend or windows != ((OPENS, CLOSES),):
            opens = self._open_exchanges(day)
            yield _row(day, told, "SPECIAL_TIMING", opens=opens)
        elif (day.month, day.day) == (4, 1):
            # Banks close their books: no settlement, and yet the market is open.
            opens = self._open_exchanges(day)
            yield _row(day, "Annual Bank Closing", "SETTLEMENT_HOLIDAY", opens=opens)

    def _open_exchanges(self, day: date) -> list[dict[str, Any]]:
        return [
            {
                "exchange": exchange,
                "start_time": epoch(day, start) * 1000,
                "end_time": epoch(day, end) * 1000,
            }
            for exchange, group in TRADING_GROUPS.items()
            for start, end in self._days.windows(day, group)
        ]


def _row(
    day: date,
    description: str,
    kind: str,
    closed: list[str] | None = None,
    opens: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "description": description,
        "holiday_type": kind,
        "closed_exchanges": closed or [],
        "open_exchanges": opens or [],
    }


def read_day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=IST).date()
    except ValueError:
        raise refuse("UDAPI1088") from None
