"""Plausibility checks: has a provider changed the meaning of its numbers? Pure.

A renamed or retyped field is noticed when it is read (`legs`). These checks find numbers that
can be read and are wrong: paise for rupees, shares for contracts, fractions for percent. The
limits are wider than everything in the captured bodies of both providers.
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
from data_fetch.sources.chain_parsing.legs import CHECK_FORMAT
from data_fetch.sources.chain_parsing.values import FieldError, LegNotes
from data_fetch.sources.transport.numbers import LARGEST_PRICE, read_number

Columns = Mapping[str, Sequence[Any]]

# The providers' names of the numbers that are never 0 in a whole body.
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
# A listed chain has at least a book, or the open interest of the day before.
LIVE_NUMBERS = ("ltp", "bid", "ask", "volume", "oi")
OTHER_PRICES = ("prev_close", "bid", "ask")
COUNTS = ("oi", "volume", "prev_oi")

# No call is worth more than what it buys, no put more than what it sells; a last price may
# be older than the spot, and an ask may be any price (captured: 2.6 times as much).
PRICE_SLACK, ASK_FACTOR = 1.5, 15.0
# Captured: the middle strike lies between 0.76 and 1.52 of the spot.
STRIKE_FACTOR = 4.0
# Near the money, as parts of the spot.
NEAR_PRICES, NEAR_VOLATILITIES = 0.1, 0.05
# Put and call imply one forward at every strike: captured, the middle half of the implied
# forwards spreads over at most 0.14 of the spread of the strikes. Prices in paise make that 99,
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
# Errors of a total: rounding the fractions of old lots, and adding them up.
TOTAL_SLACK, TOTAL_PART = 0.5, 1e-9


def most_worth(side: OptionType, strike: Decimal, spot: float | None) -> float:
    """The price above which no price of such an option is plausible."""
    most = float(strike) if side is OptionType.PUT else spot
    return PRICE_SLACK * (LARGEST_PRICE if most is None else most)


def possible_prices(
    most: float, prices: Mapping[str, float | None], ask_name: str, notes: LegNotes
) -> Iterator[float | None]:
    """Each of *prices*, in their order; None for one above *most*, which is in *notes*."""
    for name, price in prices.items():
        if price is not None and price > most * (ASK_FACTOR if name == ask_name else 1):
            reason = f"{name} {price:g} is above any possible value of the option"
            notes.wrong(FieldError(FailureKind.UNIT_CHANGED, name, reason))
            yield None
        else:
            yield price


def check_chains(chains: Sequence[Chain]) -> Iterator[str]:
    """Remarks on the chains of one document.

    Raises ChainError when their units are wrong, and when no chain has any price, book, volume or
    open interest; beside other chains a new expiry may have none.
    """
    if chains and not any(map(_has_numbers, chains)):
        message = f"{chains[0].underlying} {chains[0].expiry}: every number is 0 or missing"
        raise ChainError(FailureKind.NO_NUMBERS, message, hint="The next poll requests it again.")
    columns = [by_column(chain.legs) for chain in chains]
    for chain, of_chain in zip(chains, columns, strict=True):
        for problem in _problems(chain, of_chain):
            message = f"{chain.underlying} {chain.expiry}: {problem}"
            raise ChainError(FailureKind.UNIT_CHANGED, message, hint=CHECK_FORMAT)
    if sum(len(chain.legs) for chain in chains) < ENOUGH_LEGS:
        return
    for attribute, name in NAMES[chains[0].source].items():
        if not any(any(of_chain[attribute]) for of_chain in columns):
            yield f"{name} is 0 or missing in all legs"


def _has_numbers(chain: Chain) -> bool:
    return any(getattr(leg, name) for leg in chain.legs for name in LIVE_NUMBERS)


def check_totals(
    chains: Sequence[Chain], totals: Mapping[str, Any], of: date | None
) -> Iterator[str]:
    """Compare the chain that expires on *of* with NSE's own *totals* of open interest and volume.

    A difference raises ChainError, unless missing legs explain it, or the expiry of the totals
    is unknown (*of* is None): then it is a remark.
    """
    chain = next((chain for chain in chains if of in {None, chain.expiry}), None)
    if chain is None:
        return
    strikes = len({leg.strike for leg in chain.legs})
    for side in OptionType:
        of_side = totals.get(side)
        if not isinstance(of_side, dict):
            continue
        legs = [leg for leg in chain.legs if leg.option_type is side]
        for name, numbers in (
            ("totOI", [leg.oi for leg in legs if leg.oi is not None]),
            ("totVol", [leg.volume for leg in legs if leg.volume is not None]),
        ):
            summed = sum(numbers)
            try:
                total = read_number(of_side.get(name), name)
            except BadRecord:
                continue
            if abs(summed - total) <= TOTAL_SLACK + TOTAL_PART * summed:
                continue
            reason = f"{name} of {side} is {total:g}, the sum of its legs {summed:g}"
            some_are_missing = summed < total and len(numbers) < strikes
            if of is not None and not some_are_missing:
                raise ChainError(FailureKind.CONTRADICTION, reason, hint=CHECK_FORMAT)
            yield reason


def _problems(chain: Chain, columns: Columns) -> Iterator[str]:
    """Contradictions to the usual units."""
    names = NAMES[chain.source]
    if chain.spot is not None:
        middle = float(columns["strike"][len(chain.legs) // 2])
        if not 1 / STRIKE_FACTOR < middle / chain.spot < STRIKE_FACTOR:
            yield f"strikes around {middle:g} and a spot of {chain.spot:g}"
        yield from _price_problems(columns, chain.spot, names)
        yield from _volatility_problems(columns, chain.spot, names)
    yield from _count_problems(columns, chain.unit, names)


def _price_problems(columns: Columns, spot: float, names: Mapping[str, str]) -> Iterator[str]:
    # The last price of another day may belong to another spot.
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
            yield f"{names['ltp']} of calls and puts are inconsistent near the money"
    for price in OTHER_PRICES:
        prices = list(compress(columns[price], traded))
        known = list(filter(None, prices))
        if len(known) < ENOUGH_PRICES:
            continue
        ratio = sum(known) / sum(compress(last_prices, prices))
        if not 1 / PRICE_FACTOR < ratio < PRICE_FACTOR:
            yield f"{names[price]} is {ratio:g} times {names['ltp']}"


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
    """Counts in the wrong unit. The book counts shares, so its quantities are whole lots."""
    lot = gcd(*filter(None, columns["bid_qty"]), *filter(None, columns["ask_qty"]))
    if lot < SMALLEST_LOT:
        return
    for count in COUNTS:
        counts = columns[count]
        if unit is QuantityUnit.CONTRACTS:
            # Nearly always the first of them is not a multiple.
            if all(not value or value % lot == 0 for value in counts) and _are_enough(counts):
                yield f"{names[count]} is in shares: all are multiples of {lot}"
        elif _are_enough(counts) and gcd(*map(int, filter(None, counts))) < SMALLEST_LOT:
            yield f"{names[count]} is in contracts: the counts are not whole lots"


def _are_enough(counts: Iterable[float | None]) -> bool:
    return len(set(counts) - {0, None}) >= ENOUGH_COUNTS
