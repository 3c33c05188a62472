"""The data of a good response, as a provider's API client returns it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Response:
    """The `data` of a good response. A *partial* one proves nothing about what it lacks.

    *requested_at* is when its request was sent: the response covers everything up to then.
    """

    data: Any
    partial: bool = False
    requested_at: datetime | None = None
