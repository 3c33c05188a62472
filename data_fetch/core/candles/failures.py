"""Why a request for candles brought nothing, by class, and when to try it again."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    DataFetchError,
    RateLimited,
    TokenRejected,
    Unavailable,
    UnknownInstrument,
    Unreachable,
)


class Failure(StrEnum):
    """What kind of failure it was, for people who have to do something about it."""

    AUTH = "auth"
    QUOTA = "quota"
    SCHEMA = "schema"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    EMPTY = "empty"
    NETWORK = "network"
    REFUSED = "refused"


CLASSES: Mapping[type[DataFetchError], Failure] = {
    TokenRejected: Failure.AUTH,
    AccessDenied: Failure.AUTH,
    RateLimited: Failure.QUOTA,
    BadResponse: Failure.SCHEMA,
    Unavailable: Failure.NETWORK,
    UnknownInstrument: Failure.UNKNOWN_INSTRUMENT,
    Unreachable: Failure.NETWORK,
}

MINUTES, A_DAY = timedelta(minutes=5), timedelta(hours=24)
FIRST_WAITS: Mapping[Failure, timedelta] = {
    # What was refused will be refused again until somebody changes something.
    Failure.UNKNOWN_INSTRUMENT: A_DAY,
    Failure.REFUSED: A_DAY,
    # Nothing of the day was at fault: whoever has mended the access asks at once.
    Failure.AUTH: timedelta(0),
}


def failure_of(problem: DataFetchError) -> Failure:
    """The class of *problem*; a refusal without a name of its own is `refused`."""
    return CLASSES.get(type(problem), Failure.REFUSED)


def first_wait(failure: Failure) -> timedelta:
    """How long to wait after the first failure of this class; it doubles with each further one."""
    return FIRST_WAITS.get(failure, MINUTES)
