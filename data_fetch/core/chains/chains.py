"""Option chains: what a provider told of the options of one underlying and expiry.

Quantities of a chain are in its *unit* throughout: Upstox tells shares, NSE's site tells
contracts. Prices are rupees, volatilities fractions. What was not told, or was told by a
placeholder (a last price of 0, an implied volatility of 0), is None.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from operator import ge
from typing import Any, NamedTuple

import orjson

from data_fetch.core.errors import BadRecord, BadResponse, DataFetchError
from data_fetch.core.failures import FailureKind
from data_fetch.core.text import presentable

# Of a share: what dividing by a lot and multiplying again may lose.
WHOLE_WITHIN = 1e-3
# Beyond this a float does not tell single shares any more.
MOST_SHARES = 2**53
HASH_BYTES = 16


class OptionType(StrEnum):
    """As the exchange spells it."""

    CALL = "CE"
    PUT = "PE"


class QuantityUnit(StrEnum):
    """What open interest and volume count."""

    SHARES = "shares"
    CONTRACTS = "contracts"


class ChainSource(StrEnum):
    """Whose wire format a chain came in."""

    UPSTOX = "upstox"
    NSE = "nse"


class ChainError(BadResponse):
    """A response without a usable chain; *kind* says what is wrong with it."""

    def __init__(self, kind: FailureKind, message: str, *, hint: str = "") -> None:
        super().__init__(f"{kind}: {presentable(message)}", hint=hint)
        self.kind = kind


# A tuple, because tens of thousands of them are made in a minute.
class ChainLeg(NamedTuple):
    """One option as a provider told it, its Greeks included.

    *oi*, *prev_oi* and *volume* are in the unit of the chain, the quantities of the book in
    shares. *provider_iv* is a fraction; the other Greeks are as the provider scales them
    (Upstox: theta per day, vega per volatility point).
    """

    strike: Decimal
    option_type: OptionType
    live_key: str | None = None
    ltp: float | None = None
    prev_close: float | None = None
    bid: float | None = None
    bid_qty: int | None = None
    ask: float | None = None
    ask_qty: int | None = None
    total_buy_qty: int | None = None
    total_sell_qty: int | None = None
    volume: float | None = None
    oi: float | None = None
    prev_oi: float | None = None
    provider_iv: float | None = None
    provider_delta: float | None = None
    provider_gamma: float | None = None
    provider_theta: float | None = None
    provider_vega: float | None = None

    @property
    def key(self) -> tuple[Decimal, OptionType]:
        return self.strike, self.option_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The options of one underlying and expiry in one answer; each leg once, lowest strike
    first, the call before the put.

    *underlying* is the trading symbol, or the provider's key where that is all we know.
    *exchange_time* is the provider's own stamp, which Upstox does not give.
    """

    underlying: str
    expiry: date
    source: ChainSource
    unit: QuantityUnit
    spot: float | None
    exchange_time: datetime | None
    legs: tuple[ChainLeg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise BadRecord(f"{self.underlying} {self.expiry}: a chain without a leg")
        keys = [leg.key for leg in self.legs]
        if any(map(ge, keys, keys[1:])):
            raise BadRecord(f"{self.underlying} {self.expiry}: legs twice, or out of order")


def around_the_money(chain: Chain, strikes: int | None) -> Chain:
    """*chain* with at most *strikes* strikes on each side of the one nearest to the spot (None:
    all); of a chain without a spot those in its middle."""
    if strikes is None:
        return chain
    listed = sorted({leg.strike for leg in chain.legs})
    middle = len(listed) // 2
    if chain.spot is not None:
        spot = chain.spot
        middle = min(range(len(listed)), key=lambda n: abs(float(listed[n]) - spot))
    kept = set(listed[max(0, middle - strikes) : middle + strikes + 1])
    return replace(chain, legs=tuple(leg for leg in chain.legs if leg.strike in kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulLeg:
    """A leg of which something cannot be true, and the *reason* why. What nobody knows of it is
    None: strike and type of a row that tells neither."""

    expiry: date | None
    strike: Decimal | None
    option_type: OptionType | None
    reason: str

    def __post_init__(self) -> None:
        # It may quote what the provider sent.
        object.__setattr__(self, "reason", presentable(self.reason))

    @property
    def name(self) -> str:
        told = (self.expiry, self.strike, self.option_type)
        return " ".join(str(each) for each in told if each is not None) or "a row"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedChains:
    """What one document told: chains by expiry, nearest first; legs that could not be true;
    *remarks* on what is not as it used to be, though no row suffers from it."""

    chains: tuple[Chain, ...]
    rejected: tuple[DoubtfulLeg, ...] = ()
    remarks: tuple[str, ...] = ()

    def around_the_money(self, strikes: int | None) -> "ParsedChains":
        """The same of so many strikes on each side of the money (None: all)."""
        chains = tuple(around_the_money(chain, strikes) for chain in self.chains)
        return replace(self, chains=chains)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """What came over the wire, as it came."""

    received_at: datetime
    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReply:
    """What asking for one chain came to: *parsed*, or the *problem* why there is nothing.

    *raw_responses* are all bodies that were received on the way, usable or not.
    """

    source: ChainSource
    parsed: ParsedChains | None
    problem: DataFetchError | None
    raw_responses: tuple[RawResponse, ...]
    requests: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedExpiries:
    """Which expiries of an underlying are listed, nearest first, as a provider told it; none and
    the *problem* when it did not. *raw_responses* are all bodies that were received for it."""

    source: ChainSource
    expiries: tuple[date, ...] = ()
    problem: DataFetchError | None = None
    raw_responses: tuple[RawResponse, ...] = ()
    requests: int = 0


def content_hash(chain: Chain) -> str:
    """The same for chains that tell the same, whenever they were received or stamped."""
    told = [chain.unit, chain.spot, [_told(leg) for leg in chain.legs]]
    return blake2b(orjson.dumps(told), digest_size=HASH_BYTES).hexdigest()


def _told(leg: ChainLeg) -> tuple[object, ...]:
    """All of *leg* but its `live_key`, which names it and tells nothing."""
    return str(leg.strike.normalize()), leg.option_type, *leg[3:]


class LotReason(StrEnum):
    """Why contracts could not be turned into shares."""

    LOT_UNKNOWN = "lot_unknown"
    LOT_MISMATCH = "lot_mismatch"


def in_shares(contracts: float | None, lot_size: int) -> int | None:
    """*contracts* in shares; None where they are none, no whole number of shares, or so many
    that a float does not tell them apart.

    NSE divides shares by today's lot, so that open interest of an older lot is a fraction of
    contracts and still a whole number of shares.
    """
    if contracts is None:
        return None
    shares = contracts * lot_size
    whole = round(shares)
    return whole if abs(shares - whole) <= WHOLE_WITHIN and whole <= MOST_SHARES else None


def by_column(legs: Iterable[ChainLeg]) -> dict[str, Sequence[Any]]:
    """What *legs* say, in their order, by the name of the value. There must be a leg."""
    return dict(zip(ChainLeg._fields, zip(*legs, strict=True), strict=True))


def by_strike(
    legs: Sequence[ChainLeg],
) -> Iterator[tuple[Decimal, ChainLeg | None, ChainLeg | None]]:
    """Strike, call and put, lowest strike first; a side that is not there is None."""
    sides = {leg.key: leg for leg in legs}
    for strike in sorted({leg.strike for leg in legs}):
        yield strike, sides.get((strike, OptionType.CALL)), sides.get((strike, OptionType.PUT))
