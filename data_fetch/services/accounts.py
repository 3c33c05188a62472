"""Accounts and their API keys as an administrator manages them."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Any

from sqlalchemy import Connection

from data_fetch.core.accounts.accounts import (
    Account,
    AccountRules,
    ApiKey,
    Role,
    Scope,
    check_password,
    email_form,
    name_form,
)
from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.accounts.lock_out import account_subject
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import AccountExists, UnknownAccount
from data_fetch.services.passwords import Passwords
from data_fetch.storage.accounts import (
    account_with_email,
    add_account,
    add_events,
    add_key,
    all_accounts,
    change_account,
    end_tokens,
    keys_of,
    newest_events,
    owner_of_key,
    revoke_key,
    set_failures,
)
from data_fetch.storage.database.store import Store

KEY_PREFIX = "dfk_"
SHOWN_CHARACTERS = len(KEY_PREFIX) + 6
Opened = Callable[[], AbstractContextManager[Store]]


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key that was just made for *owner*. *secret* cannot be shown again."""

    key: ApiKey
    owner: Account
    secret: str


class Accounts:
    """The accounts of a store. *address* of the events is where a request came from; None for
    the command line."""

    def __init__(
        self,
        opened: Opened,
        rules: AccountRules,
        passwords: Passwords,
    ) -> None:
        self._opened = opened
        self._rules = rules
        self._passwords = passwords
        self._clock = SystemClock()

    def all(self) -> list[Account]:
        """Every account, oldest first."""
        with self._opened() as store, store.reading() as connection:
            return all_accounts(connection)

    def events(self, limit: int) -> list[AccountEvent]:
        """The newest events of the audit, newest first."""
        with self._opened() as store, store.reading() as connection:
            return newest_events(connection, limit)

    def add(
        self, email: str, name: str, password: str, role: Role, address: str | None = None
    ) -> Account:
        """A new account. Raises AccountInvalid, AccountExists."""
        email, name = email_form(email), name_form(name)
        check_password(password, self._rules)
        with self._opened() as store:
            with store.reading() as connection:
                if account_with_email(connection, email) is not None:
                    raise _exists(email)
            password_hash = self._passwords.hash(password)
            now = self._clock.now()
            account = Account(
                account_id=token_hex(8),
                email=email,
                name=name,
                role=role,
                created_at=now,
                disabled_at=None,
                generation=1,
            )
            event = AccountEvent(
                at=now, kind=EventKind.REGISTERED, email=email, address=address, detail=role
            )
            with store.writing() as connection:
                if not add_account(connection, account, password_hash):
                    raise _exists(email)
                add_events(connection, [event])
        return account

    def set_role(self, email: str, role: Role) -> Account:
        """Raises UnknownAccount, as the other changes do."""
        return self._changed(email, EventKind.ROLE_CHANGED, role, {"role": role.value})

    def disable(self, email: str) -> Account:
        """Refuse the account, its tokens and its keys."""
        return self._changed(
            email, EventKind.DISABLED, None, {"disabled_at": self._clock.now()}, signs_in_anew=True
        )

    def enable(self, email: str) -> Account:
        return self._changed(email, EventKind.ENABLED, None, {"disabled_at": None})

    def set_password(self, email: str, password: str) -> Account:
        """Replace the password: tokens that were issued before are void, and failures to sign in
        are forgotten. Raises AccountInvalid."""
        check_password(password, self._rules)
        values = {"password_hash": self._passwords.hash(password)}
        return self._changed(email, EventKind.PASSWORD_CHANGED, None, values, signs_in_anew=True)

    def keys(self, email: str | None = None) -> list[tuple[Account, ApiKey]]:
        """The API keys of an account, or of all, oldest first; revoked ones, too."""
        with self._opened() as store, store.reading() as connection:
            owners = all_accounts(connection) if email is None else [_account(connection, email)]
            by_id = {each.account_id: each for each in owners}
            return [(by_id[key.account_id], key) for key in keys_of(connection, list(by_id))]

    def add_key(self, email: str, name: str, scopes: Collection[Scope]) -> NewKey:
        """A new API key of an account. Raises AccountInvalid."""
        secret = f"{KEY_PREFIX}{token_urlsafe(32)}"
        with self._opened() as store, store.writing() as connection:
            owner = _account(connection, email)
            key = ApiKey(
                key_id=token_hex(6),
                account_id=owner.account_id,
                name=name_form(name),
                shown=secret[:SHOWN_CHARACTERS],
                scopes=frozenset(scopes),
                created_at=self._clock.now(),
                last_used_at=None,
                revoked_at=None,
            )
            add_key(connection, key, key_digest(secret))
            add_events(connection, [self._event(EventKind.KEY_ADDED, owner, key.key_id)])
        return NewKey(key, owner, secret)

    def revoke_key(self, key_id: str) -> None:
        """Raises UnknownAccount when there is no valid key with this id."""
        with self._opened() as store, store.writing() as connection:
            owner = owner_of_key(connection, key_id)
            if owner is None or not revoke_key(connection, key_id, self._clock.now()):
                raise UnknownAccount(
                    f"there is no valid key {key_id}",
                    hint="data-fetch accounts keys list shows their ids.",
                )
            add_events(connection, [self._event(EventKind.KEY_REVOKED, owner, key_id)])

    def _changed(
        self,
        email: str,
        kind: EventKind,
        detail: str | None,
        values: Mapping[str, Any],
        *,
        signs_in_anew: bool = False,
    ) -> Account:
        with self._opened() as store, store.writing() as connection:
            account = _account(connection, email)
            change_account(connection, account.account_id, values)
            if signs_in_anew:
                end_tokens(connection, account.account_id, self._clock.now())
                set_failures(connection, account_subject(account.email), None)
            add_events(connection, [self._event(kind, account, detail)])
            return _account(connection, email)

    def _event(self, kind: EventKind, account: Account, detail: str | None) -> AccountEvent:
        return AccountEvent(at=self._clock.now(), kind=kind, email=account.email, detail=detail)


def key_digest(secret: str) -> str:
    """What is stored of an API key or refresh token: they are random and need no slow hash."""
    return sha256(secret.encode(errors="replace")).hexdigest()


def _account(connection: Connection, email: str) -> Account:
    found = account_with_email(connection, email_form(email))
    if found is None:
        raise UnknownAccount(
            f"{email_form(email)} has no account", hint="data-fetch accounts list shows all."
        )
    return found.account


def _exists(email: str) -> AccountExists:
    return AccountExists(f"{email} has an account already", hint="Sign in, or use another address.")
