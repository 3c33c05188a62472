"""Option chains from one source: one expiry of one underlying per request."""

from collections.abc import Callable
from datetime import date
from threading import Event
from typing import TypeVar

from data_fetch.core.chains.chains import ChainReply, ChainSource, ListedExpiries, ParsedChains
from data_fetch.core.errors import DataFetchError, SetupError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.transport.expiry_cache import ExpiryCache
from data_fetch.sources.transport.recording import RecordingRequestContext

T = TypeVar("T")

# What a source does differently from the others. Both raise by class of `core.errors`.
ListExpiries = Callable[[Instrument, RecordingRequestContext], tuple[date, ...]]
FetchChain = Callable[[Instrument, date, RecordingRequestContext], ParsedChains]


class ChainClient:
    """Satisfies `ports.ChainProvider`. Safe to share between threads."""

    def __init__(
        self,
        source: ChainSource,
        clock: Clock,
        *,
        list_expiries: ListExpiries,
        fetch_chain: FetchChain,
    ) -> None:
        self.source = source
        self._clock = clock
        self._list_expiries = list_expiries
        self._fetch_chain = fetch_chain
        self._expiries = ExpiryCache(clock)

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries, requested at most once a day; a failure is in `problem`."""
        return self._expiries.of(underlying.live_key, lambda: self._listed(underlying, stop))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; a failure is in `problem`."""
        context = self._context(stop)
        parsed, problem = _attempt(lambda: self._fetch_chain(underlying, expiry, context))
        received = context.raw_responses
        return ChainReply(
            source=self.source,
            parsed=parsed,
            problem=problem,
            raw_responses=tuple(received),
            requests=context.requests,
            received_at=received[-1].received_at if received else self._clock.now(),
        )

    def _listed(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        context = self._context(stop)
        expiries, problem = _attempt(lambda: self._list_expiries(underlying, context))
        return ListedExpiries(
            source=self.source,
            expiries=expiries or (),
            problem=problem,
            raw_responses=tuple(context.raw_responses),
            requests=context.requests,
        )

    def _context(self, stop: Event) -> RecordingRequestContext:
        return RecordingRequestContext.begin(Lane.CHAIN, self._clock.now(), stop)


def _attempt(request: Callable[[], T]) -> tuple[T | None, DataFetchError | None]:
    """The result of *request*, or the error that it raised. Raises SetupError: a setting has to
    be changed, and the next source would not help."""
    try:
        return request(), None
    except SetupError:
        raise
    except DataFetchError as problem:
        return None, problem
