"""The implied volatility of an underlying day by day, at about the same time to expiry."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from data_fetch.core.clock import IST
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_series import chain_history

# The expiry nearest to this is the one that counts, so that days can be compared.
USUAL_DAYS, DAYS_A_YEAR = 30, 365
# Multiples of it within trading hours are 10:00 and 15:00.
STEP = timedelta(hours=5)


@dataclass(frozen=True, slots=True)
class DayVolatility:
    """The volatility at the forward (a fraction) late on *day*, of the chain of *expiry*."""

    day: date
    expiry: date
    atm_iv: float


def volatility_days(
    settings: Settings, underlying: str, first: date, last: date
) -> list[DayVolatility]:
    """A value for each day with one, oldest first: of the expiry nearest to USUAL_DAYS.

    Raises as `chain_history` does.
    """
    series = chain_history(
        underlying,
        None,
        first,
        last,
        every=STEP,
        columns=["atm_iv", "years"],
        settings=settings,
    )
    columns = ("at", "last_confirmed", "expiry", "atm_iv", "years")
    rows = zip(*(series.table[name].to_pylist() for name in columns), strict=True)
    found: dict[date, tuple[float, DayVolatility]] = {}
    latest: dict[date, datetime] = {}
    for at, confirmed, expiry, atm_iv, years in rows:
        day = at.astimezone(IST).date()
        # What is still in force from an earlier day is no value of this one.
        if atm_iv is None or years is None or confirmed.astimezone(IST).date() < day:
            continue
        away = usual_distance(years)
        # A later step of the day counts; of one step the expiry that is nearest.
        if latest.get(day) != at or away < found[day][0]:
            found[day] = away, DayVolatility(day, expiry, atm_iv)
            latest[day] = at
    return [value for _, value in found.values()]


def usual_distance(years: float) -> float:
    """How many days an expiry is away from the one that counts."""
    return abs(years * DAYS_A_YEAR - USUAL_DAYS)
