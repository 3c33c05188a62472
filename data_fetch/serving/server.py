"""What the routes of one server share: its settings, its open stores, the present instant."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from http import HTTPStatus

from anyio import CapacityLimiter
from starlette.requests import HTTPConnection

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.clock import IST
from data_fetch.core.settings import Settings
from data_fetch.publishing.kept_answers import KeptAnswers
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.reading.records import clock_of
from data_fetch.serving.audit import Audit
from data_fetch.serving.authentication import Authentication
from data_fetch.serving.known_calls import KnownCalls
from data_fetch.serving.limits import Limits
from data_fetch.serving.metrics import ServerMetrics
from data_fetch.serving.problems import Refusal
from data_fetch.serving.troubles import Troubles
from data_fetch.serving.viewers import viewer_of

# Of the threads that read ranges: with more of them the event loop waits longer for its turn.
RANGE_THREADS = 2


@dataclass(frozen=True, slots=True)
class Server:
    """One server over the store of *settings*. *ranges* bounds the threads that read ranges."""

    settings: Settings
    kept: KeptOpen = field(default_factory=KeptOpen)
    troubles: Troubles = field(default_factory=Troubles)
    ranges: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(RANGE_THREADS))
    calls: KnownCalls = field(default_factory=KnownCalls)
    kept_answers: KeptAnswers | None = None
    metrics: ServerMetrics = field(init=False)
    authentication: Authentication = field(init=False)
    audit: Audit = field(init=False)
    limits: Limits = field(init=False)

    def __post_init__(self) -> None:
        authentication = Authentication(self.settings, self.kept)
        object.__setattr__(self, "authentication", authentication)
        object.__setattr__(self, "audit", Audit(authentication.refusals))
        object.__setattr__(self, "limits", Limits(self.settings))
        object.__setattr__(self, "metrics", ServerMetrics(self.settings, self.troubles))

    @classmethod
    def over(cls, settings: Settings) -> "Server":
        """A server over the store of *settings*, with Redis where that is configured."""
        server = cls(settings)
        if settings.redis_url is None:
            return server
        kept = KeptAnswers(
            settings.redis_url.get_secret_value(),
            store=settings.store_url,
            away=partial(server.troubles.begin, "answers in Redis"),
            back=partial(server.troubles.end, "answers in Redis"),
        )
        return replace(server, kept_answers=kept)

    async def close(self) -> None:
        """Close its stores and connections."""
        self.authentication.close()
        self.kept.close()
        if self.kept_answers is not None:
            await self.kept_answers.close()

    def now(self) -> datetime:
        """The present instant, UTC; in the paper world the paper market's.

        Raises Unreachable when the paper market is elsewhere and does not answer.
        """
        return clock_of(self.settings).now()

    def today(self) -> date:
        """The Indian date of the present instant. Raises as `now` does."""
        return self.now().astimezone(IST).date()


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


def refuse_public(request: HTTPConnection) -> None:
    """Raises Refusal (403) for the role that sees data later: it may not see how collecting is
    doing now."""
    if viewer_of(request.scope).role is Role.PUBLIC:
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            "this shows the present state of collecting, which this role sees later",
            then="Use an account or an API key with the role user.",
        )
