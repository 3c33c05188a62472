"""One leg of a body of NSE's website, turned into our words. Pure.

A leg in the body's usual form is read at once; one in which anything is unusual is read
again field by field, which takes some times as long and says what is wrong with it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from reprlib import repr as shortened
from typing import Any, NamedTuple, TypeVar

from data_fetch.core.chains.chains import ChainLeg, OptionType
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.chain_parsing.plausibility import most_worth, refuse_prices
from data_fetch.sources.chain_parsing.values import (
    IV_DIGITS,
    LARGEST_COUNT,
    LARGEST_VOLATILITY,
    Field,
    FieldError,
    Lacking,
    UsualForm,
    in_lower_case,
    read_date,
    read_field,
    read_strike,
)
from data_fetch.sources.transport.numbers import LARGEST_PRICE, LARGEST_QUANTITY

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
VOLATILITY = 3
QUANTITIES = slice(6, UNSIGNED)

# What says of which option a leg is, in the order in which `_names_itself` takes it.
IDENTITY = ("strikeprice", "expirydate", "underlying", "identifier")

KNOWN = {
    *(name for field in FIELDS for name in field.spellings),
    *IDENTITY,
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


class Said(NamedTuple):
    """What a row says of both its legs, as read and (*told*) as it was written.

    *day* and *paise* are how identifiers spell expiry and strike.
    """

    strike: Decimal | None
    expiry: date | None
    strike_told: object
    expiry_told: object
    day: str
    paise: str

    @classmethod
    def of(cls, strike: object, expiry: object) -> "Said":
        """None stands for what the row leaves to its legs. Raises BadRecord."""
        at = None if strike is None else read_strike(strike)
        on = None if expiry is None else read_date(expiry)
        day, paise = "" if on is None else f"{on:%d-%m-%Y}", "" if at is None else f"{at:.2f}"
        return cls(at, on, strike, expiry, day, paise)


# Most rows say what others have said before: of another symbol, or half a minute ago.
said_before = lru_cache(maxsize=65_536, typed=True)(Said.of)


class LegReader:
    """Reads the legs of one body. *format_expiry* is how it spells the names of their members,
    which are keyed in lower case; the legs are *identified* or have lost their identifiers;
    *lacking* gets every number that a leg is without."""

    def __init__(
        self,
        symbol: str,
        spot: float | None,
        format_expiry: Mapping[str, object],
        identified: bool,
        lacking: Lacking,
    ) -> None:
        self._symbol = symbol
        self._spot = spot
        self._identified = identified
        self._lacking = lacking
        self._usual = _usual_form(format_expiry)
        self._named = itemgetter(*map(format_expiry.get, IDENTITY))
        # How many legs had a change to hold against its percentage.
        self.compared = 0

    def read(self, said: Said, side: OptionType, leg: Leg) -> tuple[date, ChainLeg, str] | None:
        """Expiry, leg and the field that does not go with another ("" if all do).

        None for a placeholder, which stands where nothing is listed. Raises Objection.
        """
        strike, expiry = said.strike, said.expiry
        if strike is None or expiry is None or not self._names_itself(said, side, leg):
            identity = self._identity(said, side, leg)
            if identity is None:
                return None
            strike, expiry = identity
        numbers = self._numbers(leg)
        return expiry, *self._made(strike, side, numbers)

    def _names_itself(self, said: Said, side: OptionType, leg: Leg) -> bool:
        """Whether the leg says what its row says, in the way in which legs nearly always do."""
        try:
            strike, day, underlying, identifier = self._named(leg)
        except KeyError:
            return False
        return (
            strike == said.strike_told
            and day in (said.expiry_told, said.day)
            and underlying == self._symbol
            and type(identifier) is str
            and identifier[6:] == f"{self._symbol}{said.day}{side}{said.paise}"
        )

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
            raise FieldError(
                FailureKind.RETYPED_FIELD, field, f"{field}: {problem.message}"
            ) from None
        if of_leg is None:
            self._lacking(field)
        if of_row is not None and of_leg is not None and of_row != of_leg:
            raise FieldError(
                FailureKind.CONTRADICTION,
                field,
                f"{field} {of_leg} in the leg, {of_row} in its row",
            )
        known = of_row if of_row is not None else of_leg
        if known is None:
            raise FieldError(FailureKind.RENAMED_FIELD, field, f"{field} is missing")
        return known

    def _check_underlying(self, told: object) -> None:
        if told is None:
            self._lacking("underlying")
        elif told != self._symbol:
            raise FieldError(
                FailureKind.OTHER_CHAIN,
                "underlying",
                f"underlying {shortened(told)}, not {self._symbol}",
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
            raise FieldError(
                FailureKind.CONTRADICTION,
                "identifier",
                f"identifier {shortened(told)}: {problem.message}",
            ) from None
        if (found["underlying"], day, found["side"], at) != (self._symbol, expiry, side, strike):
            raise FieldError(
                FailureKind.CONTRADICTION,
                "identifier",
                f"identifier {shortened(told)} is not {self._symbol} {expiry} {strike} {side}",
            )

    def _numbers(self, leg: Leg) -> Numbers:
        """What the leg has for each of `FIELDS`."""
        numbers = self._usual.numbers(leg)
        # Among counts of contracts the volatility does not show in the sum.
        if numbers is not None and numbers[VOLATILITY] <= LARGEST_VOLATILITY:
            return numbers
        members = in_lower_case(leg)
        return tuple(read_field(members, field, self._lacking) for field in FIELDS)

    def _made(self, strike: Decimal, side: OptionType, numbers: Numbers) -> tuple[ChainLeg, str]:
        """The leg, and the field that its own percentage contradicts ("" if none does)."""
        oi, volume, last, iv, bid, ask = numbers[:6]
        bid_qty, ask_qty, buying, selling, change, more, percent, more_percent = numbers[6:]
        most = most_worth(side, strike, self._spot)
        if last > most or (bid and bid > most) or (ask and ask > most):
            refuse_prices(most, {"lastPrice": last, "bidprice": bid, "askPrice": ask}, "askPrice")
        ltp = float(last) if last else None
        prev_close = _before("change", ltp, change, PRICE_DIGITS)
        prev_oi = _before("changeinOpenInterest", oi, more, COUNT_DIGITS)
        # By place, because by name takes twice as long.
        leg = ChainLeg(
            strike,
            side,
            None,
            ltp,
            prev_close or None,
            float(bid) if bid else None,
            bid_qty,
            float(ask) if ask else None,
            ask_qty,
            buying,
            selling,
            float(volume),
            float(oi),
            prev_oi,
            round(iv / 100, IV_DIGITS) if iv else None,
        )
        if change and not last:
            # Something traded, so 0 is not the price.
            self._lacking("lastPrice")
        if self._is_far_off(change, prev_close, percent):
            return leg, "change"
        if self._is_far_off(more, prev_oi, more_percent):
            return leg, "changeinOpenInterest"
        return leg, ""

    def _is_far_off(
        self, change: float | None, before: float | None, percent: float | None
    ) -> bool:
        """Whether *change* of what was there *before* is not about so many *percent*."""
        if not change or not percent or before is None:
            return False
        self.compared += 1
        if before <= CRUMB:
            return False
        expected = change / before * 100
        return abs(expected - percent) > POINTS_OFF + PART_OFF * abs(expected)


def symbol_in(identifier: object) -> str | None:
    """The underlying that an identifier like ``OPTIDXNIFTY15-09-2026CE22650.00`` names."""
    found = _IDENTIFIER.fullmatch(identifier) if isinstance(identifier, str) else None
    return None if found is None else found["underlying"]


def _usual_form(format_expiry: Mapping[str, object]) -> UsualForm:
    """Of a leg that spells its numbers as this body, whose names are *format_expiry* so, does."""
    found = [
        next((format_expiry[name] for name in field.spellings if name in format_expiry), None)
        for field in FIELDS
    ]
    return UsualForm(found, unsigned=UNSIGNED, whole=QUANTITIES, most=LARGEST_PRICE)


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
        raise FieldError(
            FailureKind.CONTRADICTION, field, f"{field} {change:g} to {now:g} cannot be"
        )
    # Whole numbers need no rounding, and most are whole.
    return float(before) if type(before) is int else abs(round(before, digits))
