"""One leg of a body of NSE's website, turned into our words. Pure.

A leg in the body's usual form is read at once; one in which anything is unusual is read
again field by field, which takes some times as long and says what is wrong with it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from reprlib import repr as shortened
from typing import Any, TypeVar

from data_fetch.core.chains import ChainLeg, Fault, OptionType
from data_fetch.core.errors import BadRecord
from data_fetch.sources.chain_canaries import most_worth, refuse_prices
from data_fetch.sources.chain_values import (
    IV_DIGITS,
    LARGEST_COUNT,
    LARGEST_VOLATILITY,
    Field,
    Lacking,
    Objection,
    UsualForm,
    in_lower_case,
    read_date,
    read_field,
    read_strike,
)
from data_fetch.sources.numbers import LARGEST_PRICE, LARGEST_QUANTITY

T = TypeVar("T")

# In the order in which `_made` takes them; legacy spellings before those of v3.
FIELDS = (
    Field("openInterest", ("openinterest",), LARGEST_COUNT, needed=True),
    Field("totalTradedVolume", ("totaltradedvolume",), LARGEST_COUNT, needed=True),
    Field("lastPrice", ("lastprice",), LARGEST_PRICE, needed=True),
    Field("impliedVolatility", ("impliedvolatility",), LARGEST_VOLATILITY),
    Field("bidprice", ("bidprice", "buyprice1"), LARGEST_PRICE),
    Field("askPrice", ("askprice", "sellprice1"), LARGEST_PRICE),
    Field("bidQty", ("bidqty", "buyquantity1"), LARGEST_QUANTITY, whole=True),
    Field("askQty", ("askqty", "sellquantity1"), LARGEST_QUANTITY, whole=True),
    Field("totalBuyQuantity", ("totalbuyquantity",), LARGEST_QUANTITY, whole=True),
    Field("totalSellQuantity", ("totalsellquantity",), LARGEST_QUANTITY, whole=True),
    Field("change", ("change",), LARGEST_PRICE, signed=True),
    Field("changeinOpenInterest", ("changeinopeninterest",), LARGEST_COUNT, signed=True),
    Field("pChange", ("pchange",), LARGEST_COUNT, signed=True),
    Field("pchangeinOpenInterest", ("pchangeinopeninterest",), LARGEST_COUNT, signed=True),
)
UNSIGNED = sum(not field.signed for field in FIELDS)
QUANTITIES = slice(6, UNSIGNED)

KNOWN = {name for field in FIELDS for name in field.spellings} | {
    "strikeprice",
    "expirydate",
    "underlying",
    "identifier",
    "underlyingvalue",
    "optiontype",
}
NOT_OF_TRADING = {"strikeprice", "underlyingvalue"}

# NSE rounds its percentages now and then; only what is far off is an error.
POINTS_OFF, PART_OFF = 2.0, 0.25
# What subtracting two numbers of a body may leave of 0.
CRUMB = 1e-6
PRICE_DIGITS, COUNT_DIGITS = 4, 6

_IDENTIFIER = re.compile(
    r"[A-Z]{6}(?P<underlying>.+?)"
    r"(?P<expiry>\d{2}-(?:\d{2}|[A-Za-z]{3})-\d{4}|\d{4}-\d{2}-\d{2})"
    r"(?P<side>CE|PE)(?P<strike>\d+(?:\.\d+)?)",
    re.ASCII,
)

Leg = Mapping[str, Any]
Numbers = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What a row says of both its legs, as read and (*told*) as it was written."""

    strike: Decimal | None
    expiry: date | None
    strike_told: object

    @property
    def contract(self) -> tuple[str, str]:
        """How an identifier spells expiry and strike."""
        if self.strike is None or self.expiry is None:
            return "", ""
        return _day_first(self.expiry), _with_paise(self.strike)


class LegReader:
    """Reads the legs of one body. *names* are those of all its legs, which are *identified*
    or have lost their identifiers; *lacking* is told of every number that a leg is without."""

    def __init__(
        self,
        symbol: str,
        spot: float | None,
        names: Iterable[Any],
        identified: bool,
        lacking: Lacking,
    ) -> None:
        self._symbol = symbol
        self._spot = spot
        self._identified = identified
        self._lacking = lacking
        self._usual = _usual_form(names)
        # How many legs had a change to hold against its percentage.
        self.compared = 0

    def read(
        self, said: Said, contract: tuple[str, str], side: OptionType, leg: Leg
    ) -> tuple[date, ChainLeg, str] | None:
        """Expiry, leg and the field that does not go with another ("" if all do).

        None for a placeholder, which stands where nothing is listed. Raises Objection.
        """
        strike, expiry = said.strike, said.expiry
        if not (
            strike is not None
            and expiry is not None
            and leg.get("strikePrice") == said.strike_told
            and leg.get("underlying") == self._symbol
            and _is_identifier(leg.get("identifier"), self._symbol, contract, side)
            and _is_date(leg.get("expiryDate"), expiry)
        ):
            identity = self._identity(said, side, leg)
            if identity is None:
                return None
            strike, expiry = identity
        numbers = self._numbers(leg)
        return expiry, self._made(strike, side, numbers), self._contradicted(numbers)

    def _identity(self, said: Said, side: OptionType, leg: Leg) -> tuple[Decimal, date] | None:
        """Strike and expiry that all parts of the leg agree on; None for a placeholder."""
        members = in_lower_case(leg)
        identifier = members.get("identifier")
        if not identifier and not _has_traded(members) and self._is_placeholder(members):
            return None
        strike = self._agreed("strikePrice", said.strike, members.get("strikeprice"), read_strike)
        expiry = self._agreed("expiryDate", said.expiry, members.get("expirydate"), read_date)
        self._check_underlying(members.get("underlying"))
        self._check_identifier(identifier, strike, expiry, side)
        return strike, expiry

    def _is_placeholder(self, members: Leg) -> bool:
        """Where no leg has an identifier, one without any numbers may still be listed: then it
        says of which strike it is."""
        return self._identified or not members.get("strikeprice")

    def _agreed(self, field: str, of_row: T | None, told: object, read: Callable[[object], T]) -> T:
        try:
            of_leg = None if told is None else read(told)
        except BadRecord as problem:
            raise Objection(Fault.RETYPED_FIELD, field, f"{field}: {problem.what}") from None
        if of_leg is None:
            self._lacking(field)
        if of_row is not None and of_leg is not None and of_row != of_leg:
            raise Objection(
                Fault.CONTRADICTION, field, f"{field} {of_leg} in the leg, {of_row} in its row"
            )
        known = of_row if of_row is not None else of_leg
        if known is None:
            raise Objection(Fault.RENAMED_FIELD, field, f"{field} is missing")
        return known

    def _check_underlying(self, told: object) -> None:
        if told is None:
            self._lacking("underlying")
        elif told != self._symbol:
            raise Objection(
                Fault.OTHER_CHAIN, "underlying", f"underlying {shortened(told)}, not {self._symbol}"
            )

    def _check_identifier(
        self, told: object, strike: Decimal, expiry: date, side: OptionType
    ) -> None:
        found = _IDENTIFIER.fullmatch(told) if isinstance(told, str) else None
        if found is None:
            # Known from two other places; without an identifier nothing can contradict them.
            self._lacking("identifier")
            return
        try:
            day, at = read_date(found["expiry"]), read_strike(found["strike"])
        except BadRecord as problem:
            raise Objection(
                Fault.CONTRADICTION, "identifier", f"identifier {shortened(told)}: {problem.what}"
            ) from None
        if (found["underlying"], day, found["side"], at) != (self._symbol, expiry, side, strike):
            raise Objection(
                Fault.CONTRADICTION,
                "identifier",
                f"identifier {shortened(told)} is not {self._symbol} {expiry} {strike} {side}",
            )

    def _numbers(self, leg: Leg) -> Numbers:
        """What the leg has for each of `FIELDS`."""
        numbers = self._usual.numbers(leg)
        if numbers is not None:
            return numbers
        members = in_lower_case(leg)
        return tuple(read_field(members, field, self._lacking) for field in FIELDS)

    def _made(self, strike: Decimal, side: OptionType, numbers: Numbers) -> ChainLeg:
        oi, volume, last, iv, bid, ask, bid_qty, ask_qty, buying, selling, change, more, *_ = (
            numbers
        )
        ltp = float(last) if last else None
        most = most_worth(side, strike, self._spot)
        if last > most or (bid and bid > most) or (ask and ask > most):
            refuse_prices(most, {"lastPrice": last, "bidprice": bid, "askPrice": ask}, "askPrice")
        return ChainLeg(
            strike=strike,
            option_type=side,
            ltp=ltp,
            prev_close=_before("change", ltp, change, PRICE_DIGITS) or None,
            bid=float(bid) if bid else None,
            bid_qty=bid_qty,
            ask=float(ask) if ask else None,
            ask_qty=ask_qty,
            total_buy_qty=buying,
            total_sell_qty=selling,
            volume=float(volume),
            oi=float(oi),
            prev_oi=_before("changeinOpenInterest", oi, more, COUNT_DIGITS),
            provider_iv=round(iv / 100, IV_DIGITS) if iv else None,
        )

    def _contradicted(self, numbers: Numbers) -> str:
        """The field that its own percentage contradicts, if one does."""
        oi, _, last, *_, change, more, percent, more_percent = numbers
        if last and change and percent:
            self.compared += 1
            if _is_far_off(change, last - change, percent):
                return "change"
        if more and more_percent:
            self.compared += 1
            if _is_far_off(more, oi - more, more_percent):
                return "changeinOpenInterest"
        if change and not last:
            # Something traded, so 0 is not the price.
            self._lacking("lastPrice")
        return ""


@lru_cache(maxsize=256)
def _day_first(day: date) -> str:
    return f"{day:%d-%m-%Y}"


@lru_cache(maxsize=65_536)
def _with_paise(strike: Decimal) -> str:
    return f"{strike:.2f}"


def symbol_in(identifier: object) -> str | None:
    """The underlying that an identifier like ``OPTIDXNIFTY15-09-2026CE22650.00`` names."""
    found = _IDENTIFIER.fullmatch(identifier) if isinstance(identifier, str) else None
    return None if found is None else found["underlying"]


def _usual_form(names: Iterable[Any]) -> UsualForm:
    """Of a leg that spells its numbers as this body, with legs of these *names*, does."""
    spelt = {str(name).lower(): name for name in names}
    found = [
        next((spelt[name] for name in field.spellings if name in spelt), None) for field in FIELDS
    ]
    return UsualForm(found, unsigned=UNSIGNED, whole=QUANTITIES, most=LARGEST_PRICE)


def _is_identifier(told: object, symbol: str, contract: tuple[str, str], side: OptionType) -> bool:
    expiry, strike = contract
    return isinstance(told, str) and told[6:] == f"{symbol}{expiry}{side}{strike}"


def _is_date(told: object, expiry: date) -> bool:
    try:
        return read_date(told) == expiry
    except BadRecord:
        return False


def _has_traded(members: Leg) -> bool:
    """Whether any number of the leg, apart from what it is an option on, is not 0."""
    return any(
        value and name not in NOT_OF_TRADING and isinstance(value, int | float)
        for name, value in members.items()
    )


def _before(field: str, now: float | None, change: float | None, digits: int) -> float | None:
    """What *now* was before it changed."""
    if now is None or change is None:
        return None
    before = now - change
    if before < -CRUMB:
        raise Objection(Fault.CONTRADICTION, field, f"{field} {change:g} to {now:g} cannot be")
    # Whole numbers need no rounding, and most are whole.
    return float(before) if type(before) is int else abs(round(before, digits))


def _is_far_off(change: float, before: float, percent: float) -> bool:
    if before <= CRUMB:
        return False
    expected = change / before * 100
    return abs(expected - percent) > POINTS_OFF + PART_OFF * abs(expected)
