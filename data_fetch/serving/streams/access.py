"""Who may see what is streamed."""

from collections.abc import Mapping
from typing import Any

from data_fetch.core.accounts.accounts import Scope
from data_fetch.core.errors import TokenInvalid
from data_fetch.serving.authentication import Authentication
from data_fetch.serving.streams.requests import Rejected
from data_fetch.serving.viewers import Viewer


def needs_credential(viewer: Viewer) -> bool:
    """Whether a connection has to say first whose it is: browsers send no header of ours."""
    return not viewer.scopes


async def admitted(authentication: Authentication, viewer: Viewer, given: Any) -> Viewer:
    """The viewer that may stream: *viewer*, or the holder of the `token` in *given*.

    Raises Rejected.
    """
    token = given.get("token") if isinstance(given, Mapping) else None
    if isinstance(token, str):
        try:
            viewer = await authentication.viewer_with(token)
        except TokenInvalid as problem:
            raise Rejected("unauthenticated", problem.message) from None
    elif needs_credential(viewer):
        raise Rejected("unauthenticated", "Send an access token or an API key as `token`.")
    if Scope.STREAM not in viewer.scopes:
        raise Rejected("forbidden", "The key lacks the scope stream.")
    if viewer.delay:
        raise Rejected(
            "forbidden", "This account sees older data only, and streams have the newest."
        )
    return viewer
