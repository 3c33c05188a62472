"""Ticks of options for tests, as a collector publishes them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.ticks import BestPrices, Detail, Greeks, Tick, ms_of_instant
from data_fetch.core.world import World
from data_fetch.publishing.stream_updates import option_ticks_document

DETAIL = Detail(
    volume=500,
    open_interest=7_500,
    iv=0.145,
    greeks=Greeks(0.5, -3.0, 0.001, 2.0, 0.1),
    best=BestPrices(99.5, 50, 100.5, None),
    bars=None,
)


def option_tick(price: float, at: datetime, detail: Detail | None = DETAIL) -> Tick:
    """A tick that was received *at* that instant."""
    return Tick("", Mode.OPTION_GREEKS, price, ms_of_instant(at), None, 95.0, at, at, detail)


def ticks_of_chain(
    product: str, expiry: date, ticks: Mapping[tuple[float, OptionType], Tick], world: World
) -> dict[str, Any]:
    """Ticks of one chain, by strike and type, as they are published together."""
    named = {
        Contract(product, expiry, kind, strike): tick for (strike, kind), tick in ticks.items()
    }
    return option_ticks_document(named, "paper", world)
