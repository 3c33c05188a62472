"""What a subscription delivers for a key, and how many keys a connection may have."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What is delivered for a key, the poorest first.

    ``ltpc``: the last trade and the previous close; ``option_greeks`` adds the best prices, open
    interest and the Greeks; ``full`` adds candles and five levels of the book, ``full_d30`` thirty.
    """

    LTPC = "ltpc"
    OPTION_GREEKS = "option_greeks"
    FULL = "full"
    FULL_D30 = "full_d30"

    @property
    def richness(self) -> int:
        return _ORDER[self]


_ORDER = {mode: place for place, mode in enumerate(Mode)}


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """How many keys of a mode one connection may have: *alone*, and *mixed* with other modes.

    A mode that is not named is not allowed.
    """

    alone: Mapping[Mode, int]
    mixed: Mapping[Mode, int]
