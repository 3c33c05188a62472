"""Reads one leg of a body of NSE's website. Pure.

A leg in the body's usual form is read at once; one in which anything is unusual is read again
field by field, which takes several times as long and reports what is wrong with it.
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
from data_fetch.sources.chain_parsing.plausibility import most_worth, possible_prices
from data_fetch.sources.chain_parsing.values import (
    IV_DIGITS,
    LARGEST_COUNT,
    LARGEST_VOLATILITY,
    Field,
    FieldError,
    LegNotes,
    UsualForm,
    in_lower_case,
    read_date,
    read_field,
    read_strike,
)
from data_fetch.sources.transport.numbers import (
    LARGEST_PRICE,
    LARGEST_QUANTITY,
    SMALLEST_PRICE,
)

T = TypeVar("T")

# In the order in which `_made` reads them; legacy spellings before those of v3.
FIELDS = (
    Field("openInterest", ("openinterest",), LARGEST_COUNT, needed=True),
    Field("totalTradedVolume", ("totaltradedvolume",), LARGEST_COUNT, needed=True),
    Field("lastPrice", ("lastprice",), LARGEST_PRICE, least=SMALLEST_PRICE, needed=True),
    Field("impliedVolatility", ("impliedvolatility",), LARGEST_VOLATILITY),
    Field("bidprice", ("bidprice", "buyprice1"), LARGEST_PRICE, least=SMALLEST_PRICE),
    Field("askPrice", ("askprice", "sellprice1"), LARGEST_PRICE, least=SMALLEST_PRICE),
    Field("bidQty", ("bidqty", "buyquantity1"), LARGEST_QUANTITY, whole=True),
    Field("askQty", ("askqty", "sellquantity1"), LARGEST_QUANTITY, whole=True),
    Field("totalBuyQuantity", ("totalbuyquantity",), LARGEST_QUANTITY, whole=True),
    Field("totalSellQuantity", ("totalsellquantity",), LARGEST_QUANTITY, whole=True),
    Field("change", ("change",), LARGEST_PRICE, signed=True),
    Field("changeinOpenInterest", ("changeinopeninterest",), LARGEST_COUNT, signed=True),
    Field("pChange", ("pchange",), LARGEST_COUNT, signed=True),
    Field("pchangeinOpenInterest", ("pchangeinopeninterest",), LARGEST_COUNT, signed=True),
)
NEEDED = sum(field.needed for field in FIELDS)
UNSIGNED = sum(not field.signed for field in FIELDS)
VOLATILITY = 3
PRICES = [at for at, field in enumerate(FIELDS) if field.least]
QUANTITIES = slice(6, UNSIGNED)

# The members that identify the option of a leg, in the order in which `_matches_row` reads them.
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
# Below 20 ticks a percentage says nothing: one tick is more than five percent.
TELLING_PRICE = 1.0
# The rounding error of subtracting two numbers of a body.
ROUNDING = 1e-6
PRICE_DIGITS, COUNT_DIGITS = 4, 6

_IDENTIFIER = re.compile(
    r"[A-Z]{6}(?P<underlying>.+?)"
    r"(?P<expiry>\d{2}-(?:\d{2}|[A-Za-z]{3})-\d{4}|\d{4}-\d{2}-\d{2})"
    r"(?P<side>CE|PE)(?P<strike>\d+(?:\.\d+)?)",
    re.ASCII,
)

# A field of the body, and the value of a leg that is computed from it.
Doubt = tuple[str, str]
DOUBTFUL_CHANGE: Doubt = ("change", "prev_close")
DOUBTFUL_OI_CHANGE: Doubt = ("changeinOpenInterest", "prev_oi")

Leg = Mapping[str, Any]
Numbers = tuple[Any, ...]


class RowKey(NamedTuple):
    """Strike and expiry that a row gives for both its legs, parsed and raw.

    *day* and *paise* are expiry and strike as identifiers spell them.
    """

    strike: Decimal | None
    expiry: date | None
    raw_strike: object
    raw_expiry: object
    day: str
    paise: str

    @classmethod
    def of(cls, strike: object, expiry: object) -> "RowKey":
        """Parse them; None stands for what the row leaves to its legs. Raises BadRecord."""
        at = None if strike is None else read_strike(strike)
        on = None if expiry is None else read_date(expiry)
        day, paise = "" if on is None else f"{on:%d-%m-%Y}", "" if at is None else f"{at:.2f}"
        return cls(at, on, strike, expiry, day, paise)


# Most rows have a key that was parsed before: of another symbol, or half a minute ago.
cached_row_key = lru_cache(maxsize=65_536, typed=True)(RowKey.of)


class LegReader:
    """Reads the legs of one body.

    *spelling* maps the names of their members in lower case to the body's own spelling. The legs
    are *identified* or have lost their identifiers. *notes* has the numbers that a leg is without.
    """

    def __init__(
        self,
        symbol: str,
        spot: float | None,
        spelling: Mapping[str, object],
        identified: bool,
        notes: LegNotes,
    ) -> None:
        self._symbol = symbol
        self._spot = spot
        self._identified = identified
        self._notes = notes
        self._usual = _usual_form(spelling)
        self._named = itemgetter(*map(spelling.get, IDENTITY))
        # How many legs had a change to compare with its percentage.
        self.compared = 0

    def read(
        self, row_key: RowKey, side: OptionType, leg: Leg
    ) -> tuple[date, ChainLeg, Doubt | None] | None:
        """Expiry, leg, and the field that contradicts another with the leg's value that was
        computed from it (None if none does).

        None for a placeholder of a strike that is not listed. Raises FieldError.
        """
        strike, expiry = row_key.strike, row_key.expiry
        if strike is None or expiry is None or not self._matches_row(row_key, side, leg):
            identity = self._identity(row_key, side, leg)
            if identity is None:
                return None
            strike, expiry = identity
        numbers = self._numbers(leg)
        return expiry, *self._made(strike, side, numbers)

    def _matches_row(self, row_key: RowKey, side: OptionType, leg: Leg) -> bool:
        """Whether the leg identifies the same option as its row, in the usual spelling."""
        try:
            strike, day, underlying, identifier = self._named(leg)
        except KeyError:
            return False
        return (
            strike == row_key.raw_strike
            and day in (row_key.raw_expiry, row_key.day)
            and underlying == self._symbol
            and type(identifier) is str
            and identifier[6:] == f"{self._symbol}{row_key.day}{side}{row_key.paise}"
        )

    def _identity(self, row_key: RowKey, side: OptionType, leg: Leg) -> tuple[Decimal, date] | None:
        """Strike and expiry that all parts of the leg agree on; None for a placeholder."""
        members = in_lower_case(leg)
        identifier = members.get("identifier")
        if not identifier and not _has_traded(members) and self._is_placeholder(members):
            return None
        strike = self._agreed(
            "strikePrice", row_key.strike, members.get("strikeprice"), read_strike
        )
        expiry = self._agreed("expiryDate", row_key.expiry, members.get("expirydate"), read_date)
        self._check_underlying(members.get("underlying"))
        self._check_identifier(identifier, strike, expiry, side)
        return strike, expiry

    def _is_placeholder(self, members: Leg) -> bool:
        """Whether the leg stands for nothing. Where no leg has an identifier, one without numbers
        may still be listed: then it has its strike."""
        return self._identified or not members.get("strikeprice")

    def _agreed(self, field: str, of_row: T | None, raw: object, read: Callable[[object], T]) -> T:
        try:
            of_leg = None if raw is None else read(raw)
        except BadRecord as problem:
            raise FieldError(
                FailureKind.RETYPED_FIELD, field, f"{field}: {problem.message}"
            ) from None
        if of_leg is None:
            self._notes.lacking(field)
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

    def _check_underlying(self, raw: object) -> None:
        if raw is None:
            self._notes.lacking("underlying")
        elif raw != self._symbol:
            raise FieldError(
                FailureKind.OTHER_CHAIN,
                "underlying",
                f"underlying {shortened(raw)}, not {self._symbol}",
            )

    def _check_identifier(
        self, raw: object, strike: Decimal, expiry: date, side: OptionType
    ) -> None:
        found = _IDENTIFIER.fullmatch(raw) if isinstance(raw, str) else None
        if found is None:
            # Strike and expiry are in two other places; here nothing can contradict them.
            self._notes.lacking("identifier")
            return
        try:
            day, at = read_date(found["expiry"]), read_strike(found["strike"])
        except BadRecord as problem:
            raise FieldError(
                FailureKind.CONTRADICTION,
                "identifier",
                f"identifier {shortened(raw)}: {problem.message}",
            ) from None
        if (found["underlying"], day, found["side"], at) != (self._symbol, expiry, side, strike):
            raise FieldError(
                FailureKind.CONTRADICTION,
                "identifier",
                f"identifier {shortened(raw)} is not {self._symbol} {expiry} {strike} {side}",
            )

    def _numbers(self, leg: Leg) -> Numbers:
        """The number of the leg for each of `FIELDS`."""
        numbers = self._usual.numbers(leg)
        # Beside counts of contracts a wrong volatility does not change the sum much.
        if numbers is not None and numbers[VOLATILITY] <= LARGEST_VOLATILITY:
            return numbers
        members = in_lower_case(leg)
        found = tuple(read_field(members, field, self._notes) for field in FIELDS)
        if found[:NEEDED] == (None,) * NEEDED:
            raise FieldError(FailureKind.RENAMED_FIELD, "leg", "a leg without a number")
        return found

    def _made(
        self, strike: Decimal, side: OptionType, numbers: Numbers
    ) -> tuple[ChainLeg, Doubt | None]:
        """The leg, and the field that its percentage contradicts (None if none)."""
        oi, volume, last, iv, bid, ask = numbers[:6]
        bid_qty, ask_qty, buying, selling, change, oi_change, percent, oi_percent = numbers[6:]
        most = most_worth(side, strike, self._spot)
        if (last and last > most) or (bid and bid > most) or (ask and ask > most):
            prices = {"lastPrice": last, "bidprice": bid, "askPrice": ask}
            last, bid, ask = possible_prices(most, prices, "askPrice", self._notes)
        ltp = float(last) if last else None
        prev_close = self._before("change", ltp, change, PRICE_DIGITS)
        prev_oi = self._before("changeinOpenInterest", oi, oi_change, COUNT_DIGITS)
        # By position, because by name takes twice as long.
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
            None if volume is None else float(volume),
            None if oi is None else float(oi),
            prev_oi,
            round(iv / 100, IV_DIGITS) if iv else None,
        )
        if change and last == 0:
            # There was a trade, so 0 is not its price.
            self._notes.lacking("lastPrice")
        if (prev_close or 0) >= TELLING_PRICE and self._is_far_off(change, prev_close, percent):
            return leg, DOUBTFUL_CHANGE
        if self._is_far_off(oi_change, prev_oi, oi_percent):
            return leg, DOUBTFUL_OI_CHANGE
        return leg, None

    def _before(
        self, field: str, now: float | None, change: float | None, digits: int
    ) -> float | None:
        """*now* before its *change*; None, with a note, when it would be negative."""
        if now is None or change is None:
            return None
        before = now - change
        if before < -ROUNDING:
            reason = f"{field} {change:g} to {now:g} cannot be"
            self._notes.wrong(FieldError(FailureKind.CONTRADICTION, field, reason))
            return None
        # Integers need no rounding, and most numbers are integers.
        return float(before) if type(before) is int else abs(round(before, digits))

    def _is_far_off(
        self, change: float | None, before: float | None, percent: float | None
    ) -> bool:
        """Whether *change* from *before* is far from so many *percent*."""
        if not change or not percent or before is None:
            return False
        self.compared += 1
        if before <= ROUNDING:
            return False
        expected = change / before * 100
        return abs(expected - percent) > POINTS_OFF + PART_OFF * abs(expected)


def symbol_in(identifier: object) -> str | None:
    """The underlying in an identifier like ``OPTIDXNIFTY15-09-2026CE22650.00``."""
    found = _IDENTIFIER.fullmatch(identifier) if isinstance(identifier, str) else None
    return None if found is None else found["underlying"]


def _usual_form(spelling: Mapping[str, object]) -> UsualForm:
    """The usual form of a leg in a body with this *spelling*."""
    found = [
        next((spelling[name] for name in field.spellings if name in spelling), None)
        for field in FIELDS
    ]
    return UsualForm(found, unsigned=UNSIGNED, whole=QUANTITIES, most=LARGEST_PRICE, prices=PRICES)


def _has_traded(members: Leg) -> bool:
    """Whether any number of the leg, apart from what it is an option on, is not 0."""
    return any(
        value and name not in NOT_OF_TRADING and isinstance(value, int | float)
        for name, value in members.items()
    )
