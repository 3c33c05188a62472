"""The list of trading holidays of NSE's website (option-chain notes, section 5)."""

from datetime import date
from typing import Any

from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, OTHER_STOCK, TradingGroup
from data_fetch.paper_exchange.market.days import DAY, SATURDAY, TradingDays
from data_fetch.paper_exchange.nse.chains import format_date

GROUPS: dict[str, TradingGroup] = {"CM": OTHER_STOCK, "FO": FUTURES_AND_OPTIONS}
ORDINARY_OPENING = 9


def holiday_list(days: TradingDays, year: int) -> dict[str, list[dict[str, Any]]]:
    """The weekdays of *year* without ordinary trading, by segment.

    The list has no hours: a day with a session in the afternoon or evening is marked with `*`.
    """
    return {segment: _rows(days, year, group) for segment, group in GROUPS.items()}


def _rows(days: TradingDays, year: int, group: TradingGroup) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    day = date(year, 1, 1)
    while day.year == year:
        schedule = days.schedule(day, group)
        muhurat = bool(schedule.windows) and schedule.windows[0][0].hour > ORDINARY_OPENING
        if muhurat or (not schedule.windows and day.weekday() < SATURDAY):
            rows.append(
                {
                    "tradingDate": format_date(day),
                    "weekDay": f"{day:%A}",
                    "description": f"{schedule.note or 'Holiday'}{'*' if muhurat else ''}",
                    "morning_session": None,
                    "evening_session": None,
                    "Sr_no": len(rows) + 1,
                }
            )
        day += DAY
    return rows
