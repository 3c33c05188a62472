"""Option chains: the options of one underlying and expiry as a provider reports them.

Quantities of a chain are in its *unit* throughout: Upstox reports shares, NSE's site contracts.
Prices are rupees, volatilities fractions. A value that is missing, or for which the provider
sends a placeholder (a last price of 0, an implied volatility of 0), is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

# In shares: the rounding error of dividing by a lot and multiplying again.
WHOLE_WITHIN = 1e-3
# Above this a float cannot represent every whole number.
LARGEST_EXACT_NUMBER = 2**53
HASH_BYTES = 16


class OptionType(StrEnum):
    """Call or put, as the exchange spells it."""

    CALL = "CE"
    PUT = "PE"


class QuantityUnit(StrEnum):
    """The unit of open interest and volume."""

    SHARES = "shares"
    CONTRACTS = "contracts"


class ChainSource(StrEnum):
    """The provider whose wire format a chain was received in."""

    UPSTOX = "upstox"
    NSE = "nse"

    @property
    def names_contracts(self) -> bool:
        """Whether its legs come with instrument keys."""
        return self is ChainSource.UPSTOX


class ChainError(BadResponse):
    """A response without a usable chain; *kind* says what is wrong with it."""

    def __init__(self, kind: FailureKind, message: str, *, hint: str = "") -> None:
        super().__init__(f"{kind}: {presentable(message)}", hint=hint)
        self.kind = kind


# A tuple, because tens of thousands of them are made in a minute.
class ChainLeg(NamedTuple):
    """One option as a provider reports it, with its Greeks.

    *oi*, *prev_oi* and *volume* are in the unit of the chain, the quantities of the order book in
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
    """The options of one underlying and expiry in one response; each leg once, lowest strike
    first, the call before the put.

    *underlying* is the trading symbol, or the provider's key where the symbol is not known.
    *exchange_time* is the provider's timestamp; Upstox does not send one.
    """

    underlying: str
    expiry: date
    source: ChainSource
    unit: QuantityUnit
    spot: float | None
    exchange_time: datetime | None
    legs: tuple[ChainLeg, ...]

    @property
    def names_contracts(self) -> bool:
        """Whether the source gives the instrument key of each leg."""
        return self.source.names_contracts

    def __post_init__(self) -> None:
        if not self.legs:
            raise BadRecord(f"{self.underlying} {self.expiry}: a chain without a leg")
        keys = [leg.key for leg in self.legs]
        if any(map(ge, keys, keys[1:])):
            raise BadRecord(f"{self.underlying} {self.expiry}: legs twice, or out of order")


def around_the_money(chain: Chain, strikes: int | None) -> Chain:
    """*chain* with at most *strikes* strikes on each side of the one nearest to the spot (None:
    all); without a spot, of the middle strike."""
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
    """A leg with an impossible value, and the *reason*. Expiry, strike and type are None where
    the row does not have them."""

    expiry: date | None
    strike: Decimal | None
    option_type: OptionType | None
    reason: str

    def __post_init__(self) -> None:
        # The reason may quote text of the provider.
        object.__setattr__(self, "reason", presentable(self.reason))

    @property
    def name(self) -> str:
        known = (self.expiry, self.strike, self.option_type)
        return " ".join(str(each) for each in known if each is not None) or "a row"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedChains:
    """The result of parsing one document: chains by expiry, nearest first; rejected legs;
    *remarks* on unusual values that made no row unusable."""

    chains: tuple[Chain, ...]
    rejected: tuple[DoubtfulLeg, ...] = ()
    remarks: tuple[str, ...] = ()

    def around_the_money(self, strikes: int | None) -> "ParsedChains":
        """The same with at most *strikes* strikes on each side of the money (None: all)."""
        chains = tuple(around_the_money(chain, strikes) for chain in self.chains)
        return replace(self, chains=chains)


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response as received. Headers are not stored, so two responses are equal without them."""

    received_at: datetime
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReply:
    """The result of requesting one chain: *parsed*, or the *problem* why there is none.

    *raw_responses* are all responses that were received for it, usable or not.
    """

    source: ChainSource
    parsed: ParsedChains | None
    problem: DataFetchError | None
    raw_responses: tuple[RawResponse, ...]
    requests: int
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedExpiries:
    """The listed expiries of an underlying, nearest first, from one provider; none and the
    *problem* when the request failed. *raw_responses* are all responses received for it."""

    source: ChainSource
    expiries: tuple[date, ...] = ()
    problem: DataFetchError | None = None
    raw_responses: tuple[RawResponse, ...] = ()
    requests: int = 0


def content_hash(chain: Chain) -> str:
    """The hash of unit, spot and legs, without timestamps: equal for chains of equal content."""
    content = [chain.unit, chain.spot, [_leg_values(leg) for leg in chain.legs]]
    return blake2b(orjson.dumps(content), digest_size=HASH_BYTES).hexdigest()


def _leg_values(leg: ChainLeg) -> tuple[object, ...]:
    """The values of *leg* without its `live_key`, which is an identifier."""
    return str(leg.strike.normalize()), leg.option_type, *leg[3:]


class LotReason(StrEnum):
    """Why contracts could not be converted to shares."""

    LOT_UNKNOWN = "lot_unknown"
    LOT_MISMATCH = "lot_mismatch"


def in_shares(contracts: float | None, lot_size: int) -> int | None:
    """Convert *contracts* to shares. None without contracts, where the result is no whole number,
    or where it is too large for a float to be exact.

    NSE divides shares by the current lot size, so open interest from an older lot size is a
    fraction of contracts and still a whole number of shares.
    """
    if contracts is None:
        return None
    shares = contracts * lot_size
    whole = round(shares)
    return whole if abs(shares - whole) <= WHOLE_WITHIN and whole <= LARGEST_EXACT_NUMBER else None


def by_column(legs: Iterable[ChainLeg]) -> dict[str, Sequence[Any]]:
    """The values of *legs*, in their order, by field name. There must be at least one leg."""
    return dict(zip(ChainLeg._fields, zip(*legs, strict=True), strict=True))
