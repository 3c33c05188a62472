"""The secret that signs access tokens: configured, or made once for this machine."""

import os
from pathlib import Path
from secrets import token_urlsafe

from filelock import FileLock

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings

OWNER_ONLY = 0o600
OTHERS = 0o077


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
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two servers may start at once, and must sign with one secret.
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            _write(file)
        if os.name == "posix" and file.stat().st_mode & OTHERS:
            raise SetupError(
                f"other users can read {file}, and sign tokens with it",
                hint="Delete it: the next start makes another, and all accounts sign in again.",
            )
        return file.read_bytes()


def _write(file: Path) -> None:
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as opened:
        opened.write(token_urlsafe(48))
    draft.replace(file)
