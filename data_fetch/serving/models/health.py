"""The state of the server, and its paths."""

from datetime import datetime
from typing import Literal

from data_fetch.serving.models.shared import Answer


class Paths(Answer):
    version: str
    endpoints: list[str]


class Root(Answer):
    success: bool
    message: str
    data: Paths
    timestamp: datetime


class Health(Answer):
    """The store behind the server. `total_records` are stored legs of option chains."""

    status: Literal["healthy", "unhealthy"]
    service: str
    timestamp: datetime
    database_connected: bool
    last_data_fetch: datetime | None
    total_records: int | None
    problem: str | None


class Live(Answer):
    status: Literal["alive"]


class Ready(Answer):
    """`problem` is why the store does not answer, where the sender may see it."""

    status: Literal["ready", "not_ready"]
    problem: str | None
