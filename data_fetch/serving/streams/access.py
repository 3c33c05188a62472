"""Who may see what is streamed."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.types import Scope as Connection

from data_fetch.core.accounts.accounts import Scope
from data_fetch.core.errors import DataFetchError, TokenInvalid
from data_fetch.serving.authentication import Authentication, credential_in
from data_fetch.serving.streams.requests import Rejected
from data_fetch.serving.viewers import Viewer, viewer_of

log = logging.getLogger(__name__)


def needs_credential(connection: Connection) -> bool:
    """Whether a connection has to say first whose it is: pages send no header of ours."""
    return not viewer_of(connection).scopes


async def admitted(
    authentication: Authentication, connection: Connection, given: Any = None
) -> str | None:
    """The credential by which *connection* may stream: the `token` in *given*, else that in its
    headers; None on a server that is open for reading. Raises Rejected."""
    token = given.get("token") if isinstance(given, Mapping) else None
    if not isinstance(token, str):
        _refuse_unfit(viewer_of(connection))
        return credential_in(connection["headers"])
    try:
        await admit_again(authentication, token)
    except DataFetchError as problem:
        # Whose token it is is not known, so the reason is for the log alone.
        log.warning("not_answered", extra={"problem": problem.message})
        raise Rejected("service_unavailable", "The server cannot answer at present.") from None
    return token


async def admit_again(authentication: Authentication, credential: str) -> None:
    """Return while the holder of *credential* may stream. Raises Rejected."""
    try:
        viewer = await authentication.viewer_with(credential)
    except TokenInvalid as problem:
        raise Rejected("unauthenticated", problem.message) from None
    _refuse_unfit(viewer)


def _refuse_unfit(viewer: Viewer) -> None:
    if not viewer.scopes:
        raise Rejected("unauthenticated", "Send an access token or an API key as `token`.")
    if Scope.STREAM not in viewer.scopes:
        raise Rejected("forbidden", "The key lacks the scope stream.")
    if viewer.delay:
        raise Rejected(
            "forbidden", "This account sees older data only, and streams have the newest."
        )
