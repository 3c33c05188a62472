"""Numbers as providers write them: JSON numbers, or plain decimals in quotes."""

import re
from math import isfinite
from reprlib import repr as shortened

from data_fetch.core.errors import BadRecord

# Far above any price in rupees, far below where arithmetic on prices could overflow.
LARGEST_PRICE = 1e9
# No tick of NSE is smaller.
SMALLEST_PRICE = 0.01
LARGEST_QUANTITY = 2**63 - 1

# A plain decimal in quotes is unambiguous, so it is read; "1,304.10" is not plain.
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def read_price(value: object, name: str) -> float:
    """A price in rupees. Raises BadRecord, naming it *name*."""
    price = read_number(value, name)
    if not SMALLEST_PRICE <= price <= LARGEST_PRICE:
        raise BadRecord(f"{name} {price:g} cannot be")
    return price


def read_number(value: object, name: str) -> float:
    """A finite number. Raises BadRecord, naming it *name*."""
    # The usual case first: it comes a thousand times a slot.
    if type(value) is float and isfinite(value):
        return value
    if value is None:
        raise BadRecord(f"{name} is missing")
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord(f"{name} is {shortened(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:
        raise BadRecord(f"{name} cannot be that large") from None
    if not isfinite(number):
        raise BadRecord(f"{name} is {number}")
    return number


def read_quantity(value: object, name: str) -> int:
    """A whole number of units, 0 or more; 123.0 counts as one. Raises BadRecord."""
    if isinstance(value, int) and not isinstance(value, bool):
        quantity = value
    else:
        number = read_number(value, name)
        if not number.is_integer():
            raise BadRecord(f"{name} {number} is not a whole number")
        quantity = int(number)
    if not 0 <= quantity <= LARGEST_QUANTITY:
        raise BadRecord(f"{name} {shortened(quantity)} cannot be")
    return quantity
