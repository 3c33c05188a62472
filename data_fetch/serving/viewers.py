"""Who sends a request, and how recent the data may be that the answer shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

NOTHING = timedelta(0)


class Role(StrEnum):
    """What an account may see: everything and other accounts, everything, or older data."""

    ADMIN = "admin"
    USER = "user"
    PUBLIC = "public"


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    STREAM = "stream"
    CONTROL = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The sender of a request. *name* is the account or key; None for programs of this machine
    on a server that is open for reading.

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


def viewer_of(scope: Mapping[str, Any]) -> Viewer:
    """The viewer of a request or connection, which `gate` found; *scope* is the ASGI one."""
    found = scope["state"]["viewer"]
    assert isinstance(found, Viewer)
    return found
