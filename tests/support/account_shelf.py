"""Accounts for tests, with hashes that cost little."""

from contextlib import nullcontext

import argon2

from data_fetch.core.accounts.accounts import AccountRules, account_rules
from data_fetch.services.access_tokens import AccessTokens
from data_fetch.services.accounts import Accounts
from data_fetch.services.passwords import Passwords
from data_fetch.services.sign_in import SignIn
from data_fetch.storage.database.store import Store

PASSWORD = "correct horse battery"
SECRET = b"a secret of tests, which is as long as the longest hash that they sign with"
HERE = account_rules(on_loopback=True, needs_authentication=False, password_min_length=None)


class CountingHasher(argon2.PasswordHasher):
    """A real hasher with the lowest cost, that counts how often it verifies."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        self.verified += 1
        return super().verify(hash, password)


def accounts_in(store: Store, rules: AccountRules = HERE) -> Accounts:
    return Accounts(lambda: nullcontext(store), rules, Passwords(CountingHasher()))


def sign_in_to(
    store: Store, hasher: argon2.PasswordHasher | None = None, rules: AccountRules = HERE
) -> SignIn:
    passwords = Passwords(hasher or CountingHasher())
    return SignIn(lambda: nullcontext(store), rules, passwords, AccessTokens(SECRET))
