"""Whether a server may start where other machines reach it."""

import re

from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.runtime.signing_secret import signing_secret
from data_fetch.services.access_tokens import AccessTokens

# The names of this machine for itself, with a port.
LOCAL_HOST = re.compile(rb"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


def refuse_exposed(settings: Settings) -> None:
    """Raises SetupError where other machines would read without credentials, or with tokens that
    can be forged. A secret that is configured must be long enough everywhere."""
    if not settings.on_loopback and not settings.needs_authentication:
        raise SetupError(
            f"{settings.api_host} can be reached from other machines, where anyone could read",
            hint="Remove API_AUTHENTICATION=off, or listen on 127.0.0.1.",
        )
    if settings.needs_authentication or settings.jwt_secret.get_secret_value():
        AccessTokens(signing_secret(settings))
