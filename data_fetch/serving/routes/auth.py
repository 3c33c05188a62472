"""Accounts over HTTP: register, sign in, verify a token, get the next one."""

from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from data_fetch.core.errors import AccountInvalid, SignInFailed, TokenInvalid
from data_fetch.services.sign_in import Tokens
from data_fetch.serving.answers import JSON
from data_fetch.serving.audit import address_of
from data_fetch.serving.authentication import credential_in
from data_fetch.serving.models.accounts import (
    Credentials,
    RefreshToken,
    Registration,
    SignedIn,
    Verified,
)
from data_fetch.serving.problems import documented, refusal_of
from data_fetch.serving.server import Server


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/auth",
        tags=["accounts"],
        responses=documented(
            HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS
        ),
    )
    authentication = server.authentication

    @routes.post(
        "/register",
        status_code=HTTPStatus.CREATED,
        response_model=SignedIn,
        responses=documented(HTTPStatus.CONFLICT),
    )
    async def register(request: Request, new: Registration) -> Response:
        """Register an account, and sign in to it.

        Its role is `user` where the server is open for reading, else `public`.
        """
        address = address_of(request.scope)
        await server.limits.admit_registration(address)

        def registered() -> Tokens:
            account = authentication.accounts.add(
                new.email, new.name, new.password, authentication.rules.registered_role, address
            )
            return authentication.sign_in.tokens_of(account)

        tokens = await authentication.hashing.run(registered)
        return _signed_in(HTTPStatus.CREATED, "Registered", tokens)

    @routes.post("/login", response_model=SignedIn)
    async def login(request: Request, given: Credentials) -> Response:
        """Sign in. After some failures further ones have to wait."""
        if not given.email or not given.password:
            raise AccountInvalid("email or password is missing", hint="Send both.")
        address = address_of(request.scope)
        try:
            tokens = await authentication.hashing.run(
                lambda: authentication.sign_in.sign_in(given.email, given.password, address)
            )
        except SignInFailed as failed:
            request.scope["state"]["email"] = failed.email
            raise
        return _signed_in(HTTPStatus.OK, "Signed in", tokens)

    @routes.post("/verify", response_model=Verified)
    async def verify(request: Request) -> Response:
        """The holder of the access token that the request is sent with."""
        try:
            token = _required(credential_in(request.scope["headers"]))
            account = await run_in_threadpool(authentication.sign_in.holder_of_token, token)
        except TokenInvalid as problem:
            raise refusal_of(problem, valid=False) from problem
        return _answer(
            HTTPStatus.OK, {"valid": True, "user_id": account.account_id, "email": account.email}
        )

    @routes.post("/refresh", response_model=SignedIn)
    async def refresh(request: Request, given: RefreshToken | None = None) -> Response:
        """The next tokens for a refresh token, which is used up by that.

        Using one twice ends all that followed from it: one of the two users is not its owner.
        """
        sent = given.refresh_token if given else ""
        token = sent or _required(credential_in(request.scope["headers"]))
        tokens = await run_in_threadpool(
            authentication.sign_in.refresh, token, address_of(request.scope)
        )
        return _signed_in(HTTPStatus.OK, "Refreshed", tokens)

    return routes


def _required(token: str | None) -> str:
    if token is None:
        raise TokenInvalid("there is no token", hint="Send it as `Authorization: Bearer ...`.")
    return token


def _signed_in(status: HTTPStatus, message: str, tokens: Tokens) -> Response:
    account = tokens.account
    return _answer(
        status,
        {
            "message": message,
            "token": tokens.access,
            "refresh_token": tokens.refresh,
            "token_type": "Bearer",
            "expires_in": int(tokens.expires_in.total_seconds()),
            "user": {
                "id": account.account_id,
                "email": account.email,
                "name": account.name,
                "role": account.role,
            },
        },
    )


def _answer(status: HTTPStatus, document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document),
        status_code=status,
        media_type=JSON,
        headers={"Cache-Control": "no-store"},
    )
