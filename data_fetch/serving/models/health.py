"""The state of the server, and its paths."""

from datetime import datetime

from data_fetch.serving.models.shared import Answer


class Paths(Answer):
    version: str
    endpoints: list[str]


class Root(Answer):
    success: bool
    message: str
    data: Paths
    timestamp: datetime
