"""Signs that a provider has changed the format of its responses: no odd values, other fields."""

from data_fetch.core.failures import FailureKind

UNKNOWN_FIELDS = "unknown fields"
MISSING_IN_ALL = "is missing in all rows"
FORMAT_CHANGES = (
    FailureKind.RENAMED_FIELD,
    FailureKind.RETYPED_FIELD,
    FailureKind.UNIT_CHANGED,
)


def is_drift(remark: str) -> bool:
    """Whether *remark*, on a response or a failure, is about fields that are new, gone or of
    another type."""
    return remark.startswith(UNKNOWN_FIELDS) or remark.endswith((MISSING_IN_ALL, *FORMAT_CHANGES))
