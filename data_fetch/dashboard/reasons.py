"""Why a value of a chain is unknown, in words for the screen."""

from collections.abc import Mapping

from data_fetch.core.chains.chains import LotReason
from data_fetch.core.chains.valuation import Reason

WORDS: Mapping[str, str] = {
    Reason.NOT_PRICED_YET: "a worker has not priced it yet",
    Reason.NO_PRICE: "it has neither a trade nor an order book",
    Reason.STALE_PRICE: "its last trade is of an earlier day",
    Reason.CROSSED_BOOK: "its bid is above its ask",
    Reason.ONE_SIDED_BOOK: "its order book has one side only",
    Reason.WIDE_QUOTE: "its bid and ask are too far apart",
    Reason.BELOW_INTRINSIC: "its price is below its intrinsic value",
    Reason.ABOVE_MAXIMUM: "its price is above the highest possible one",
    Reason.EXPIRED: "the expiry is over",
    Reason.NO_CAPTURE_TIME: "the instant of the prices is unknown",
    Reason.NO_FORWARD: "there is no forward price",
    Reason.OUTSIDE_STRIKES: "the forward is outside of the strikes",
    Reason.NO_OPEN_INTEREST: "the source sent no open interest",
    Reason.NO_VOLUME: "the source sent no volume",
    Reason.NO_CALLS: "calls have no open interest",
    Reason.NO_BASELINE: "the baseline has no value to compare with",
    Reason.LOT_UNKNOWN: "the lot size of that day is unknown",
    Reason.REJECTED: "the source sent impossible values",
    LotReason.LOT_MISMATCH: "its quantity is no multiple of the lot size",
}
NOT_SENT = "the source sent none"
NOT_COMPUTED = "it was not computed"
SHORT_NOT_SENT = "not sent"


def in_words(reason: str | None) -> str:
    """The clause for a *reason*; NOT_COMPUTED without one."""
    return NOT_COMPUTED if reason is None else WORDS.get(reason, reason)


def in_short(reason: str) -> str:
    """The name of a *reason* for one of hundreds of cells, whose words are sent each time."""
    return reason.replace("_", " ")
