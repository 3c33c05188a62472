"""Signing in, and who holds a token or key."""

import re
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex, token_urlsafe

from sqlalchemy import Connection

from data_fetch.core.accounts.accounts import (
    LONGEST_PASSWORD_BYTES,
    REFRESH_LIFE,
    Account,
    AccountRules,
    ApiKey,
    email_form,
)
from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.accounts.lock_out import (
    BY_ACCOUNT,
    BY_ADDRESS,
    Failures,
    account_subject,
    address_subject,
    locked_until,
)
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import AccountInvalid, LockedOut, SignInFailed, TokenInvalid
from data_fetch.services.access_tokens import SIGN_IN_AGAIN, AccessTokens
from data_fetch.services.accounts import Opened, key_digest
from data_fetch.services.passwords import Passwords
from data_fetch.storage.accounts import (
    StoredAccount,
    account_locked,
    account_with_email,
    account_with_id,
    add_events,
    begin_family,
    change_account,
    failures_of,
    family_named,
    forget_failures,
    key_with_hash,
    record_use,
    replace_token,
    revoke_family,
    set_failures,
)

REFRESH_TOKEN = re.compile(r"[0-9a-f]{32}\.[A-Za-z0-9_-]{43}")
# The last use of a key is stored at most so often.
USE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an account gets by signing in: an access token, for how long it holds, and the token
    to get the next one with."""

    account: Account
    access: str
    refresh: str
    expires_in: timedelta


class SignIn:
    """Signing in to the accounts of a store."""

    def __init__(
        self,
        opened: Opened,
        rules: AccountRules,
        passwords: Passwords,
        tokens: AccessTokens,
    ) -> None:
        self._opened = opened
        self._rules = rules
        self._passwords = passwords
        self._tokens = tokens
        self._clock = SystemClock()

    def sign_in(self, email: str, password: str, address: str) -> Tokens:
        """Tokens for the account of *email*. Raises SignInFailed; LockedOut after some failures.

        Takes as long whether or not there is such an account.
        """
        wanted = _address(email)
        self._count_attempt(wanted or email, address)
        with self._opened() as store:
            with store.reading() as connection:
                found = account_with_email(connection, wanted) if wanted else None
            usable = (
                found if len(password.encode(errors="replace")) <= LONGEST_PASSWORD_BYTES else None
            )
            self._passwords.prepare()
            fits = self._passwords.fits(
                password[:LONGEST_PASSWORD_BYTES], usable.password_hash if usable else None
            )
        if found is None or not fits or found.account.disabled_at is not None:
            raise SignInFailed(found.account.email if found else None)
        return self._signed_in(found, password, address)

    def tokens_of(self, account: Account) -> Tokens:
        """Tokens of a new family for *account*."""
        with self._opened() as store, store.writing() as connection:
            return self._new_family(connection, account)

    def refresh(self, token: str, address: str) -> Tokens:
        """New tokens for a refresh token, which is used up. Raises TokenInvalid.

        One that was used before may be stolen: then all that followed from it are void.
        """
        if not REFRESH_TOKEN.fullmatch(token):
            raise _refresh_refused()
        now, family = self._clock.now(), token.partition(".")[0]
        following = _refresh_token(family)
        with self._opened() as store, store.writing() as connection:
            state = family_named(connection, family)
            if state is None or state.revoked_at is not None or state.expires_at <= now:
                raise _refresh_refused()
            found = account_with_id(connection, state.account_id)
            if found is None or found.account.disabled_at is not None:
                raise _refresh_refused()
            account = found.account
            replaced = replace_token(
                connection, family, key_digest(token), key_digest(following), now,
                now + REFRESH_LIFE,
            )  # fmt: skip
            if replaced:
                return self._tokens_with(account, following)
            if revoke_family(connection, family, now):
                event = AccountEvent(
                    at=now, kind=EventKind.TOKEN_REUSED, email=account.email, address=address
                )
                add_events(connection, [event])
        raise _refresh_refused()

    def holder_of_token(self, token: str) -> Account:
        """The account that holds an access token. Raises TokenInvalid."""
        claims = self._tokens.read(token)
        with self._opened() as store, store.reading() as connection:
            found = account_with_id(connection, claims.account_id)
        if (
            found is None
            or found.account.disabled_at is not None
            or found.account.generation != claims.generation
        ):
            raise TokenInvalid("the access token was revoked", hint=SIGN_IN_AGAIN)
        return found.account

    def holder_of_key(self, secret: str) -> tuple[ApiKey, Account]:
        """An API key and its account. Raises TokenInvalid. Records the use of the key."""
        now = self._clock.now()
        with self._opened() as store:
            with store.reading() as connection:
                found = key_with_hash(connection, key_digest(secret))
            if found is None:
                raise _key_refused("is not one of this server")
            key, account = found
            if key.revoked_at is not None or account.disabled_at is not None:
                raise _key_refused("was revoked")
            if key.last_used_at is None or now - key.last_used_at >= USE_EVERY:
                with store.writing() as connection:
                    record_use(connection, key.key_id, now)
        return key, account

    def _count_attempt(self, email: str, address: str) -> None:
        """Count an attempt as a failure before it is known to be one: of many at the same time
        no more are allowed than of many one after another."""
        now = self._clock.now()
        with self._opened() as store, store.writing() as connection:
            rules = {account_subject(email): BY_ACCOUNT, address_subject(address): BY_ADDRESS}
            before = {
                subject: failures_of(connection, subject, now - rule.memory)
                for subject, rule in rules.items()
            }
            waits = [locked_until(before[subject], rule) for subject, rule in rules.items()]
            until = max((each for each in waits if each is not None), default=now)
            if until > now:
                raise LockedOut(
                    "too many failures to sign in",
                    retry_after=until - now,
                    hint="Wait, then try again. An administrator ends the wait by a new password.",
                )
            for subject, known in before.items():
                set_failures(connection, subject, Failures((known.count if known else 0) + 1, now))
            forget_failures(connection, now - max(each.memory for each in rules.values()))

    def _signed_in(self, found: StoredAccount, password: str, address: str) -> Tokens:
        account, now = found.account, self._clock.now()
        outdated = self._passwords.is_outdated(found.password_hash)
        renewed = self._passwords.hash(password) if outdated else None
        with self._opened() as store, store.writing() as connection:
            # It may have been disabled, or got another password, while this one was checked.
            if account_locked(connection, account.account_id) != account:
                raise SignInFailed(account.email)
            if renewed is not None:
                change_account(connection, account.account_id, {"password_hash": renewed})
            set_failures(connection, account_subject(account.email), None)
            # Others may fail from this address: only this attempt was no failure.
            subject = address_subject(address)
            known = failures_of(connection, subject, now - BY_ADDRESS.memory)
            if known is not None:
                set_failures(connection, subject, Failures(known.count - 1, known.last_at))
            event = AccountEvent(
                at=now, kind=EventKind.SIGNED_IN, email=account.email, address=address
            )
            add_events(connection, [event])
            return self._new_family(connection, account)

    def _new_family(self, connection: Connection, account: Account) -> Tokens:
        now, family = self._clock.now(), token_hex(16)
        refresh = _refresh_token(family)
        begin_family(
            connection, family, account.account_id, key_digest(refresh), now, now + REFRESH_LIFE
        )
        return self._tokens_with(account, refresh)

    def _tokens_with(self, account: Account, refresh: str) -> Tokens:
        life = self._rules.access_life
        return Tokens(account, self._tokens.issue(account, self._clock.now(), life), refresh, life)


def _address(email: str) -> str | None:
    """*email* as accounts have it; None when no account can have it."""
    try:
        return email_form(email)
    except AccountInvalid:
        return None


def _refresh_token(family: str) -> str:
    return f"{family}.{token_urlsafe(32)}"


def _refresh_refused() -> TokenInvalid:
    return TokenInvalid("the refresh token is not valid", hint=SIGN_IN_AGAIN)


def _key_refused(why: str) -> TokenInvalid:
    return TokenInvalid(
        f"the API key {why}", hint="An administrator makes one: data-fetch accounts keys add."
    )
