"""Password hashes: Argon2id with the parameters that its library recommends."""

from functools import cached_property
from secrets import token_urlsafe

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from data_fetch.core.accounts.accounts import password_form


class Passwords:
    """Hashes and verifies passwords. Both take a good part of a second and 64 MiB of memory."""

    def __init__(self, hasher: argon2.PasswordHasher | None = None) -> None:
        self._hasher = hasher or argon2.PasswordHasher()

    def hash(self, password: str) -> str:
        return self._hasher.hash(_bytes(password))

    def fits(self, password: str, password_hash: str | None) -> bool:
        """Whether *password* is the one of *password_hash*.

        Without a hash the answer is False and takes as long: how long it takes must not show
        whether there is an account.
        """
        try:
            self._hasher.verify(password_hash or self._stand_in, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash has other parameters than a new one would have."""
        return self._hasher.check_needs_rehash(password_hash)

    def prepare(self) -> None:
        """Make the hash that stands in for that of an unknown account."""
        _ = self._stand_in

    @cached_property
    def _stand_in(self) -> str:
        return self._hasher.hash(token_urlsafe(32))


def _bytes(password: str) -> bytes:
    return password_form(password).encode(errors="surrogatepass")
