"""Dates, strikes and numbers as the providers of option chains write them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from math import inf
from operator import itemgetter
from reprlib import repr as shortened
from typing import Any, Protocol

from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.sources.transport.numbers import (
    LARGEST_PRICE,
    SMALLEST_PRICE,
    read_number,
    read_quantity,
)

# No exchange ever had as many shares in one contract.
LARGEST_COUNT = 1e12
# Deep strikes on the last day have some hundred percent.
LARGEST_VOLATILITY = 100_000.0
# Of a fraction: percentages have two digits, and dividing them adds rounding errors.
IV_DIGITS = 8
# Theta and vega are rupees, delta at most 1, gamma at most 1 a rupee.
LARGEST_GREEK = 1e7
SMALLEST = {True: float("-inf"), False: 0.0}

# Derivatives began in June 2000, and no contract is listed for more than five years.
YEARS = range(2000, 2100)
# As many as the store has; no exchange lists a strike between two paise.
STRIKE_PLACES = 4
# English whatever the locale of this machine.
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_DAY_FIRST = re.compile(r"([0-9]{1,2})-([0-9]{1,2}|[A-Za-z]{3,9})-([0-9]{4})", re.ASCII)
_YEAR_FIRST = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_STRIKE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?", re.ASCII)
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)


class FieldError(BadRecord):
    """A leg with a *field* that cannot be right; *kind* is the failure if many legs have it."""

    def __init__(self, kind: FailureKind, field: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.field = field


def read_date(value: object) -> date:
    """``15-Sep-2026``, ``15-09-2026`` or ``2026-09-15``: NSE's site uses two of them in one row.

    Raises BadRecord.
    """
    if isinstance(value, str):
        return _date_of(value)
    raise BadRecord(f"{shortened(value)} is no date")


@lru_cache(maxsize=4096)
def _date_of(text: str) -> date:
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups()
    elif found := _YEAR_FIRST.fullmatch(text):
        year, month, day = found.groups()
    else:
        raise BadRecord(f"{shortened(text)} is no date in a known form")
    try:
        number = int(month) if month.isdecimal() else MONTHS.index(month[:3].lower()) + 1
        at = date(int(year), number, int(day))
    except ValueError:
        raise BadRecord(f"{shortened(text)} is no date") from None
    if at.year not in YEARS:
        raise BadRecord(f"{shortened(text)} is no date of a contract")
    return at


def read_strike(value: object) -> Decimal:
    """The exact strike in a number or in a plain decimal text. Raises BadRecord."""
    if type(value) in (int, float, str):
        return _strike_of(value)
    raise BadRecord(f"strike {shortened(value)} is not a number")


# `typed`, because 1 and True are one key otherwise.
@lru_cache(maxsize=65_536, typed=True)
def _strike_of(value: object) -> Decimal:
    text = str(value)
    if not _STRIKE.fullmatch(text):
        raise BadRecord(f"strike {shortened(value)} cannot be")
    strike = Decimal(text)
    if not 0 < strike < LARGEST_PRICE or strike != round(strike, STRIKE_PLACES):
        raise BadRecord(f"strike {shortened(value)} cannot be")
    # 22650, 22650.0 and "22650.00" are one strike, and are to look like one.
    return strike.to_integral_value() if strike == int(strike) else strike.normalize()


def read_stamp(value: object) -> datetime:
    """``11-Sep-2026 15:40:00``, which is Indian time, as an instant. Raises BadRecord."""
    day, _, rest = value.strip().partition(" ") if isinstance(value, str) else ("", "", "")
    found = _TIME.fullmatch(rest.strip())
    if found is None:
        raise BadRecord(f"{shortened(value)} is no date and time")
    try:
        hour, minute, second = (int(part or 0) for part in found.groups())
        at = datetime.combine(read_date(day), time(hour, minute, second), IST)
    except ValueError:
        raise BadRecord(f"{shortened(value)} is no date and time") from None
    return at.astimezone(UTC)


def read_spot(value: object) -> float:
    """The level of an underlying. Raises BadRecord."""
    spot = read_number(value, "spot")
    if not SMALLEST_PRICE <= spot < LARGEST_PRICE:
        raise BadRecord(f"spot {spot:g} cannot be")
    return spot


@dataclass(frozen=True, slots=True)
class Field:
    """A number in a leg: its names and its limits.

    *spellings* are all known names, in lower case. *least* is the smallest number apart from 0. A
    leg without a *needed* field counts as one with a wrong number; other fields may be missing.
    """

    name: str
    spellings: tuple[str, ...]
    most: float
    least: float = 0.0
    needed: bool = False
    whole: bool = False
    signed: bool = False


class LegNotes(Protocol):
    """Takes note of numbers that a leg is without; the leg is kept."""

    def lacking(self, field: str) -> None:
        """A leg has no *field*, which is optional."""

    def wrong(self, problem: "FieldError") -> None:
        """A field of a leg cannot be right."""


_NUMERIC, _WHOLE = frozenset({int, float}), frozenset({int})


class UsualForm:
    """Reads all numbers of a leg at once, if they have their usual form: these names, JSON
    numbers, a sum below *most*, no price below SMALLEST_PRICE but 0.

    *names* are those of the fields, those that may be negative last; *whole* is the position of
    the integers among them, *prices* are those of the prices.
    """

    def __init__(
        self,
        names: Iterable[object],
        *,
        unsigned: int,
        whole: slice,
        most: float,
        prices: Sequence[int] = (),
    ) -> None:
        self._take = itemgetter(*names)
        self._unsigned = slice(unsigned)
        self._whole = whole
        self._most = most
        self._prices = tuple(prices)

    def numbers(self, members: Mapping[Any, Any]) -> tuple[Any, ...] | None:
        """The numbers; None for a leg in which anything is unusual, which need not be wrong."""
        try:
            numbers: tuple[Any, ...] = self._take(members)
            if (
                _NUMERIC.issuperset(map(type, numbers))
                and _WHOLE.issuperset(map(type, numbers[self._whole]))
                and min(numbers[self._unsigned]) >= 0
                # This rejects NaN and infinity too.
                and -self._most < sum(numbers) < self._most
                and min([numbers[at] or SMALLEST_PRICE for at in self._prices], default=inf)
                >= SMALLEST_PRICE
            ):
                return numbers
        except (KeyError, OverflowError):
            # Another spelling; an integer that is larger than any float.
            pass
        return None


# Types of values that many legs can have in common.
COMPARABLE = (str, int, float)

_ABSENT = object()


def read_field(members: Mapping[str, Any], field: Field, notes: LegNotes) -> float | int | None:
    """The number of *field* in *members*, whose names are in lower case.

    None for a missing or impossible one, which is in *notes*.
    """
    value = next((members[name] for name in field.spellings if name in members), _ABSENT)
    if value is _ABSENT or value is None:
        if field.needed:
            notes.wrong(_not_there(field, value))
        else:
            notes.lacking(field.name)
        return None
    try:
        return _number_of(field, value)
    except FieldError as problem:
        notes.wrong(problem)
        return None


def _number_of(field: Field, value: object) -> float | int:
    try:
        number = (read_quantity if field.whole else read_number)(value, field.name)
    except BadRecord as problem:
        raise FieldError(_kind_of(value), field.name, problem.message) from None
    within = SMALLEST[field.signed] <= number <= field.most and number >= -field.most
    if not within or 0 < number < field.least:
        raise FieldError(FailureKind.UNIT_CHANGED, field.name, f"{field.name} {number:g} cannot be")
    return number


def _not_there(field: Field, value: object) -> FieldError:
    if value is None:
        return FieldError(FailureKind.RETYPED_FIELD, field.name, f"{field.name} is null")
    return FieldError(FailureKind.RENAMED_FIELD, field.name, f"{field.name} is missing")


def _kind_of(value: object) -> FailureKind:
    """The kind of failure: an impossible number, or not a number."""
    a_number = isinstance(value, int | float) and not isinstance(value, bool)
    return FailureKind.UNIT_CHANGED if a_number else FailureKind.RETYPED_FIELD


def in_lower_case(members: Mapping[Any, Any]) -> dict[str, Any]:
    """*members* by their names in lower case: providers change the case of names."""
    return {str(name).lower(): value for name, value in members.items()}


def most_common(values: Iterable[object]) -> object:
    """The most frequent text or number, apart from 0; None if there is none."""
    usable = [value for value in values if value and isinstance(value, COMPARABLE)]
    return Counter(usable).most_common(1)[0][0] if usable else None
