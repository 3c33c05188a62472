"""Every error this package raises, grouped by whose move it is.

DataFetchError
├── SetupError            a person must change something; trying again cannot help
│   ├── SettingsInvalid   every problem of the configuration at once
│   ├── WrongWorld        invented prices may not meet real ones
│   ├── CalendarUnknown   the calendar does not reach that date
│   ├── SymbolsFileBad    the symbols file cannot be read
│   └── IncompleteRange   candles were wanted complete and are not
├── OutsideError          the outside world refused
│   ├── TokenRejected     stop until there is a new token
│   ├── AccessDenied      stop: the provider's door is shut to us
│   ├── MasterUnavailable no instrument master, neither today's nor an older one
│   ├── StoreUnreachable  the configured database does not answer
│   └── TransientError    waiting will help
│       ├── RateLimited   wait as long as it says
│       ├── Unreachable   no answer at all
│       └── BadResponse     an answer that cannot be what the provider meant
│           ├── Unavailable   the provider says itself that it cannot answer
│           └── ChainError    (core.chains) no option chain in it, and the kind of failure
├── RequestRefused        this request can never succeed: skip it, carry on
│   └── UnknownInstrument
├── LostLeadership        another scheduler took this store over
├── Stopped               somebody here wants the work to end
└── RecordError           leave this record out and carry on
    └── BadRecord
"""

from collections.abc import Sequence
from datetime import timedelta

from data_fetch.core.failures import FailureKind


class DataFetchError(Exception):
    """Base class of all errors of this package. *hint* says what to do about it.

    *kind* classifies the error as the failure of a request to a provider.
    """

    kind: FailureKind = FailureKind.REFUSED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.message = message
        self.hint = hint


class SetupError(DataFetchError):
    """A person must change something."""


class SettingsInvalid(SetupError):
    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(
            "the configuration cannot be used",
            hint=f"Mend in .env or in the environment:\n{listed}",
        )


class WrongWorld(SetupError):
    """A store of one world was offered rows, or a job, of the other."""


class CalendarUnknown(SetupError):
    """The market calendar does not reach that date."""


class SymbolsFileBad(SetupError):
    """The symbols file cannot be read."""


class IncompleteRange(SetupError):
    """Candles were asked for on condition that none is missed or still to come."""


class OutsideError(DataFetchError):
    """The outside world refused."""


class TokenRejected(OutsideError):
    """The provider does not take our access token. Jobs that need it wait for a new one."""

    kind = FailureKind.UNAUTHORISED


class AccessDenied(OutsideError):
    """The provider refuses us whatever we send (blocked address, missing plan)."""

    kind = FailureKind.FORBIDDEN


class MasterUnavailable(OutsideError):
    """There is no instrument master: neither today's nor a cached older one."""


class StoreUnreachable(OutsideError):
    """The configured database does not answer."""


class TransientError(OutsideError):
    """Waiting will help."""

    kind = FailureKind.UNREACHABLE


class RateLimited(TransientError):
    """The provider asks us to wait; *retry_after* is what it named, if it named anything."""

    kind = FailureKind.RATE_LIMITED

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """No answer: refused, reset, no such host, timed out."""


class BadResponse(TransientError):
    """An answer that cannot be what the provider meant: HTML, truncated JSON."""

    kind = FailureKind.NOT_JSON


class Unavailable(BadResponse):
    """The provider is there and cannot answer: a 5xx."""

    kind = FailureKind.SERVER_ERROR


class RequestRefused(DataFetchError):
    """This request can never succeed. *code* is the provider's own error code.

    The source that reads the code names the *kind*, where there is a better one than REFUSED.
    """

    def __init__(
        self, message: str, *, code: str = "", kind: FailureKind | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        if kind is not None:
            self.kind = kind


class UnknownInstrument(RequestRefused):
    """At least one instrument key of the request is not known to the provider."""

    kind = FailureKind.UNKNOWN_INSTRUMENT


class LostLeadership(DataFetchError):
    """Another scheduler collects into this store now; nothing was written."""


class Stopped(DataFetchError):
    """The work was called off while it waited; nothing was sent."""


class RecordError(DataFetchError):
    """This record cannot be used; the others can."""


class BadRecord(RecordError):
    """The provider sent something that cannot be true."""
