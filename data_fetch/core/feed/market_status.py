"""The state of a market segment as the feed reports it."""

from enum import StrEnum


class MarketStatus(StrEnum):
    """The words of Upstox, in the order in which a day has them."""

    PRE_OPEN_START = "pre_open_start"
    PRE_OPEN_END = "pre_open_end"
    NORMAL_OPEN = "normal_open"
    NORMAL_CLOSE = "normal_close"
    CLOSING_START = "closing_start"
    CLOSING_END = "closing_end"
