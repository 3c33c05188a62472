"""The newest ticks of options, by chain: what a feed has of them between two polls."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.chains.contract_names import Contract, contract_of
from data_fetch.core.settings import Settings
from data_fetch.publishing.redis_streams import OPTION_TICKS
from data_fetch.reading.feed_ticks import feed_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTick:
    """The newest tick of *contract*: rupees, shares, *iv* a fraction, the provider's Greeks. None
    is what the feed has not sent. It was received at *received_at* from *source*, a provider."""

    contract: Contract
    ltp: float
    bid: float | None
    ask: float | None
    volume: float | None
    oi: float | None
    iv: float | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    source: str
    received_at: datetime


# A chain by its product and expiry, and its legs by strike and type.
Chains = Mapping[tuple[str, date], Mapping[tuple[float, OptionType], OptionTick]]


def newest_option_ticks(settings: Settings) -> Chains:
    """The newest tick of each option that the collector of this folder has received; none without
    a feed."""
    found: dict[tuple[str, date], dict[tuple[float, OptionType], OptionTick]] = defaultdict(dict)
    for tick in feed_ticks(settings, OPTION_TICKS, _of_document):
        contract = tick.contract
        chain = found[contract.product, contract.expiry]
        chain[contract.strike, contract.option_type] = tick
    return found


def _of_document(tick: Mapping[str, Any], source: str) -> OptionTick:
    contract = contract_of(tick["symbol"])
    if contract is None:
        raise ValueError(f"{tick['symbol']} names no contract")
    return OptionTick(
        contract=contract,
        ltp=float(tick["price"]),
        bid=_number(tick["bid"]),
        ask=_number(tick["ask"]),
        volume=_number(tick["volume"]),
        oi=_number(tick["open_interest"]),
        iv=_number(tick["iv"]),
        delta=_number(tick["delta"]),
        gamma=_number(tick["gamma"]),
        theta=_number(tick["theta"]),
        vega=_number(tick["vega"]),
        source=source,
        received_at=datetime.fromisoformat(tick["received_at"]),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
