"""Accounts, their API keys and refresh tokens, failures to sign in, and the audit.

Each function works inside the transaction of its caller, so that a change and its event are
stored together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from secrets import token_hex
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from data_fetch.core.accounts.accounts import Account, ApiKey, Role, Scope
from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.accounts.lock_out import Failures
from data_fetch.storage.database.engine import is_postgres
from data_fetch.storage.database.tables import (
    AccountEventRow,
    AccountRow,
    ApiKeyRow,
    RefreshTokenRow,
    SignInFailureRow,
    table,
)
from data_fetch.storage.database.upsert import upsert

accounts = table(AccountRow)
api_keys = table(ApiKeyRow)
refresh_tokens = table(RefreshTokenRow)
sign_in_failures = table(SignInFailureRow)
account_events = table(AccountEventRow)

ACCOUNT_COLUMNS = tuple(field.name for field in fields(Account))
KEY_COLUMNS = tuple(field.name for field in fields(ApiKey))
FAILURE_COLUMNS = tuple(column.name for column in sign_in_failures.columns)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account and the hash of its password."""

    account: Account
    password_hash: str


@dataclass(frozen=True, slots=True)
class RefreshFamily:
    """The state of the refresh tokens that follow from one time of signing in."""

    account_id: str
    expires_at: datetime
    revoked_at: datetime | None


def add_account(connection: Connection, account: Account, password_hash: str) -> bool:
    """Store a new account; returns False when its address has one."""
    values = {name: getattr(account, name) for name in ACCOUNT_COLUMNS}
    dialect = postgresql if is_postgres(connection) else sqlite
    added = connection.execute(
        dialect.insert(accounts)
        .values({**values, "password_hash": password_hash})
        .on_conflict_do_nothing(index_elements=["email"])
    )
    return added.rowcount == 1


def account_with_email(connection: Connection, email: str) -> StoredAccount | None:
    return _account_where(connection, accounts.c.email == email)


def account_with_id(connection: Connection, account_id: str) -> StoredAccount | None:
    return _account_where(connection, accounts.c.account_id == account_id)


def account_locked(connection: Connection, account_id: str) -> Account:
    """An account that no other transaction changes until the end of this one."""
    query = select(*(accounts.c[name] for name in ACCOUNT_COLUMNS))
    found = connection.execute(query.where(accounts.c.account_id == account_id).with_for_update())
    return _account(dict(found.mappings().one()))


def all_accounts(connection: Connection) -> list[Account]:
    """Every account, oldest first."""
    query = select(*(accounts.c[name] for name in ACCOUNT_COLUMNS))
    return [
        _account(dict(row))
        for row in connection.execute(
            query.order_by(accounts.c.created_at, accounts.c.email)
        ).mappings()
    ]


def change_account(connection: Connection, account_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of an account."""
    connection.execute(update(accounts).where(accounts.c.account_id == account_id).values(values))


def end_tokens(connection: Connection, account_id: str, now: datetime) -> None:
    """Make every access and refresh token of an account void."""
    connection.execute(
        update(accounts)
        .where(accounts.c.account_id == account_id)
        .values(generation=accounts.c.generation + 1)
    )
    connection.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.account_id == account_id, refresh_tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def add_key(connection: Connection, key: ApiKey, key_hash: str) -> None:
    values = {name: getattr(key, name) for name in KEY_COLUMNS}
    scopes = ",".join(sorted(key.scopes))
    connection.execute(insert(api_keys).values({**values, "scopes": scopes, "key_hash": key_hash}))


def key_with_hash(connection: Connection, key_hash: str) -> tuple[ApiKey, Account] | None:
    """A key and its account; None when no key has this hash."""
    account_columns = [accounts.c[name].label(f"account_{name}") for name in ACCOUNT_COLUMNS]
    query = (
        select(*(api_keys.c[name] for name in KEY_COLUMNS), *account_columns)
        .join(accounts, accounts.c.account_id == api_keys.c.account_id)
        .where(api_keys.c.key_hash == key_hash)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    both = len(KEY_COLUMNS)
    key = _key(dict(zip(KEY_COLUMNS, row[:both], strict=True)))
    return key, _account(dict(zip(ACCOUNT_COLUMNS, row[both:], strict=True)))


def owner_of_key(connection: Connection, key_id: str) -> Account | None:
    """The account of a key; None when no key has this id."""
    account_id = connection.scalar(select(api_keys.c.account_id).where(api_keys.c.key_id == key_id))
    found = None if account_id is None else account_with_id(connection, account_id)
    return None if found is None else found.account


def keys_of(connection: Connection, account_ids: Sequence[str]) -> list[ApiKey]:
    """The keys of these accounts, oldest first; revoked ones, too."""
    query = (
        select(*(api_keys.c[name] for name in KEY_COLUMNS))
        .where(api_keys.c.account_id.in_(account_ids))
        .order_by(api_keys.c.created_at, api_keys.c.key_id)
    )
    return [_key(dict(row)) for row in connection.execute(query).mappings()]


def revoke_key(connection: Connection, key_id: str, now: datetime) -> bool:
    """Revoke a key; returns False when there is no valid one with this id."""
    valid = api_keys.c.revoked_at.is_(None)
    revoked = connection.execute(
        update(api_keys).where(api_keys.c.key_id == key_id, valid).values(revoked_at=now)
    )
    return revoked.rowcount == 1


def record_use(connection: Connection, key_id: str, now: datetime) -> None:
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_at=now))


def begin_family(
    connection: Connection,
    family: str,
    account_id: str,
    token_hash: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Store the first refresh token of a new family; forget families that expired."""
    connection.execute(delete(refresh_tokens).where(refresh_tokens.c.expires_at < now))
    connection.execute(
        insert(refresh_tokens).values(
            family=family,
            account_id=account_id,
            token_hash=token_hash,
            issued_at=now,
            expires_at=expires_at,
            revoked_at=None,
        )
    )


def replace_token(
    connection: Connection,
    family: str,
    old_hash: str,
    new_hash: str,
    now: datetime,
    expires_at: datetime,
) -> bool:
    """Let the token *new_hash* replace *old_hash*; returns False when that one is not the valid
    token of its family. Of two that try at once, one succeeds: it is one row."""
    of = refresh_tokens.c
    replaced = connection.execute(
        update(refresh_tokens)
        .where(
            of.family == family,
            of.token_hash == old_hash,
            of.revoked_at.is_(None),
            of.expires_at > now,
        )
        .values(token_hash=new_hash, issued_at=now, expires_at=expires_at)
    )
    return replaced.rowcount == 1


def family_named(connection: Connection, family: str) -> RefreshFamily | None:
    of = refresh_tokens.c
    query = select(of.account_id, of.expires_at, of.revoked_at).where(of.family == family)
    row = connection.execute(query).one_or_none()
    return None if row is None else RefreshFamily(*row)


def revoke_family(connection: Connection, family: str, now: datetime) -> bool:
    """Make every refresh token of a family void; returns False when they were before."""
    valid = refresh_tokens.c.revoked_at.is_(None)
    revoked = connection.execute(
        update(refresh_tokens)
        .where(refresh_tokens.c.family == family, valid)
        .values(revoked_at=now)
    )
    return revoked.rowcount == 1


def failures_of(connection: Connection, subject: str, since: datetime) -> Failures | None:
    """The failures in a row of *subject*, unless the last one was before *since*.

    Locked until the end of the transaction, so that attempts at the same time count one by one.
    """
    of = sign_in_failures.c
    query = (
        select(of.failures, of.last_at)
        .where(of.subject == subject, of.last_at >= since)
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Failures(*row)


def set_failures(connection: Connection, subject: str, failures: Failures | None) -> None:
    """Store the failures in a row of *subject*; None: there are none."""
    if failures is None or failures.count <= 0:
        connection.execute(delete(sign_in_failures).where(sign_in_failures.c.subject == subject))
        return
    row = (subject, failures.count, failures.last_at)
    upsert(connection, sign_in_failures, FAILURE_COLUMNS, [row])


def forget_failures(connection: Connection, before: datetime) -> None:
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.last_at < before))


def add_events(connection: Connection, events: Iterable[AccountEvent]) -> None:
    rows = [
        {
            "event_id": token_hex(8),
            **{field.name: getattr(event, field.name) for field in fields(AccountEvent)},
        }
        for event in events
    ]
    if rows:
        connection.execute(insert(account_events), rows)


def forget_events(connection: Connection, before: datetime) -> None:
    connection.execute(delete(account_events).where(account_events.c.at < before))


def newest_events(connection: Connection, limit: int) -> list[AccountEvent]:
    """The newest events, newest first."""
    names = [field.name for field in fields(AccountEvent)]
    query = (
        select(*(account_events.c[name] for name in names))
        .order_by(account_events.c.at.desc(), account_events.c.event_id)
        .limit(limit)
    )
    return [
        AccountEvent(**{**row, "kind": EventKind(row["kind"])})
        for row in connection.execute(query).mappings()
    ]


def _account_where(connection: Connection, condition: ColumnElement[bool]) -> StoredAccount | None:
    columns = [accounts.c[name] for name in ACCOUNT_COLUMNS]
    query = select(*columns, accounts.c.password_hash).where(condition)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    account = _account(dict(zip(ACCOUNT_COLUMNS, row[:-1], strict=True)))
    return StoredAccount(account, row.password_hash)


def _account(facts: dict[str, Any]) -> Account:
    return Account(**{**facts, "role": Role(facts["role"])})


def _key(facts: dict[str, Any]) -> ApiKey:
    scopes = frozenset(Scope(each) for each in facts["scopes"].split(",") if each)
    return ApiKey(**{**facts, "scopes": scopes})
