"""Which keys the feed is to deliver: the universe, then options near the money."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import pytest

from data_fetch.core.chains.symbol_config import SymbolConfig
from data_fetch.core.feed.modes import FeedLimits, Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.services.feed_plan import FeedPlanner
from data_fetch.services.polling import PolledSymbol

NIFTY, BANK, TCS, SBIN = "NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty Bank", "NSE_EQ|TCS", "NSE_EQ|SBIN"
DAY = date(2026, 9, 16)
WEEKLY, MONTHLY = date(2026, 9, 22), date(2026, 9, 29)
ROOM = FeedLimits(
    alone={Mode.FULL: 2000, Mode.OPTION_GREEKS: 3000},
    mixed={Mode.FULL: 1500, Mode.OPTION_GREEKS: 2000},
)


def instrument(key: str) -> Instrument:
    return Instrument(
        instrument_key=key,
        symbol=key.partition("|")[2],
        segment=key.partition("|")[0],
        instrument_type="INDEX" if key.startswith("NSE_INDEX") else "EQ",
        live_key=key,
    )


def option(underlying: Instrument, expiry: date, strike: int, side: str) -> Instrument:
    key = f"{underlying.symbol} {expiry:%d} {strike} {side}"
    return Instrument(
        instrument_key=key,
        symbol=key,
        segment="NSE_FO",
        instrument_type=side,
        expiry=expiry,
        strike=Decimal(strike),
        live_key=key,
    )


def polled(key: str, *, pinned: bool = False, strikes: int | None = 1) -> PolledSymbol:
    underlying = instrument(key)
    config = SymbolConfig(
        symbol=underlying.symbol,
        instrument_key=key,
        refresh_seconds=30,
        expiries=1,
        strikes=strikes,
        active=True,
        pinned=pinned,
    )
    return PolledSymbol(config, underlying)


@dataclass
class Listings:
    """What is polled and listed; *looks* are the underlyings that were looked up."""

    polled: list[PolledSymbol]
    strikes: Sequence[int] = (90, 100, 110, 120, 130)
    looks: list[str] = field(default_factory=list)

    def options(self, underlying: Instrument, day: date) -> list[Instrument]:
        self.looks.append(underlying.live_key)
        return [
            option(underlying, expiry, strike, side)
            for expiry in (WEEKLY, MONTHLY)
            for strike in self.strikes
            for side in ("CE", "PE")
        ]

    def planner(self, limits: FeedLimits = ROOM) -> FeedPlanner:
        return FeedPlanner(
            sentinels=[NIFTY, BANK],
            universe=[instrument(TCS), instrument(NIFTY)],
            polled=lambda: self.polled,
            options=self.options,
            limits=limits,
        )


def options_of(plan: Plan) -> list[str]:
    return [key for key, mode in plan.modes.items() if mode is Mode.OPTION_GREEKS]


def test_the_sentinels_and_the_universe_come_first_and_whole() -> None:
    plan = Listings([]).planner().plan(DAY, {})

    assert plan.modes == dict.fromkeys([NIFTY, BANK, TCS], Mode.FULL)


def test_options_near_the_money_need_a_price_of_their_underlying() -> None:
    planner = Listings([polled(NIFTY)]).planner()

    assert options_of(planner.plan(DAY, {})) == []
    assert options_of(planner.plan(DAY, {NIFTY: 111.0})) == [
        f"Nifty 50 22 {strike} {side}" for strike in (110, 120, 100) for side in ("CE", "PE")
    ]


def test_indices_come_before_pinned_symbols_and_those_before_the_others() -> None:
    listings = Listings([polled(SBIN), polled(TCS, pinned=True), polled(NIFTY)])
    few = FeedLimits(alone=ROOM.alone, mixed={Mode.FULL: 1500, Mode.OPTION_GREEKS: 8})

    plan = listings.planner(few).plan(DAY, dict.fromkeys([NIFTY, TCS, SBIN], 100.0))

    assert [key.split()[0] for key in options_of(plan)] == ["Nifty"] * 6 + ["TCS"] * 2
    assert {name: len(keys) for name, keys in plan.left_out.items()} == {
        "pinned chains": 4,
        "other chains": 6,
    }


@pytest.mark.parametrize(
    ("price", "chosen_again"),
    [
        pytest.param(100.9, False, id="a small move"),
        pytest.param(101.1, True, id="more than one percent up"),
        pytest.param(98.9, True, id="more than one percent down"),
    ],
)
def test_options_are_chosen_again_when_the_underlying_has_moved(
    price: float, chosen_again: bool
) -> None:
    listings = Listings([polled(NIFTY)])
    planner = listings.planner()
    planner.plan(DAY, {NIFTY: 100.0})

    planner.plan(DAY, {NIFTY: price})

    assert listings.looks == [NIFTY] * (2 if chosen_again else 1)


def test_the_plan_follows_the_day_and_what_is_polled() -> None:
    listings = Listings([polled(NIFTY)])
    planner = listings.planner()
    planner.plan(DAY, {NIFTY: 100.0, TCS: 100.0})

    planner.plan(date(2026, 9, 17), {NIFTY: 100.0, TCS: 100.0})
    listings.polled = [polled(NIFTY, strikes=2), polled(TCS)]
    plan = planner.plan(date(2026, 9, 17), {NIFTY: 100.0, TCS: 100.0})

    assert listings.looks == [NIFTY, NIFTY, NIFTY, TCS]
    assert len(options_of(plan)) == 10 + 6
