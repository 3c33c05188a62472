"""Signing in, rotation of refresh tokens, lock-out, and what changes make void."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import argon2
import jwt
import pytest
from account_shelf import PASSWORD, SECRET, CountingHasher, accounts_in, sign_in_to
from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from data_fetch.core.accounts.accounts import LONGEST_PASSWORD_BYTES, Role, Scope
from data_fetch.core.accounts.events import EventKind
from data_fetch.core.errors import (
    AccountExists,
    AccountInvalid,
    LockedOut,
    SetupError,
    SignInFailed,
    TokenInvalid,
    UnknownAccount,
)
from data_fetch.services.access_tokens import AccessTokens
from data_fetch.services.sign_in import SignIn, Tokens
from data_fetch.storage.accounts import account_events, accounts, refresh_tokens, sign_in_failures
from data_fetch.storage.database.store import Store
from data_fetch.storage.database.tables import Base

EMAIL = "asha@example.com"
HERE = "192.0.2.1"
START = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def signing_in(store: Store) -> SignIn:
    accounts_in(store).add(EMAIL, "Asha", PASSWORD, Role.USER)
    return sign_in_to(store)


def kinds(store: Store) -> list[str]:
    with store.reading() as connection:
        query = select(account_events.c.kind).order_by(account_events.c.at)
        return list(connection.scalars(query))


def is_valid(tokens: Callable[[], Any]) -> bool:
    try:
        tokens()
    except TokenInvalid:
        return False
    return True


def test_an_account_signs_in_and_its_token_says_who_it_is(signing_in: SignIn) -> None:
    tokens = signing_in.sign_in(f" {EMAIL.upper()} ", PASSWORD, HERE)

    assert signing_in.holder_of_token(tokens.access).email == EMAIL
    assert tokens.expires_in == timedelta(days=1)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        pytest.param(EMAIL, "another password", id="wrong password"),
        pytest.param("nobody@example.com", PASSWORD, id="unknown address"),
        pytest.param("no address at all", PASSWORD, id="no address"),
        pytest.param("\x00\ud800@b.c", PASSWORD, id="no text that a database can have"),
        pytest.param(EMAIL, "x" * (LONGEST_PASSWORD_BYTES + 1), id="too long a password"),
        pytest.param(EMAIL, "", id="empty password"),
    ],
)
def test_every_failure_is_the_same_and_costs_one_verification(
    store: Store, signing_in: SignIn, email: str, password: str
) -> None:
    hasher = CountingHasher()

    with pytest.raises(SignInFailed, match=r"^Invalid credentials$"):
        sign_in_to(store, hasher).sign_in(email, password, HERE)

    assert hasher.verified == 1


def test_a_disabled_account_fails_like_a_wrong_password(store: Store, signing_in: SignIn) -> None:
    accounts_in(store).disable(EMAIL)
    hasher = CountingHasher()

    with pytest.raises(SignInFailed, match=r"^Invalid credentials$"):
        sign_in_to(store, hasher).sign_in(EMAIL, PASSWORD, HERE)

    assert hasher.verified == 1


@pytest.mark.parametrize("change", ["disable", "password"])
def test_a_change_while_the_password_is_checked_counts(
    store: Store, signing_in: SignIn, change: str
) -> None:
    class Meanwhile(CountingHasher):
        """Another program changes the account while this one verifies."""

        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            fits = super().verify(hash, password)
            if change == "disable":
                accounts_in(store).disable(EMAIL)
            else:
                accounts_in(store).set_password(EMAIL, "a new password of mine")
            return fits

    with pytest.raises(SignInFailed):
        sign_in_to(store, Meanwhile()).sign_in(EMAIL, PASSWORD, HERE)

    with store.reading() as connection:
        assert connection.execute(select(refresh_tokens)).all() == []


def test_a_hash_with_other_parameters_is_renewed(store: Store, signing_in: SignIn) -> None:
    costlier = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)

    sign_in_to(store, costlier).sign_in(EMAIL, PASSWORD, HERE)

    with store.reading() as connection:
        [renewed] = connection.scalars(select(accounts.c.password_hash))
    assert not costlier.check_needs_rehash(renewed)
    sign_in_to(store, costlier).sign_in(EMAIL, PASSWORD, HERE)


# --- access tokens -----------------------------------------------------------------------


def claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "iss": "data-fetch", "sub": "x", "gen": 1, "iat": now,
        "exp": now + timedelta(hours=1), "jti": "1",
    }  # fmt: skip
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(jwt.encode(claims(), None, algorithm="none"), id="alg none"),
        pytest.param(
            jwt.encode(claims(), b"another secret of 32 bytes or more"), id="other secret"
        ),
        pytest.param(jwt.encode(claims(), SECRET, algorithm="HS512"), id="another algorithm"),
        pytest.param(jwt.encode(claims(exp=START), SECRET), id="expired"),
        pytest.param(jwt.encode(claims(exp=None), SECRET), id="without an end"),
        pytest.param(jwt.encode(claims(gen=None), SECRET), id="without a generation"),
        pytest.param(jwt.encode(claims(iss="other"), SECRET), id="of another issuer"),
        pytest.param(jwt.encode(claims(), SECRET)[:-2], id="cut short"),
        pytest.param("x.y.z", id="no token"),
        pytest.param("", id="nothing"),
        pytest.param("x" * 100_000, id="100 kB"),
        pytest.param("é\x00", id="not ASCII"),
    ],
)
def test_a_token_that_this_server_did_not_issue_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid) as refused:
        AccessTokens(SECRET).read(token)
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("secret", [b"", b"x" * 31])
def test_a_short_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(SetupError, match="JWT_SECRET"):
        AccessTokens(secret)


def test_an_access_token_holds_for_its_life(signing_in: SignIn) -> None:
    with freeze_time(START) as time:
        tokens = signing_in.sign_in(EMAIL, PASSWORD, HERE)
        time.move_to(START + tokens.expires_in - timedelta(seconds=1))
        assert signing_in.holder_of_token(tokens.access).email == EMAIL
        time.move_to(START + tokens.expires_in + timedelta(seconds=1))
        with pytest.raises(TokenInvalid, match="expired"):
            signing_in.holder_of_token(tokens.access)


@pytest.mark.parametrize("change", ["disable", "password"])
def test_a_change_makes_every_token_void(store: Store, signing_in: SignIn, change: str) -> None:
    accounts, tokens = accounts_in(store), signing_in.sign_in(EMAIL, PASSWORD, HERE)
    key = accounts.add_key(EMAIL, "bot", {Scope.READ}).secret

    if change == "disable":
        accounts.disable(EMAIL)
    else:
        accounts.set_password(EMAIL, "a new password of mine")

    assert not is_valid(lambda: signing_in.holder_of_token(tokens.access))
    assert not is_valid(lambda: signing_in.refresh(tokens.refresh, HERE))
    assert is_valid(lambda: signing_in.holder_of_key(key)) is (change == "password")
    accounts.enable(EMAIL)
    assert not is_valid(lambda: signing_in.holder_of_token(tokens.access))


# --- rotation -----------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), max_size=8))
def test_only_the_newest_token_is_good_and_an_older_one_ends_its_family(
    store: Store, presented: list[int]
) -> None:
    """Against a model: a list of tokens, of which the last one is valid while none was used
    twice."""
    accounts, signing_in = accounts_in(store), sign_in_to(store)
    with store.writing() as connection:
        for each in Base.metadata.sorted_tables:
            if each.name in {"accounts", "refresh_tokens", "account_events"}:
                connection.execute(delete(each))
    account = accounts.add(EMAIL, "Asha", PASSWORD, Role.USER)
    other = signing_in.tokens_of(account)
    issued, alive = [signing_in.tokens_of(account).refresh], True

    for choice in presented:
        token = issued[choice % len(issued)]
        expected = alive and token == issued[-1]
        try:
            issued.append(signing_in.refresh(token, HERE).refresh)
            assert expected
        except TokenInvalid:
            assert not expected
            alive = False

    assert kinds(store).count(EventKind.TOKEN_REUSED) == (0 if alive else 1)
    assert signing_in.refresh(other.refresh, HERE).account.email == EMAIL


@pytest.mark.parametrize("at_once", [2, 6])
def test_of_several_refreshes_at_once_one_wins(
    store: Store, signing_in: SignIn, at_once: int
) -> None:
    token = signing_in.sign_in(EMAIL, PASSWORD, HERE).refresh
    together = Barrier(at_once)

    def refresh(_: int) -> Tokens | None:
        together.wait()
        try:
            return signing_in.refresh(token, HERE)
        except TokenInvalid:
            return None

    with ThreadPoolExecutor(at_once) as threads:
        got = [each for each in threads.map(refresh, range(at_once)) if each is not None]

    assert len(got) == 1
    # The others used a token that was used: what the winner got is void as well.
    assert not is_valid(lambda: signing_in.refresh(got[0].refresh, HERE))
    assert kinds(store).count(EventKind.TOKEN_REUSED) == 1


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="nothing"),
        pytest.param("0" * 32 + ".x", id="of no family"),
        pytest.param("\x00.\x00", id="null bytes"),
        pytest.param("x" * 100_000, id="100 kB"),
    ],
)
def test_a_refresh_token_of_nobody_is_refused(signing_in: SignIn, token: str) -> None:
    with pytest.raises(TokenInvalid):
        signing_in.refresh(token, HERE)


def test_a_refresh_token_holds_for_thirty_days_and_leaves_no_row(
    store: Store, signing_in: SignIn
) -> None:
    with freeze_time(START) as time:
        first, second = (signing_in.sign_in(EMAIL, PASSWORD, HERE).refresh for _ in range(2))
        time.move_to(START + timedelta(days=29))
        renewed = signing_in.refresh(first, HERE).refresh
        time.move_to(START + timedelta(days=31))
        assert not is_valid(lambda: signing_in.refresh(second, HERE))
        assert is_valid(lambda: signing_in.refresh(renewed, HERE))
        signing_in.sign_in(EMAIL, PASSWORD, HERE)

    with store.reading() as connection:
        assert len(connection.execute(select(refresh_tokens)).all()) == 2
    assert EventKind.TOKEN_REUSED not in kinds(store)


# --- lock-out -----------------------------------------------------------------------------


def fail(signing_in: SignIn, email: str = EMAIL, address: str = HERE) -> timedelta | None:
    """Try a wrong password; the wait, if that was not even tried."""
    try:
        signing_in.sign_in(email, "a wrong password", address)
    except SignInFailed:
        return None
    except LockedOut as locked:
        return locked.retry_after
    raise AssertionError("a wrong password was accepted")


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_waits_grow_for_an_account_whether_or_not_there_is_one(
    signing_in: SignIn, email: str
) -> None:
    with freeze_time(START) as time:
        waits = []
        for attempt in range(8):
            # Each from another address.
            wait = fail(signing_in, email, f"192.0.2.{attempt}")
            if wait is not None:
                waits.append(wait.total_seconds())
                time.tick(wait)
                assert fail(signing_in, email, f"192.0.2.{attempt}") is None

    assert waits == [30, 60, 120]


def test_waits_grow_for_an_address_that_tries_many_accounts(signing_in: SignIn) -> None:
    with freeze_time(START):
        waits = [fail(signing_in, f"user{n}@example.com") for n in range(21)]

    assert waits == [None] * 20 + [timedelta(seconds=30)]


def test_the_right_password_waits_too_and_then_ends_the_lock_out(
    store: Store, signing_in: SignIn
) -> None:
    with freeze_time(START) as time:
        for _ in range(5):
            fail(signing_in)
        with pytest.raises(LockedOut):
            signing_in.sign_in(EMAIL, PASSWORD, "192.0.2.9")
        time.tick(timedelta(seconds=30))
        signing_in.sign_in(EMAIL, PASSWORD, "192.0.2.9")
        assert fail(signing_in, EMAIL, "192.0.2.9") is None


def test_a_new_password_from_an_administrator_ends_the_lock_out(
    store: Store, signing_in: SignIn
) -> None:
    with freeze_time(START):
        for _ in range(5):
            fail(signing_in)
        accounts_in(store).set_password(EMAIL, "a new password of mine")
        signing_in.sign_in(EMAIL, "a new password of mine", HERE)


def test_an_account_of_ones_own_does_not_free_an_address(store: Store, signing_in: SignIn) -> None:
    """Signing in between two guesses takes back only that attempt."""
    with freeze_time(START):
        for n in range(20):
            fail(signing_in, f"user{n}@example.com")
            if n < 19:
                signing_in.sign_in(EMAIL, PASSWORD, HERE)

        assert fail(signing_in, "last@example.com") == timedelta(seconds=30)


def test_many_guesses_at_once_are_no_way_around(store: Store, signing_in: SignIn) -> None:
    together = Barrier(12)

    def guess(n: int) -> bool:
        """Whether the guess was tried."""
        together.wait()
        return fail(signing_in, EMAIL, f"192.0.2.{n}") is None

    fail(signing_in, EMAIL, "192.0.2.99")
    with ThreadPoolExecutor(12) as threads:
        tried = sum(threads.map(guess, range(12)))

    assert tried == 4


def test_failures_are_forgotten(store: Store, signing_in: SignIn) -> None:
    with freeze_time(START) as time:
        for _ in range(5):
            fail(signing_in)
        time.tick(timedelta(days=1, seconds=1))
        assert fail(signing_in, address="192.0.2.9") is None

    with store.reading() as connection:
        assert len(connection.execute(select(sign_in_failures)).all()) == 2


# --- keys and administration --------------------------------------------------------------


def test_a_key_is_known_by_its_hash_and_its_use_is_stored_once_a_minute(
    store: Store, signing_in: SignIn
) -> None:
    accounts = accounts_in(store)
    with freeze_time(START) as time:
        made = accounts.add_key(EMAIL, "bot", {Scope.READ, Scope.STREAM})
        for seconds in (0, 59):
            time.move_to(START + timedelta(seconds=seconds))
            key, account = signing_in.holder_of_key(made.secret)
            assert (account.email, key.scopes) == (EMAIL, {Scope.READ, Scope.STREAM})
        assert accounts.keys(EMAIL)[0][1].last_used_at == START
        time.move_to(START + timedelta(seconds=60))
        signing_in.holder_of_key(made.secret)
        assert accounts.keys(EMAIL)[0][1].last_used_at == START + timedelta(seconds=60)
        accounts.revoke_key(made.key.key_id)

    with pytest.raises(TokenInvalid, match="revoked"):
        signing_in.holder_of_key(made.secret)
    with pytest.raises(UnknownAccount):
        accounts.revoke_key(made.key.key_id)


def test_no_secret_is_in_any_table(store: Store, signing_in: SignIn) -> None:
    key = accounts_in(store).add_key(EMAIL, "bot", {Scope.READ}).secret
    tokens = signing_in.sign_in(EMAIL, PASSWORD, HERE)
    fail(signing_in, "a password typed into the wrong field")
    renewed = signing_in.refresh(tokens.refresh, HERE)
    secrets = [
        PASSWORD, key, tokens.access, tokens.refresh, renewed.access, renewed.refresh,
        "a wrong password", "a password typed into the wrong field",
    ]  # fmt: skip

    with store.reading() as connection:
        stored = "\n".join(
            str(row)
            for each in Base.metadata.sorted_tables
            for row in connection.execute(select(each))
        )

    assert EMAIL in stored
    for secret in secrets:
        assert secret not in stored
        assert secret.partition(".")[2] not in stored or not secret.partition(".")[2]


def test_an_address_has_one_account(store: Store, signing_in: SignIn) -> None:
    with pytest.raises(AccountExists):
        accounts_in(store).add(EMAIL.upper(), "Another", PASSWORD, Role.ADMIN)

    assert [each.role for each in accounts_in(store).all()] == [Role.USER]


def test_of_several_registrations_at_once_one_wins(store: Store) -> None:
    together = Barrier(4)

    def register(n: int) -> bool:
        together.wait()
        try:
            accounts_in(store).add(EMAIL, f"Number {n}", PASSWORD, Role.USER)
        except AccountExists:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(register, range(4))) == 1
    assert len(accounts_in(store).all()) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(lambda them: them.set_role(EMAIL, Role.ADMIN), "role_changed", id="role"),
        pytest.param(lambda them: them.disable(EMAIL), "disabled", id="disable"),
        pytest.param(lambda them: them.enable(EMAIL), "enabled", id="enable"),
        pytest.param(
            lambda them: them.set_password(EMAIL, "another password"),
            "password_changed",
            id="password",
        ),
        pytest.param(lambda them: them.add_key(EMAIL, "bot", ()), "key_added", id="key"),
    ],
)
def test_every_change_is_audited(
    store: Store, signing_in: SignIn, change: Callable[[Any], None], kind: str
) -> None:
    change(accounts_in(store))

    assert kinds(store) == ["registered", kind]


def test_a_change_to_nobody_is_refused(store: Store) -> None:
    accounts = accounts_in(store)
    with pytest.raises(UnknownAccount):
        accounts.set_role(EMAIL, Role.ADMIN)
    with pytest.raises(AccountInvalid):
        accounts.add_key("nothing", "bot", {Scope.READ})
