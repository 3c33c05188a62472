"""What is sent and answered about accounts."""

from typing import Literal

from pydantic import BaseModel, Field

from data_fetch.serving.models.shared import Answer


class Registration(BaseModel):
    """A new account."""

    email: str = Field(default="", examples=["trader@example.com"])
    password: str = Field(default="", examples=["a long sentence of mine"])
    name: str = Field(default="", examples=["Asha Rao"])


class Credentials(BaseModel):
    """The e-mail address and password of an account."""

    email: str = Field(default="", examples=["trader@example.com"])
    password: str = Field(default="", examples=["a long sentence of mine"])


class RefreshToken(BaseModel):
    """A refresh token; it can be sent as a Bearer token instead."""

    refresh_token: str = ""


class User(Answer):
    """An account as its holder sees it."""

    id: str
    email: str
    name: str
    role: Literal["admin", "user", "public"]


class SignedIn(Answer):
    """Tokens of an account. `token` is the access token, which holds for `expires_in` seconds;
    `refresh_token` can be used once to get the next ones."""

    message: str
    token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    user: User


class Verified(Answer):
    """The holder of an access token."""

    valid: Literal[True]
    user_id: str
    email: str
