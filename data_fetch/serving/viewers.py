"""Who sends a request, and how recent the data may be that the answer shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from data_fetch.core.accounts.accounts import Role, Scope

NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The sender of a request. *name* is the id of the account or key; None for programs of this
    machine on a server that is open for reading, and where none is known.

    *delay* is zero except for the role `public`.
    """

    role: Role
    name: str | None = None
    scopes: frozenset[Scope] = frozenset(Scope)
    delay: timedelta = NOTHING

    def newest(self, now: datetime) -> datetime | None:
        """The latest instant that may be shown; None for no limit."""
        return now - self.delay if self.delay else None


# On a server that is open for reading.
LOCAL = Viewer(role=Role.USER)


# Where credentials are required and none are given: it may see nothing.
UNKNOWN = Viewer(role=Role.PUBLIC, scopes=frozenset())


def viewer_of(scope: Mapping[str, Any]) -> Viewer:
    """The viewer of a request or connection, which `gate` found; *scope* is the ASGI one."""
    found = scope["state"]["viewer"]
    assert isinstance(found, Viewer)
    return found
