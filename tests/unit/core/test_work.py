"""When a unit of work is tried again, and when it is dead."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.errors import (
    AccessDenied,
    BadRecord,
    BadResponse,
    DataFetchError,
    MasterUnavailable,
    RateLimited,
    RequestRefused,
    SetupError,
    StoreRefused,
    StoreUnreachable,
    TokenRejected,
    Unavailable,
    UnknownInstrument,
    Unreachable,
)
from data_fetch.core.failures import FailureKind
from data_fetch.core.work import (
    RETRIES,
    UnitFailure,
    UnitKind,
    UnitOffer,
    UnitState,
    WorkUnit,
    failed,
    failure_of,
)

NOW = datetime(2026, 11, 30, 6, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def unit(failures: int = 0, reason: UnitFailure | None = None) -> WorkUnit:
    return WorkUnit(
        key="backfill/X",
        kind=UnitKind.BACKFILL,
        subject={},
        state=UnitState.LEASED,
        attempts=failures + 1,
        failures=failures,
        reason=reason,
        error=None,
        run_id=None,
        lease_until=None,
        next_try=NOW,
        offered_at=NOW,
        changed_at=NOW,
    )


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (TokenRejected("x"), UnitFailure.AUTH),
        (AccessDenied("x"), UnitFailure.AUTH),
        (RateLimited("x"), UnitFailure.QUOTA),
        (Unreachable("x"), UnitFailure.OUTAGE),
        (Unavailable("x"), UnitFailure.OUTAGE),
        pytest.param(BadResponse("HTML"), UnitFailure.OUTAGE, id="a broken response"),
        (StoreUnreachable("x"), UnitFailure.OUTAGE),
        (StoreRefused("disk full"), UnitFailure.OUTAGE),
        (MasterUnavailable("x"), UnitFailure.OUTAGE),
        (BadRecord("x"), UnitFailure.SCHEMA),
        (RequestRefused("x", kind=FailureKind.RENAMED_FIELD), UnitFailure.SCHEMA),
        (RequestRefused("x"), UnitFailure.REFUSED),
        (UnknownInstrument("x"), UnitFailure.REFUSED),
        (SetupError("x"), UnitFailure.REFUSED),
        (DataFetchError("x"), UnitFailure.REFUSED),
        pytest.param(KeyError("x"), UnitFailure.POISON, id="a fault of the program"),
    ],
)
def test_a_problem_is_classified_by_its_remedy(problem: Exception, reason: UnitFailure) -> None:
    assert failure_of(problem) is reason


@pytest.mark.parametrize(
    ("reason", "failures", "wait"),
    [
        (UnitFailure.AUTH, 1, 5 * MINUTE),
        (UnitFailure.AUTH, 2, 10 * MINUTE),
        (UnitFailure.AUTH, 99, HOUR),
        (UnitFailure.AUTH, 100, None),
        (UnitFailure.QUOTA, 1, MINUTE),
        (UnitFailure.QUOTA, 6, 30 * MINUTE),
        (UnitFailure.OUTAGE, 1, 15 * SECOND),
        (UnitFailure.OUTAGE, 3, MINUTE),
        (UnitFailure.OUTAGE, 30, None),
        pytest.param(UnitFailure.SCHEMA, 1, None, id="schema is dead at once"),
        (UnitFailure.REFUSED, 1, None),
        (UnitFailure.POISON, 1, 5 * SECOND),
        (UnitFailure.POISON, 2, 10 * SECOND),
        pytest.param(UnitFailure.POISON, 3, None, id="poison is dead after three"),
    ],
)
def test_each_reason_has_its_distances_and_its_end(
    reason: UnitFailure, failures: int, wait: timedelta | None
) -> None:
    outcome = failed(unit(failures - 1, reason), reason, NOW)

    assert outcome.failures == failures
    assert outcome.next_try == (None if wait is None else NOW + wait)
    assert outcome.state is (UnitState.DEAD if wait is None else UnitState.WAITING)


def test_another_reason_begins_to_count_anew() -> None:
    assert failed(unit(99, UnitFailure.AUTH), UnitFailure.OUTAGE, NOW).failures == 1


@given(st.sampled_from(UnitFailure), st.integers(1, 10_000))
def test_the_distance_only_grows_and_has_a_longest(reason: UnitFailure, failures: int) -> None:
    retries = RETRIES[reason]
    here, later = (retries.next_try(number, NOW) for number in (failures, failures + 1))

    if here is not None and later is not None:
        assert NOW <= here <= later <= NOW + retries.longest
    if here is None:
        assert later is None


@pytest.mark.parametrize(
    ("reason", "days"), [(UnitFailure.AUTH, 3), (UnitFailure.QUOTA, 3), (UnitFailure.OUTAGE, 0.9)]
)
def test_what_is_no_fault_of_the_unit_is_held_for_days(reason: UnitFailure, days: float) -> None:
    retries = RETRIES[reason]
    at = NOW
    for failures in range(1, retries.tries):
        at = retries.next_try(failures, at) or at

    assert at - NOW >= timedelta(days=days)


def test_a_key_is_its_content_without_the_pipe_of_a_shell() -> None:
    offer = UnitOffer(
        kind=UnitKind.BACKFILL,
        content=("NSE_FO|98918|27-03-2025", "1minute", "2025-03-24"),
        subject={},
    )

    assert offer.key == "backfill/NSE_FO:98918:27-03-2025/1minute/2025-03-24"


def test_what_a_screen_waits_for_is_done_first() -> None:
    assert sorted(UnitKind, key=lambda kind: kind.priority) == [
        UnitKind.ENRICHMENT,
        UnitKind.BACKFILL,
        UnitKind.COMPACTION,
        UnitKind.REPROCESSING,
    ]
