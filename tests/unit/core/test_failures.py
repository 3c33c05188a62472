"""One list of failure kinds for quotes, candles and chains."""

from datetime import timedelta

import pytest

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.errors import (
    AccessDenied,
    BadResponse,
    DataFetchError,
    RateLimited,
    RequestRefused,
    SetupError,
    TokenRejected,
    TransientError,
    Unavailable,
    UnknownInstrument,
    Unreachable,
)
from data_fetch.core.failures import FailureGroup, FailureKind, first_wait


@pytest.mark.parametrize(
    ("problem", "kind", "group"),
    [
        (TokenRejected("x"), FailureKind.UNAUTHORISED, FailureGroup.AUTH),
        (AccessDenied("x"), FailureKind.FORBIDDEN, FailureGroup.AUTH),
        (RateLimited("x"), FailureKind.RATE_LIMITED, FailureGroup.QUOTA),
        (Unreachable("x"), FailureKind.UNREACHABLE, FailureGroup.NETWORK),
        (TransientError("x"), FailureKind.UNREACHABLE, FailureGroup.NETWORK),
        (Unavailable("x"), FailureKind.SERVER_ERROR, FailureGroup.NETWORK),
        (BadResponse("x"), FailureKind.NOT_JSON, FailureGroup.SCHEMA),
        (ChainError(FailureKind.HTML, "x"), FailureKind.HTML, FailureGroup.SCHEMA),
        (RequestRefused("x"), FailureKind.REFUSED, FailureGroup.REFUSED),
        (
            RequestRefused("x", kind=FailureKind.NOT_FOUND),
            FailureKind.NOT_FOUND,
            FailureGroup.REFUSED,
        ),
        (
            UnknownInstrument("x"),
            FailureKind.UNKNOWN_INSTRUMENT,
            FailureGroup.UNKNOWN_INSTRUMENT,
        ),
        (SetupError("x"), FailureKind.REFUSED, FailureGroup.REFUSED),
    ],
)
def test_every_error_has_a_kind(
    problem: DataFetchError, kind: FailureKind, group: FailureGroup
) -> None:
    assert (problem.kind, problem.kind.group) == (kind, group)


def test_every_kind_has_a_group() -> None:
    assert {kind.group for kind in FailureKind} == set(FailureGroup)


@pytest.mark.parametrize(
    ("group", "wait"),
    [
        (FailureGroup.AUTH, timedelta(0)),
        (FailureGroup.NETWORK, timedelta(minutes=5)),
        (FailureGroup.REFUSED, timedelta(hours=24)),
        (FailureGroup.UNKNOWN_INSTRUMENT, timedelta(hours=24)),
    ],
)
def test_the_first_wait_follows_the_remedy(group: FailureGroup, wait: timedelta) -> None:
    assert first_wait(group) == wait
