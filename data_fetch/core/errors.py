"""Every error this package raises, grouped by what has to happen next.

DataFetchError
├── SetupError            a person must change something; trying again cannot help
│   ├── SettingsInvalid   the configuration has errors; all are listed at once
│   ├── WrongWorld        invented and real prices must not be mixed
│   ├── NothingStored     the store has no data of what was asked for
│   ├── UnknownSymbol     the store knows no such instrument
│   ├── CalendarUnknown   the date is outside the market calendar
│   ├── DayArchived       rows of a day that is read from the archive
│   ├── SymbolsFileBad    the symbols file cannot be read
│   ├── SchemaDiffers     the database has not the tables of this version
│   └── IncompleteRange   complete candles were requested and some are missing
├── OutsideError          a provider or database failed
│   ├── TokenRejected     stop until there is a new token
│   ├── AccessDenied      stop: the provider blocks this account or address
│   ├── MasterUnavailable no instrument master, neither today's nor an older one
│   ├── BrokerUnreachable the broker of the workers does not answer
│   ├── StoreFailure      the database did not do what it was to do
│   │   ├── StoreUnreachable  it does not respond, or not now: waiting may help
│   │   │   └── StoreBusy     another transaction is in the way: trying again helps
│   │   └── StoreRefused      it refuses: no right, no room, read-only, damaged
│   └── TransientError    waiting will help
│       ├── RateLimited   wait as long as the provider requests
│       ├── Unreachable   no response
│       ├── WindowsUnavailable  no permission to send: the rate windows do not answer
│       └── BadResponse     not a usable response
│           ├── Unavailable   the provider reports an error of its own
│           └── ChainError    (core.chains) a response without an option chain
├── RequestRefused        this request can never succeed: skip it, carry on
│   ├── BatchRefused      with fewer keys it may succeed
│   └── UnknownInstrument
├── AccountError          an account, a token or an attempt to sign in is refused
│   ├── AccountInvalid    an e-mail address, name or password that is not accepted
│   ├── AccountExists     the e-mail address has an account
│   ├── UnknownAccount    nothing has this address or id
│   ├── SignInFailed      unknown address or wrong password: the same for both
│   ├── TokenInvalid      a token or key that is forged, expired, used or revoked
│   └── TryLater          wait as long as it says
│       ├── LockedOut     too many failures to sign in
│       └── TooBusy       too many passwords are being checked
├── LostLeadership        another scheduler took over this store
├── LostUnit              another worker has this unit of work
├── Stopped               the work was cancelled
└── RecordError           leave this record out and carry on
    └── BadRecord
"""

from collections.abc import Sequence
from datetime import date, timedelta

from data_fetch.core.failures import FailureKind


class DataFetchError(Exception):
    """Base class of all errors of this package. *hint* says what to do about it.

    *kind* classifies the error as the failure of a request to a provider, *requests* counts those
    that were sent before work ended with it.
    """

    kind: FailureKind = FailureKind.REFUSED
    requests: int = 0

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
            "Invalid configuration",
            hint=f"Fix these in .env or the environment:\n{listed}",
        )


class WrongWorld(SetupError):
    """A store of one world was offered rows, or a job, of the other."""


class NothingStored(SetupError):
    """The store has no data of what was asked for."""


class UnknownSymbol(SetupError):
    """The store knows no such instrument; *near* are the nearest symbols that it knows."""

    def __init__(self, message: str, *, near: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.near = tuple(near)


class DayArchived(SetupError):
    """Rows were offered of *days* that the store has no longer: they are in the archive."""

    def __init__(self, dataset: str, days: Sequence[date]) -> None:
        self.dataset, self.days = dataset, tuple(days)
        shown = ", ".join(day.isoformat() for day in self.days)
        super().__init__(
            f"{dataset} of {shown} are in the archive and cannot be written",
            hint=f"Bring them back: data-fetch archive restore --dataset {dataset} "
            f"--from {self.days[0]} --to {self.days[-1]}",
        )


class CalendarUnknown(SetupError):
    """The date is outside the market calendar."""


class SymbolsFileBad(SetupError):
    """The symbols file cannot be read."""


class SchemaDiffers(SetupError):
    """The database has a schema of another version, or of another program."""


class StillToCome(SetupError):
    """The whole range is later than the present day."""


class IncompleteRange(SetupError):
    """Complete candles were requested, and some are missed or pending."""


class OutsideError(DataFetchError):
    """A provider or database failed."""


class TokenRejected(OutsideError):
    """The provider rejects the access token. Jobs that need it wait for a new one."""

    kind = FailureKind.UNAUTHORISED


class LoginRefused(OutsideError):
    """A login at the provider gave no token: denied, not answered, or not for this app."""


class NotificationRefused(DataFetchError):
    """A body that was posted to the notifier is not the token of this app and user."""


class AccessDenied(OutsideError):
    """The provider rejects every request of this account or address (blocked, missing plan)."""

    kind = FailureKind.FORBIDDEN


class MasterUnavailable(OutsideError):
    """There is no instrument master: neither today's nor a cached older one."""


class InUse(OutsideError):
    """Another program works on the same thing; a unit of work waits for its turn."""


class BrokerUnreachable(OutsideError):
    """The broker of the workers does not answer; units wait in the store."""


class StoreFailure(OutsideError):
    """The database did not do what it was to do; nothing of the transaction was stored."""


class StoreUnreachable(StoreFailure):
    """The configured database does not respond, or not now: waiting may help."""


class StoreBusy(StoreUnreachable):
    """Another transaction was in the way, and this one was rolled back."""


class StoreRefused(StoreFailure):
    """The database refuses: no right, no room, read-only, damaged. A person has to act."""


class TransientError(OutsideError):
    """Waiting will help."""

    kind = FailureKind.UNREACHABLE


class RateLimited(TransientError):
    """The provider limits the rate of requests; *retry_after* is the wait it gave, if any."""

    kind = FailureKind.RATE_LIMITED

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """No response: connection refused, reset, no such host, timed out."""


class WindowsUnavailable(TransientError):
    """The shared rate windows do not answer: without their permission nothing is sent."""

    kind = FailureKind.NO_PERMISSION


class BadResponse(TransientError):
    """Not a usable response: HTML, truncated JSON."""

    kind = FailureKind.NOT_JSON


class Unavailable(BadResponse):
    """The provider responds with an error of its own: a 5xx."""

    kind = FailureKind.SERVER_ERROR


class RequestRefused(DataFetchError):
    """This request can never succeed. *code* is the provider's own error code.

    The source that reads the code sets *kind*, where there is a better one than REFUSED.
    """

    def __init__(
        self, message: str, *, code: str = "", kind: FailureKind | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        if kind is not None:
            self.kind = kind


class BatchRefused(RequestRefused):
    """The provider refuses a request with these keys; with fewer of them it may be accepted."""


class UnknownInstrument(RequestRefused):
    """The provider does not know at least one instrument key of the request."""

    kind = FailureKind.UNKNOWN_INSTRUMENT


class AccountError(DataFetchError):
    """An account, a token or an attempt to sign in is refused."""


class AccountInvalid(AccountError):
    """An e-mail address, name or password that is not accepted."""


class AccountExists(AccountError):
    """The e-mail address has an account."""


class UnknownAccount(AccountError):
    """Nothing has this address or id."""


class SignInFailed(AccountError):
    """The address is unknown, the password is wrong or the account is disabled: the sender must
    not learn which. *email* is that of the account, where there is one, for the audit."""

    def __init__(self, email: str | None = None) -> None:
        super().__init__("Invalid credentials")
        self.email = email


class TokenInvalid(AccountError):
    """A token or key that is forged, expired, used or revoked."""


class TryLater(AccountError):
    """Refused now; *retry_after* is how long to wait."""

    def __init__(self, message: str, *, retry_after: timedelta, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class LockedOut(TryLater):
    """Too many failures to sign in to this account or from this address."""


class TooBusy(TryLater):
    """Too many passwords are being checked."""


class LostLeadership(DataFetchError):
    """Another scheduler collects into this store; nothing was written."""


class LostUnit(DataFetchError):
    """The lease of a unit has expired and another worker may have it; nothing was written."""


class Stopped(DataFetchError):
    """The work was cancelled while it waited; nothing was sent."""


class RecordError(DataFetchError):
    """This record cannot be used; the others can."""


class BadRecord(RecordError):
    """The provider sent an impossible value."""
