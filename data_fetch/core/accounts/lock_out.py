"""Lock-out: after some failures to sign in, each further attempt has to wait longer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network

# The part of an IPv6 address that one customer of a provider has.
PREFIX_LENGTH = 64
MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOut:
    """After *free* failures the next attempt waits for *first_wait*, and twice as long after
    each further one, up to *longest_wait*. Failures are forgotten after *memory* without any."""

    free: int
    first_wait: timedelta
    longest_wait: timedelta
    memory: timedelta


BY_ACCOUNT = LockOut(
    free=5,
    first_wait=timedelta(seconds=30),
    longest_wait=timedelta(minutes=15),
    memory=timedelta(days=1),
)
# Several people may have one address.
BY_ADDRESS = LockOut(
    free=20,
    first_wait=timedelta(seconds=30),
    longest_wait=timedelta(minutes=15),
    memory=timedelta(days=1),
)


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures in a row, and the instant of the last one."""

    count: int
    last_at: datetime


def locked_until(failures: Failures | None, rule: LockOut) -> datetime | None:
    """The instant from which another attempt is allowed; None when it always is."""
    if failures is None or failures.count < rule.free:
        return None
    doublings = min(failures.count - rule.free, MOST_DOUBLINGS)
    return failures.last_at + min(rule.first_wait * (1 << doublings), rule.longest_wait)


def account_subject(email: str) -> str:
    """The name under which failures for *email* are counted, whether or not it has an account.

    A digest: what is typed into the field may be a password.
    """
    return f"account:{sha256(email.encode(errors='replace')).hexdigest()}"


def address_subject(address: str) -> str:
    """The name under which failures from *address* are counted."""
    return f"address:{address_group(address)}"


def address_group(address: str) -> str:
    """*address*; of an IPv6 address the part that all addresses of one customer share."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, PREFIX_LENGTH), strict=False))
    return address
