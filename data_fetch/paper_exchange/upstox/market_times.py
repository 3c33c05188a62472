"""Holidays, timings and market status from the calendar (reference, section 11)."""

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
from data_fetch.paper_exchange.wire import api_error

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


class MarketTimesApi:
    def __init__(self, days: TradingDays) -> None:
        self._days = days

    def holidays(self, now: Moment) -> list[dict[str, Any]]:
        """Holidays, special sessions and settlement holidays of the current year."""
        year = now.day.year
        day = date(year, 1, 1)
        rows: list[dict[str, Any]] = []
        while day.year == year:
            rows += self._holiday(day)
            day += DAY
        return rows

    def holiday(self, day: str) -> list[dict[str, Any]]:
        """The same for one date; empty for an ordinary day."""
        return list(self._holiday(parse_date(day)))

    def timings(self, day: str) -> list[dict[str, Any]]:
        """Trading hours per exchange on a date, one row per window; empty on a closed day."""
        return self._open_exchanges(parse_date(day))

    def status(self, exchange: str, now: Moment) -> dict[str, Any]:
        """The market status, such as NORMAL_OPEN, and the closing auction's if there is one."""
        if exchange not in EXCHANGES:
            raise api_error("UDAPI1089")
        local = now.at.astimezone(IST)
        group = TRADING_GROUPS.get(exchange, OTHER_STOCK)
        status, since = self.group_status(local, group)
        document: dict[str, Any] = {
            "exchange": exchange,
            "status": status,
            "last_updated": epoch(local.date(), since) * 1000,
        }
        if exchange in WITH_AUCTION and self._days.has_auction(local.date(), F_AND_O_STOCK):
            auction_status, at = self.auction_status(local)
            document["cas_eligible_status"] = {
                "status": auction_status,
                "last_updated": epoch(local.date(), at) * 1000,
            }
        return document

    def auction_status(self, local: datetime) -> tuple[str, time]:
        """The status of the stocks with a closing auction, and since when, on a day with one."""
        return next(
            (
                (step, begins)
                for begins, step in reversed(AUCTION_STEPS)
                if begins <= local.time() < CLOSES
            ),
            self.group_status(local, OTHER_STOCK),
        )

    def group_status(self, local: datetime, group: TradingGroup) -> tuple[str, time]:
        """The status of a trading group at an instant in India, and since when."""
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
        note = self._days.schedule(day, OTHER_STOCK).note or "Holiday"
        if not windows:
            if not weekend:
                yield _row(day, note, "TRADING_HOLIDAY", closed=ALL_EXCHANGES)
        elif weekend or windows != ((OPENS, CLOSES),):
            opens = self._open_exchanges(day)
            yield _row(day, note, "SPECIAL_TIMING", opens=opens)
        elif (day.month, day.day) == (4, 1):
            # The market is open on the annual bank closing, but there is no settlement.
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


def parse_date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=IST).date()
    except ValueError:
        raise api_error("UDAPI1088") from None
