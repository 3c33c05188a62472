"""What the routes of one server share: its settings, its open stores, the present instant."""

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


class Server:
    """One server over the store of *settings*. *ranges* bounds the threads that read ranges."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.kept = KeptOpen()
        self.troubles = Troubles()
        self.ranges = CapacityLimiter(RANGE_THREADS)
        self.calls = KnownCalls()
        self.kept_answers = _kept_answers(settings, self.troubles)
        self.metrics = ServerMetrics(settings, self.troubles)
        self.authentication = Authentication(settings, self.kept)
        self.audit = Audit(self.authentication.refusals)
        self.limits = Limits(settings)

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


def _kept_answers(settings: Settings, troubles: Troubles) -> KeptAnswers | None:
    """Those in Redis; None where it is not configured. It connects when it is first asked."""
    if settings.redis_url is None:
        return None
    return KeptAnswers(
        settings.redis_url.get_secret_value(),
        store=settings.store_url,
        away=partial(troubles.begin, "answers in Redis"),
        back=partial(troubles.end, "answers in Redis"),
    )


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
