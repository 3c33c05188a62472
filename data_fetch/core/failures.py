"""Why a request to a provider brought no usable data: one list for quotes, candles and chains.

Every error carries its kind (`DataFetchError.kind`); the source that raises the error sets it.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class FailureGroup(StrEnum):
    """Kinds of failure that need the same remedy. The words are those of backfill reports."""

    AUTH = "auth"
    QUOTA = "quota"
    SCHEMA = "schema"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    EMPTY = "empty"
    NETWORK = "network"
    REFUSED = "refused"
    CONTRADICTED = "contradicted"


class FailureKind(StrEnum):
    """Why a response holds no usable data, or why there is no response."""

    EMPTY_OBJECT = "empty_object"
    EMPTY_LIST = "empty_list"
    EMPTY_BODY = "empty_body"
    EMPTY_DESPITE_TRADING = "empty_despite_trading"
    HTML = "html"
    NOT_JSON = "not_json"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    MISDIRECTED = "misdirected"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    REFUSED = "refused"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNREACHABLE = "unreachable"
    NOT_A_CHAIN = "not_a_chain"
    OTHER_CHAIN = "other_chain"
    NO_NUMBERS = "no_numbers"
    RENAMED_FIELD = "renamed_field"
    RETYPED_FIELD = "retyped_field"
    UNIT_CHANGED = "unit_changed"
    CONTRADICTION = "contradiction"
    SWITCHED_OFF = "switched_off"
    NO_PERMISSION = "no_permission"

    @property
    def predicate(self) -> str:
        """What the source did, after its name: "upstox returned HTML"."""
        return _PREDICATES[self]

    @property
    def group(self) -> FailureGroup:
        """The group that shares this kind's remedy."""
        return _GROUPS[self]


_GROUPS: Mapping[FailureKind, FailureGroup] = {
    FailureKind.EMPTY_OBJECT: FailureGroup.SCHEMA,
    FailureKind.EMPTY_LIST: FailureGroup.EMPTY,
    FailureKind.EMPTY_BODY: FailureGroup.SCHEMA,
    FailureKind.EMPTY_DESPITE_TRADING: FailureGroup.CONTRADICTED,
    FailureKind.HTML: FailureGroup.SCHEMA,
    FailureKind.NOT_JSON: FailureGroup.SCHEMA,
    FailureKind.UNAUTHORISED: FailureGroup.AUTH,
    FailureKind.FORBIDDEN: FailureGroup.AUTH,
    FailureKind.NOT_FOUND: FailureGroup.REFUSED,
    FailureKind.MISDIRECTED: FailureGroup.REFUSED,
    FailureKind.RATE_LIMITED: FailureGroup.QUOTA,
    FailureKind.SERVER_ERROR: FailureGroup.NETWORK,
    FailureKind.REFUSED: FailureGroup.REFUSED,
    FailureKind.UNKNOWN_INSTRUMENT: FailureGroup.UNKNOWN_INSTRUMENT,
    FailureKind.UNREACHABLE: FailureGroup.NETWORK,
    FailureKind.NOT_A_CHAIN: FailureGroup.SCHEMA,
    FailureKind.OTHER_CHAIN: FailureGroup.SCHEMA,
    FailureKind.NO_NUMBERS: FailureGroup.EMPTY,
    FailureKind.RENAMED_FIELD: FailureGroup.SCHEMA,
    FailureKind.RETYPED_FIELD: FailureGroup.SCHEMA,
    FailureKind.UNIT_CHANGED: FailureGroup.SCHEMA,
    FailureKind.CONTRADICTION: FailureGroup.SCHEMA,
    FailureKind.SWITCHED_OFF: FailureGroup.REFUSED,
    FailureKind.NO_PERMISSION: FailureGroup.NETWORK,
}

_PREDICATES: Mapping[FailureKind, str] = {
    FailureKind.EMPTY_OBJECT: "returned an empty object",
    FailureKind.EMPTY_LIST: "returned an empty list",
    FailureKind.EMPTY_BODY: "returned an empty body",
    FailureKind.EMPTY_DESPITE_TRADING: "returned nothing where there was trading",
    FailureKind.HTML: "returned HTML",
    FailureKind.NOT_JSON: "returned no JSON",
    FailureKind.UNAUTHORISED: "rejected the token",
    FailureKind.FORBIDDEN: "denied access",
    FailureKind.NOT_FOUND: "found nothing at the address",
    FailureKind.MISDIRECTED: "rejected the connection",
    FailureKind.RATE_LIMITED: "is at its rate limit",
    FailureKind.SERVER_ERROR: "returned a server error",
    FailureKind.REFUSED: "rejected the request",
    FailureKind.UNKNOWN_INSTRUMENT: "does not know the instrument",
    FailureKind.UNREACHABLE: "is unreachable",
    FailureKind.NOT_A_CHAIN: "returned no option chain",
    FailureKind.OTHER_CHAIN: "returned another chain",
    FailureKind.NO_NUMBERS: "returned a chain without numbers",
    FailureKind.RENAMED_FIELD: "renamed a field",
    FailureKind.RETYPED_FIELD: "changed the type of a field",
    FailureKind.UNIT_CHANGED: "changed a unit",
    FailureKind.CONTRADICTION: "returned contradictory values",
    FailureKind.SWITCHED_OFF: "is switched off",
    FailureKind.NO_PERMISSION: "was sent nothing: the rate windows do not answer",
}

_USUAL_FIRST_WAIT, _ONE_DAY = timedelta(minutes=5), timedelta(hours=24)
_FIRST_WAITS: Mapping[FailureGroup, timedelta] = {
    # The provider refuses the same request again until something changes on either side.
    FailureGroup.UNKNOWN_INSTRUMENT: _ONE_DAY,
    FailureGroup.REFUSED: _ONE_DAY,
    # The request itself was right: it can be repeated as soon as access works again.
    FailureGroup.AUTH: timedelta(0),
}


def first_wait(group: FailureGroup) -> timedelta:
    """The wait after the first failure of a group; it doubles with each further failure."""
    return _FIRST_WAITS.get(group, _USUAL_FIRST_WAIT)
