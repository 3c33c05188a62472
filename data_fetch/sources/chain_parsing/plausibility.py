"""Signs that a provider has changed the meaning of its numbers. Pure.

A renamed or retyped field shows when it is read (`chain_legs`). What is looked for here
reads well and is wrong: paise for rupees, shares for contracts, fractions for percent. The
limits leave room around everything in the captured bodies of both providers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import compress, pairwise
from math import gcd
from statistics import median
from typing import Any

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainSource,
    OptionType,
    QuantityUnit,
    by_column,
)
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.legs import LOOK
from data_fetch.sources.chain_parsing.values import FieldError
from data_fetch.sources.transport.numbers import LARGEST_PRICE, read_number

Columns = Mapping[str, Sequence[Any]]

# What the providers call the numbers that are never 0 in a whole body.
NAMES = {
    ChainSource.NSE: {
        "ltp": "lastPrice",
        "prev_close": "change",
        "bid": "bidprice",
        "ask": "askPrice",
        "bid_qty": "bidQty",
        "ask_qty": "askQty",
        "volume": "totalTradedVolume",
        "oi": "openInterest",
        "prev_oi": "changeinOpenInterest",
        "provider_iv": "impliedVolatility",
    },
    ChainSource.UPSTOX: {
        "ltp": "ltp",
        "prev_close": "close_price",
        "bid": "bid_price",
        "ask": "ask_price",
        "bid_qty": "bid_qty",
        "ask_qty": "ask_qty",
        "volume": "volume",
        "oi": "oi",
        "prev_oi": "prev_oi",
        "provider_iv": "iv",
    },
}
OTHER_PRICES = ("prev_close", "bid", "ask")
COUNTS = ("oi", "volume", "prev_oi")

# No call is worth more than what it buys, no put more than what it sells; a last price may
# be older than the spot, and one can ask for anything (captured: 2.6 times as much).
PRICE_SLACK, ASK_FACTOR = 1.5, 15.0
# Captured: the middle strike lies between 0.76 and 1.52 of the spot.
STRIKE_FACTOR = 4.0
# Near the money, as parts of the spot.
NEAR_PRICES, NEAR_VOLATILITIES = 0.1, 0.05
# Put and call tell one forward at every strike: captured, the middle half of what they tell
# spreads over at most 0.14 of what the strikes spread over. Prices in paise make that 99,
# calls for puts 2, prices without their two last digits 0.99.
PARITY_SPREAD = 0.5
ENOUGH_STRIKES = 8
# Of the sum of the last prices. Captured: 0.69 to 3.1, the latter after a split.
PRICE_FACTOR = 10.0
ENOUGH_PRICES = 8
# As fractions, in the middle. Captured: 0.106 to 0.71.
LOWEST_VOLATILITY, HIGHEST_VOLATILITY = 0.02, 6.0
ENOUGH_VOLATILITIES = 4
# Among so many different counts of contracts some have no divisor in common.
ENOUGH_COUNTS = 20
SMALLEST_LOT = 5
ENOUGH_LEGS = 20
# What rounding the fractions of old lots may cost a total, and adding them up.
TOTAL_SLACK, TOTAL_PART = 0.5, 1e-9


def most_worth(side: OptionType, strike: Decimal, spot: float | None) -> float:
    """The price above which nobody could mean an option of that kind."""
    most = float(strike) if side is OptionType.PUT else spot
    return PRICE_SLACK * (LARGEST_PRICE if most is None else most)


def refuse_prices(most: float, prices: Mapping[str, float | None], ask_name: str) -> None:
    """Raise Objection for the one of *prices* that is above *most*."""
    for name, price in prices.items():
        if price is not None and price > most * (ASK_FACTOR if name == ask_name else 1):
            what = f"{name} {price:g} is above all that the option could be worth"
            raise FieldError(FailureKind.UNIT_CHANGED, name, what)


def check_chains(chains: Sequence[Chain]) -> Iterator[str]:
    """Remarks on the chains of one document. Raises ChainError when their units are not ours."""
    columns = [by_column(chain.legs) for chain in chains]
    for chain, of_chain in zip(chains, columns, strict=True):
        for problem in _problems(chain, of_chain):
            raise ChainError(
                FailureKind.UNIT_CHANGED, f"{chain.underlying} {chain.expiry}: {problem}", hint=LOOK
            )
    if sum(len(chain.legs) for chain in chains) < ENOUGH_LEGS:
        return
    for attribute, name in NAMES[chains[0].source].items():
        if not any(any(of_chain[attribute]) for of_chain in columns):
            yield f"{name} is 0 or missing in all legs"


def check_totals(
    chains: Sequence[Chain], totals: Mapping[str, Any], of: date | None
) -> Iterator[str]:
    """Hold the chain that expires on *of* against NSE's own *totals* of open interest and volume.

    A difference raises ChainError, unless it can be explained by legs that are not there, or
    nobody knows what the totals are of (without *of*): then it is a remark.
    """
    chain = next((chain for chain in chains if of in {None, chain.expiry}), None)
    if chain is None:
        return
    strikes = len({leg.strike for leg in chain.legs})
    for side in OptionType:
        told = totals.get(side)
        if not isinstance(told, dict):
            continue
        legs = [leg for leg in chain.legs if leg.option_type is side]
        for name, summed in (
            ("totOI", sum(leg.oi or 0.0 for leg in legs)),
            ("totVol", sum(leg.volume or 0.0 for leg in legs)),
        ):
            try:
                total = read_number(told.get(name), name)
            except BadRecord:
                continue
            if abs(summed - total) <= TOTAL_SLACK + TOTAL_PART * summed:
                continue
            what = f"{name} of {side} is {total:g}, its legs come to {summed:g}"
            some_are_missing = summed < total and len(legs) < strikes
            if of is not None and not some_are_missing:
                raise ChainError(FailureKind.CONTRADICTION, what, hint=LOOK)
            yield what


def _problems(chain: Chain, columns: Columns) -> Iterator[str]:
    """What cannot be if the units are as they used to be."""
    names = NAMES[chain.source]
    if chain.spot is not None:
        middle = float(columns["strike"][len(chain.legs) // 2])
        if not 1 / STRIKE_FACTOR < middle / chain.spot < STRIKE_FACTOR:
            yield f"strikes around {middle:g} and a spot of {chain.spot:g}"
        yield from _price_problems(columns, chain.spot, names)
        yield from _volatility_problems(columns, chain.spot, names)
    yield from _count_problems(columns, chain.unit, names)


def _price_problems(columns: Columns, spot: float, names: Mapping[str, str]) -> Iterator[str]:
    # The last price of another day may be about another spot.
    trades = zip(columns["ltp"], columns["volume"], strict=True)
    traded = [last and volume for last, volume in trades]
    strikes, last_prices = (list(compress(columns[name], traded)) for name in ("strike", "ltp"))
    legs = zip(strikes, last_prices, strict=True)
    forwards = {
        float(strike): call - put + float(strike)
        # The call of a strike stands before its put.
        for (strike, call), (other, put) in pairwise(legs)
        if strike == other and abs(float(strike) / spot - 1) < NEAR_PRICES
    }
    if len(forwards) >= ENOUGH_STRIKES:
        spread = _middle_half(forwards.values()) / _middle_half(forwards)
        if spread > PARITY_SPREAD:
            yield f"{names['ltp']} of calls and puts do not go together near the money"
    for price in OTHER_PRICES:
        told = list(compress(columns[price], traded))
        known = list(filter(None, told))
        if len(known) < ENOUGH_PRICES:
            continue
        ratio = sum(known) / sum(compress(last_prices, told))
        if not 1 / PRICE_FACTOR < ratio < PRICE_FACTOR:
            yield f"{names[price]} comes to {ratio:g} times {names['ltp']}"


def _middle_half(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]


def _volatility_problems(columns: Columns, spot: float, names: Mapping[str, str]) -> Iterator[str]:
    near = [
        volatility
        for strike, volatility in zip(columns["strike"], columns["provider_iv"], strict=True)
        if volatility and abs(float(strike) / spot - 1) < NEAR_VOLATILITIES
    ]
    if len(near) < ENOUGH_VOLATILITIES:
        return
    middle = median(near)
    if not LOWEST_VOLATILITY <= middle <= HIGHEST_VOLATILITY:
        yield f"{names['provider_iv']} near the money is {middle * 100:g} percent"


def _count_problems(
    columns: Columns, unit: QuantityUnit, names: Mapping[str, str]
) -> Iterator[str]:
    """The book counts shares, so that all its quantities are whole lots."""
    lot = gcd(*filter(None, columns["bid_qty"]), *filter(None, columns["ask_qty"]))
    if lot < SMALLEST_LOT:
        return
    for count in COUNTS:
        told = columns[count]
        if unit is QuantityUnit.CONTRACTS:
            # Nearly always the first of them is no multiple.
            if all(not value or value % lot == 0 for value in told) and _are_enough(told):
                yield f"{names[count]} is in shares: all are multiples of {lot}"
        elif _are_enough(told) and gcd(*map(int, filter(None, told))) < SMALLEST_LOT:
            yield f"{names[count]} is in contracts: they are no whole lots"


def _are_enough(counts: Iterable[float | None]) -> bool:
    return len(set(counts) - {0, None}) >= ENOUGH_COUNTS
