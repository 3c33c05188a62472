"""Names of option contracts, as legs of a chain have them: NIFTY20260922C24000."""

import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from data_fetch.core.chains.chains import OptionType

NAME = re.compile(r"(?P<product>.+)(?P<day>\d{8})(?P<side>[CP])(?P<strike>\d{1,9}(\.\d{1,4})?)")
SIDES = {each.value[0]: each for each in OptionType}
# Names of option types beside it, as the older backend has them.
TYPES: Mapping[str, str] = {OptionType.CALL: "CALL", OptionType.PUT: "PUT"}


class Contract(NamedTuple):
    """An option on *product*, with its *strike* in rupees."""

    product: str
    expiry: date
    option_type: OptionType
    strike: float

    @property
    def name(self) -> str:
        return contract_name(self.product, day_text(self.expiry), self.option_type, self.strike)


def contract_of(name: str) -> Contract | None:
    """The contract of that name, in any case; None for what is no name of a contract."""
    found = NAME.fullmatch(name.strip().upper())
    if found is None:
        return None
    try:
        expiry = date.fromisoformat(found["day"])
    except ValueError:
        return None
    return Contract(found["product"], expiry, SIDES[found["side"]], float(found["strike"]))


def contract_name(product: str, day: str, option_type: str, strike: float) -> str:
    """The name of an option of type CE or PE that expires on *day*, a text of `day_text`."""
    return f"{product}{day}{option_type[0]}{strike_text(strike)}"


def day_text(expiry: date) -> str:
    """An expiry in a contract's name: 20260922."""
    return f"{expiry:%Y%m%d}"


def strike_text(strike: float) -> str:
    """A strike in a contract's name: 24000, 282.5."""
    return str(int(strike)) if strike.is_integer() else str(strike)
