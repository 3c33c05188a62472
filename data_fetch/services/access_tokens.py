"""Access tokens: JSON Web Tokens that this server signs and reads without asking the database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex

import jwt

from data_fetch.core.accounts.accounts import Account
from data_fetch.core.errors import SetupError, TokenInvalid

ALGORITHM = "HS256"
ISSUER = "data-fetch"
REQUIRED = ["iss", "sub", "gen", "iat", "exp", "jti"]
# The secret of HS256 has to be as long as its hash; PyJWT only warns.
SHORTEST_SECRET = 32
# Ours have about 300 characters.
LONGEST_TOKEN = 2_000
SIGN_IN_AGAIN = "Sign in again: POST /api/auth/login."


@dataclass(frozen=True, slots=True)
class Claims:
    """The account that a token was issued to, and the generation of its tokens."""

    account_id: str
    generation: int


class AccessTokens:
    """Issues and reads the access tokens of one secret. Raises SetupError for a short one."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise SetupError(
                f"JWT_SECRET has {len(secret)} bytes; tokens that it signs could be forged",
                hint=f"Set one of at least {SHORTEST_SECRET}, for example from: "
                "openssl rand -base64 48",
            )
        self._secret = secret

    def issue(self, account: Account, now: datetime, life: timedelta) -> str:
        claims = {
            "iss": ISSUER,
            "sub": account.account_id,
            "gen": account.generation,
            "iat": now,
            "exp": now + life,
            "jti": token_hex(8),
        }
        return jwt.encode(claims, self._secret, ALGORITHM)

    def read(self, token: str) -> Claims:
        """The claims of *token*. Raises TokenInvalid."""
        if len(token) > LONGEST_TOKEN:
            raise TokenInvalid("the access token is not one of this server", hint=SIGN_IN_AGAIN)
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": REQUIRED},
            )
        except jwt.ExpiredSignatureError:
            raise TokenInvalid("the access token has expired", hint=SIGN_IN_AGAIN) from None
        except jwt.InvalidTokenError:
            # Its message may have parts of the token in it.
            raise TokenInvalid(
                "the access token is not one of this server", hint=SIGN_IN_AGAIN
            ) from None
        return Claims(claims["sub"], claims["gen"])
