"""Accounts and API keys, and what their names and passwords must be like."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from unicodedata import normalize

from data_fetch.core.errors import AccountInvalid
from data_fetch.core.text import CONTROLS

# The form that browsers accept in an e-mail field, in lower case.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")
LONGEST_EMAIL, LONGEST_NAME = 254, 120
# Hashing a longer one would cost the server more than it adds to its safety.
LONGEST_PASSWORD_BYTES = 1024

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
REFRESH_LIFE = 30 * DAY


class Role(StrEnum):
    """What an account may see: everything, or older data only (PUBLIC). An ADMIN may also start
    backfills where a dashboard allows it."""

    ADMIN = "admin"
    USER = "user"
    PUBLIC = "public"


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    STREAM = "stream"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account. Access tokens of an earlier *generation* are void: a new password and
    disabling begin a new one."""

    account_id: str
    email: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key of an account, without its secret; *shown* are its first characters."""

    key_id: str
    account_id: str
    name: str
    shown: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRules:
    """What differs between servers. *registered_role* is that of an account which was registered
    over HTTP."""

    password_min_length: int
    access_life: timedelta
    registered_role: Role


def account_rules(
    *, on_loopback: bool, needs_authentication: bool, password_min_length: int | None
) -> AccountRules:
    """The rules of a server that only this machine reaches, or others too; *password_min_length*
    replaces the usual one.

    Where no credentials are needed, what is registered sees what is seen without an account.
    """
    return AccountRules(
        password_min_length=password_min_length or (8 if on_loopback else 12),
        access_life=DAY if on_loopback else 60 * MINUTE,
        registered_role=Role.PUBLIC if needs_authentication else Role.USER,
    )


def email_form(text: str) -> str:
    """*text* as an e-mail address, in lower case. Raises AccountInvalid.

    Only ASCII: the lower case of other letters can be that of another person's address.
    """
    email = text.strip()
    lowered = email.lower()
    if not email.isascii() or len(email) > LONGEST_EMAIL or not EMAIL.fullmatch(lowered):
        raise AccountInvalid(
            "email is not an e-mail address", hint="Write it like name@example.com."
        )
    return lowered


def name_form(text: str) -> str:
    """*text* as the name of an account or key. Raises AccountInvalid."""
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or CONTROLS.search(name):
        raise AccountInvalid(
            f"name is empty, longer than {LONGEST_NAME} characters, or has control characters in it"
        )
    return name


def password_form(text: str) -> str:
    """*text* in the one form that every keyboard's way of writing it leads to."""
    return normalize("NFC", text)


def check_password(password: str, rules: AccountRules) -> None:
    """Raises AccountInvalid for a password that is too short or too long."""
    if len(password) < rules.password_min_length:
        raise AccountInvalid(
            f"password is shorter than {rules.password_min_length} characters",
            hint="Choose a longer one.",
        )
    if len(password.encode(errors="replace")) > LONGEST_PASSWORD_BYTES:
        raise AccountInvalid(f"password is longer than {LONGEST_PASSWORD_BYTES} bytes")
