"""What the routes of one server share: its settings, its open stores, the present instant."""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address

from starlette.requests import HTTPConnection

from data_fetch.core.settings import Settings
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import clock_of
from data_fetch.serving.known_calls import KnownCalls
from data_fetch.serving.metrics import ServerMetrics
from data_fetch.serving.troubles import Troubles
from data_fetch.serving.viewers import viewer_of


@dataclass(frozen=True, slots=True)
class Server:
    """One server over the store of *settings*."""

    settings: Settings
    kept: KeptOpen = field(default_factory=KeptOpen)
    troubles: Troubles = field(default_factory=Troubles)
    calls: KnownCalls = field(default_factory=KnownCalls)
    metrics: ServerMetrics = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", ServerMetrics(self.settings, self.troubles))

    def now(self) -> datetime:
        """The present instant, UTC; in the paper world the paper market's.

        Raises Unreachable when the paper market is elsewhere and does not answer.
        """
        return clock_of(self.settings).now()

    @property
    def on_loopback(self) -> bool:
        """Whether only programs of this machine can reach it."""
        host = self.settings.api_host
        if host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def server_of(request: HTTPConnection) -> Server:
    """The server that a request came to."""
    found = request.scope["state"]["server"]
    assert isinstance(found, Server)
    return found


def newest_visible(request: HTTPConnection) -> datetime | None:
    """The latest instant, on a whole second, that the sender of a request may see; None for no
    limit. Raises as `Server.now` does."""
    viewer = viewer_of(request.scope)
    if not viewer.delay:
        return None
    newest = viewer.newest(server_of(request).now())
    return None if newest is None else newest.replace(microsecond=0)
