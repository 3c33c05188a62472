"""When the candles of a session are due."""

from datetime import date, datetime

import pytest

from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import F_AND_O_STOCK, MarketCalendar
from data_fetch.core.market.session import midnight_number

CALENDAR = MarketCalendar.reviewed()
# Muhurat, 18:15 to 19:15.
EVENING = date(2021, 11, 4)
ORDINARY = date(2021, 11, 3)
NIFTY_KEY = "NSE_INDEX|Nifty 50"
NIFTY = Instrument(
    instrument_key=NIFTY_KEY,
    symbol="NIFTY",
    segment="NSE_INDEX",
    instrument_type="INDEX",
    live_key=NIFTY_KEY,
)


@pytest.mark.parametrize(
    ("day", "now", "state"),
    [
        pytest.param(ORDINARY, "15:44", State.PENDING, id="closed, and the row may still change"),
        pytest.param(ORDINARY, "15:45", State.MISSED, id="an ordinary day is over at 15:45"),
        pytest.param(EVENING, "16:00", State.PENDING, id="an evening session is still to come"),
        pytest.param(EVENING, "18:45", State.PENDING, id="it is under way"),
        pytest.param(EVENING, "19:19", State.PENDING, id="it has ended four minutes ago"),
        pytest.param(EVENING, "19:20", State.MISSED, id="its candle is due"),
    ],
)
def test_the_candle_of_a_day_is_due_after_its_session(day: date, now: str, state: State) -> None:
    at = datetime.fromisoformat(f"{day} {now}").replace(tzinfo=IST)
    session = CALENDAR.session(day, F_AND_O_STOCK)
    found = Expectation(CALENDAR, at).day("NSE_EQ|INE002A01018", CandleInterval.DAY, session, None)

    assert [one.state for one in found.intervals] == [state]


@pytest.mark.parametrize(
    ("now", "days"),
    [
        pytest.param("2021-11-04 18:45", [ORDINARY], id="the evening session is under way"),
        pytest.param("2021-11-04 19:20", [ORDINARY, EVENING], id="it is over"),
        pytest.param("2021-11-05 10:00", [ORDINARY, EVENING], id="on the next day"),
    ],
)
def test_a_day_that_still_changes_is_not_published(now: str, days: list[date]) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=IST)
    starts = [midnight_number(day) for day in (ORDINARY, EVENING)]
    prices = [100.0, 101.0]
    block = CandleBlock(
        instrument_key=NIFTY.instrument_key,
        interval=CandleInterval.DAY,
        starts=starts,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=[0, 0],
        oi=[0, 0],
        kinds=[Kind.TRADED] * 2,
    )

    assert list(Expectation(CALENDAR, at).published(block, NIFTY).starts) == [
        midnight_number(day) for day in days
    ]
