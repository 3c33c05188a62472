"""The secret that signs access tokens: configured, or made once for this machine."""

import os
from pathlib import Path
from secrets import token_urlsafe

from filelock import FileLock

from data_fetch.core.errors import SetupError
from data_fetch.core.files import OTHERS, OWNER_ONLY, new_file, private_file, private_folder
from data_fetch.core.settings import Settings


def signing_secret(settings: Settings) -> bytes:
    """The configured secret; on loopback, without one, that of `data/jwt_secret`.

    Raises SetupError when there is none elsewhere, or others can read the file.
    """
    configured = settings.jwt_secret.get_secret_value().encode()
    if configured:
        return configured
    if not settings.on_loopback:
        raise SetupError(
            f"{settings.api_host} can be reached from other machines, and JWT_SECRET is not set",
            hint="Set one of at least 32 bytes, for example from: openssl rand -base64 48",
        )
    return _kept_secret(settings.data_folder / "jwt_secret")


def _kept_secret(file: Path) -> bytes:
    private_folder(file.parent)
    # Two servers may start at once, and must sign with one secret.
    with FileLock(file.with_suffix(".lock"), mode=OWNER_ONLY):
        if not file.exists():
            _write(file)
        if os.name == "posix" and file.stat().st_mode & OTHERS:
            raise SetupError(
                f"other users can read {file}, and sign tokens with it",
                hint="Delete it: the next start makes another, and all accounts sign in again.",
            )
        return file.read_bytes()


def _write(file: Path) -> None:
    with new_file(file) as draft:
        private_file(draft)
        draft.write_text(token_urlsafe(48))
