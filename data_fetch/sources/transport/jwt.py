"""The claims of a JSON Web Token. Nothing is verified: the provider does that."""

import base64
import binascii
from typing import Any

import orjson


def token_claims(token: str) -> dict[str, Any]:
    """The unverified claims of a JWT; none for any other token."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
