"""Which rows of a day show that a stock took part in the closing auction, and which do not."""

from dataclasses import replace
from datetime import date

import pytest
from candle_shelf import stock
from history_env import CALENDAR, Minute, auction_day, clock_times, traded

from data_fetch.core.candles.auction_days import auction_days_shown
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind
from data_fetch.core.instruments.auction import AuctionHistory, Eligibility
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import midnight_number

DAY, BEFORE_AUCTIONS = date(2026, 9, 15), date(2026, 7, 31)
TCS = stock("TCS")


def block(day: date, minutes: list[Minute]) -> CandleBlock:
    prices = [price for _, price, _ in minutes]
    starts = [midnight_number(day) + int(at[:2]) * 60 + int(at[3:]) for at, _, _ in minutes]
    return CandleBlock(
        instrument_key=TCS.instrument_key,
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=[volume for _, _, volume in minutes],
        oi=[0] * len(minutes),
        kinds=[Kind.TRADED] * len(minutes),
    )


CONTINUOUS = traded("09:15", "15:15")
FLAT = [(at, 118.0, 0) for at in clock_times("15:15", "15:30")]


@pytest.mark.parametrize(
    ("minutes", "of_an_unseen_day", "of_a_seen_day"),
    [
        pytest.param(auction_day(), True, None, id="one print at 15:28"),
        pytest.param(auction_day(printed="15:29"), True, None, id="one print at 15:29"),
        pytest.param(traded(), False, False, id="trades until 15:30"),
        pytest.param(
            [*CONTINUOUS, ("15:20", 118.0, 5), ("15:29", 118.0, 7)], False, False, id="two trades"
        ),
        pytest.param([*CONTINUOUS, ("15:20", 118.0, 5)], False, None, id="one, in the middle"),
        pytest.param([*CONTINUOUS, ("15:28", 118.0, 5)], None, None, id="one, nothing filled in"),
        pytest.param([*CONTINUOUS, *FLAT], None, None, id="only flat rows"),
        pytest.param(CONTINUOUS, None, None, id="no rows"),
    ],
)
def test_rows_decide(
    minutes: list[Minute], of_an_unseen_day: bool | None, of_a_seen_day: bool | None
) -> None:
    for assumed in (True, False):
        unseen = replace(TCS, cas_eligible=assumed)
        seen = replace(TCS, auction=AuctionHistory((Eligibility(DAY, assumed),)))

        assert judged(unseen, minutes) is (
            assumed if of_an_unseen_day is None else of_an_unseen_day
        )
        assert judged(seen, minutes) is (assumed if of_a_seen_day is None else of_a_seen_day)


def judged(instrument: Instrument, minutes: list[Minute]) -> bool:
    """Whether it took part on DAY, after these candles of the day."""
    shown = auction_days_shown(block(DAY, minutes), instrument, CALENDAR)
    return instrument.with_auction_days(shown).in_auction_on(DAY)


def test_an_auction_row_is_flat() -> None:
    candles = block(DAY, auction_day())
    moved = replace(candles, high=[price + 1 for price in candles.high])

    assert auction_days_shown(moved, TCS, CALENDAR) == {DAY: False}


def test_before_there_were_auctions_rows_show_nothing() -> None:
    assert auction_days_shown(block(BEFORE_AUCTIONS, traded()), TCS, CALENDAR) == {}


def test_only_stocks_are_judged() -> None:
    nifty = replace(TCS, segment="NSE_INDEX", instrument_key="NSE_INDEX|Nifty 50")

    assert auction_days_shown(block(DAY, traded()), nifty, CALENDAR) == {}


JOINED = AuctionHistory(
    (
        Eligibility(date(2026, 9, 1), eligible=False),
        Eligibility(date(2026, 9, 15), eligible=True, unseen_from=date(2026, 9, 10)),
    ),
    ((date(2026, 9, 11), True), (date(2026, 8, 20), True)),
)


@pytest.mark.parametrize(
    ("day", "eligible", "seen"),
    [
        pytest.param(date(2026, 8, 19), False, False, id="before the first master: as in it"),
        pytest.param(date(2026, 8, 20), True, False, id="before it, but the candles show more"),
        pytest.param(date(2026, 9, 1), False, True, id="the first master"),
        pytest.param(date(2026, 9, 9), False, True, id="the last day of the old state"),
        pytest.param(date(2026, 9, 10), False, False, id="between two masters"),
        pytest.param(date(2026, 9, 11), True, False, id="between them, by candles"),
        pytest.param(date(2026, 9, 15), True, True, id="the master with the change"),
        pytest.param(date(2026, 12, 1), True, True, id="after the last change"),
    ],
)
def test_a_day_has_the_eligibility_of_its_time(day: date, eligible: bool, seen: bool) -> None:
    assert (JOINED.on(day), JOINED.seen(day)) == (eligible, seen)


def test_without_masters_nothing_is_known() -> None:
    assert (AuctionHistory().on(DAY), AuctionHistory().seen(DAY)) == (None, False)
