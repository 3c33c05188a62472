"""After some failures each further attempt waits longer."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.accounts.lock_out import (
    BY_ACCOUNT,
    BY_ADDRESS,
    Failures,
    LockOut,
    account_subject,
    address_group,
    locked_until,
)

AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("rule", "failures", "seconds"),
    [
        pytest.param(BY_ACCOUNT, 0, None, id="none"),
        pytest.param(BY_ACCOUNT, 4, None, id="four for an account"),
        pytest.param(BY_ACCOUNT, 5, 30, id="five"),
        pytest.param(BY_ACCOUNT, 6, 60, id="six"),
        pytest.param(BY_ACCOUNT, 9, 480, id="nine"),
        pytest.param(BY_ACCOUNT, 10, 900, id="ten: the longest wait"),
        pytest.param(BY_ACCOUNT, 10**6, 900, id="a million"),
        pytest.param(BY_ADDRESS, 19, None, id="nineteen from an address"),
        pytest.param(BY_ADDRESS, 20, 30, id="twenty from an address"),
    ],
)
def test_how_long_to_wait(rule: LockOut, failures: int, seconds: int | None) -> None:
    until = locked_until(Failures(failures, AT), rule)

    assert until == (None if seconds is None else AT + seconds * SECOND)


@given(st.integers(0, 100))
def test_one_failure_more_never_shortens_the_wait(failures: int) -> None:
    def wait(count: int) -> timedelta:
        until = locked_until(Failures(count, AT), BY_ACCOUNT)
        return timedelta(0) if until is None else until - AT

    assert wait(failures) <= wait(failures + 1) <= BY_ACCOUNT.longest_wait


@pytest.mark.parametrize(
    ("address", "group"),
    [
        pytest.param("203.0.113.7", "203.0.113.7", id="IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6"),
        pytest.param("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64", id="its neighbour"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", id="IPv4 written as IPv6"),
        pytest.param("unknown", "unknown", id="no address"),
    ],
)
def test_addresses_of_one_customer_count_as_one(address: str, group: str) -> None:
    assert address_group(address) == group


def test_what_was_typed_as_an_address_is_not_stored() -> None:
    assert "hunter2" not in account_subject("hunter2")
