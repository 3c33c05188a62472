"""Who may see what is streamed, and how recent it may be."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.types import Scope as Connection

from data_fetch.core.accounts.accounts import Scope
from data_fetch.core.errors import DataFetchError, TokenInvalid
from data_fetch.serving.authentication import Authentication, credential_in
from data_fetch.serving.streams.requests import Rejected
from data_fetch.serving.viewers import Viewer, viewer_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A connection that may stream what is older than *delay*, by a *credential*; None on a server
    that is open for reading."""

    credential: str | None
    delay: timedelta


def needs_credential(connection: Connection) -> bool:
    """Whether a connection has to say first whose it is: pages send no header of ours."""
    return not viewer_of(connection).scopes


async def admitted(
    authentication: Authentication, connection: Connection, given: Any = None
) -> Admitted:
    """By what *connection* may stream: the `token` in *given*, else that in its headers. Raises
    Rejected."""
    token = given.get("token") if isinstance(given, Mapping) else None
    if not isinstance(token, str):
        viewer = viewer_of(connection)
        _refuse_unfit(viewer)
        return Admitted(credential_in(connection["headers"]), viewer.delay)
    try:
        viewer = await holder_of(authentication, token)
    except DataFetchError as problem:
        # Whose token it is is not known.
        raise unavailable(problem) from None
    return Admitted(token, viewer.delay)


async def holder_of(authentication: Authentication, credential: str) -> Viewer:
    """The holder of *credential*, while it may stream. Raises Rejected."""
    try:
        viewer = await authentication.viewer_with(credential)
    except TokenInvalid as problem:
        raise Rejected("unauthenticated", problem.message) from None
    _refuse_unfit(viewer)
    return viewer


def unavailable(problem: DataFetchError) -> Rejected:
    """The answer to those who may not see names and addresses of this server's parts. The reason is
    in the log."""
    log.warning("not_answered", extra={"problem": problem.message})
    return Rejected("service_unavailable", "The server cannot answer at present.")


def _refuse_unfit(viewer: Viewer) -> None:
    if not viewer.scopes:
        raise Rejected("unauthenticated", "Send an access token or an API key as `token`.")
    if Scope.STREAM not in viewer.scopes:
        raise Rejected("forbidden", "The key lacks the scope stream.")
