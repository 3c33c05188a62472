"""Option chains from Upstox: one expiry of one underlying a request."""

from collections.abc import Sequence
from datetime import date
from threading import Event

from data_fetch.core.chains.chains import (
    ChainError,
    ChainReply,
    ChainSource,
    ListedExpiries,
    ParsedChains,
    RawResponse,
)
from data_fetch.core.errors import BadResponse, DataFetchError, Unavailable
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.chain_parsing.bodies import parsed
from data_fetch.sources.transport.expiry_cache import ExpiryCache
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.chain_rows import read_upstox_chain, read_upstox_contracts
from data_fetch.sources.upstox.responses import Answer, RawAnswer, read_answer


class UpstoxChainClient:
    """Satisfies `ports.ChainProvider`. Safe to share between threads."""

    source = ChainSource.UPSTOX

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._expiries = ExpiryCache(clock)

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries, told at most once a day; whatever goes wrong is in `problem`."""
        return self._expiries.of(underlying.live_key, lambda: self._listed(underlying, stop))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; whatever goes wrong is in `problem`."""
        context = self._api.recording_context(Lane.CHAIN, stop)
        told: ParsedChains | None = None
        problem: DataFetchError | None = None
        try:
            answer = self._api.option_chain(underlying.live_key, expiry, context=context)
            told = _chain_in(answer, underlying.symbol, expiry, underlying.live_key)
        except DataFetchError as failure:
            problem = _named(failure, context.raw_responses)
        return ChainReply(
            source=self.source,
            parsed=told,
            problem=problem,
            raw_responses=tuple(context.raw_responses),
            requests=context.requests,
            received_at=context.raw_responses[-1].received_at
            if context.raw_responses
            else self._clock.now(),
        )

    def _listed(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        context = self._api.recording_context(Lane.CHAIN, stop)
        expiries: tuple[date, ...] = ()
        problem: DataFetchError | None = None
        try:
            answer = self._api.option_contracts(underlying.live_key, context=context)
            expiries = _expiries_in(answer, underlying)
        except DataFetchError as failure:
            problem = _named(failure, context.raw_responses)
        return ListedExpiries(
            source=self.source,
            expiries=expiries,
            problem=problem,
            raw_responses=tuple(context.raw_responses),
            requests=context.requests,
        )


def read_upstox_answer(
    raw_response: RawResponse, underlying: str, expiry: date, live_key: str | None
) -> ParsedChains:
    """The chain of *underlying* and *expiry* in an answer that was kept.

    *live_key* is how Upstox names the underlying, None where nobody knows. Raises by class of
    `core.errors`.
    """
    raw = RawAnswer(raw_response.status, {}, raw_response.body)
    try:
        answer = read_answer(raw, list, raw_response.received_at)
        return _chain_in(answer, underlying, expiry, live_key)
    except DataFetchError as failure:
        raise _named(failure, [raw_response]) from None


def _chain_in(answer: Answer, underlying: str, expiry: date, live_key: str | None) -> ParsedChains:
    if answer.partial:
        raise BadResponse("Upstox answered with a part of the chain only")
    return read_upstox_chain(answer.data, underlying, expiry, underlying_key=live_key)


def _expiries_in(answer: Answer, underlying: Instrument) -> tuple[date, ...]:
    contracts, _ = read_upstox_contracts(answer.data)
    mine = [each for each in contracts if each.underlying_key == underlying.live_key]
    days = {each.expiry for each in mine if each.expiry is not None}
    if not days:
        raise ChainError(FailureKind.EMPTY_LIST, f"no option on {underlying.symbol} is listed")
    return tuple(sorted(days))


def _named(problem: DataFetchError, raw_responses: Sequence[RawResponse]) -> DataFetchError:
    """*problem*, with the name of what came instead of an answer where it has none yet."""
    nameless = isinstance(problem, BadResponse) and not isinstance(
        problem, ChainError | Unavailable
    )
    if not nameless or not raw_responses:
        return problem
    try:
        told = parsed(raw_responses[-1].body)
    except ChainError as unreadable:
        return ChainError(unreadable.kind, problem.message)
    return ChainError(
        FailureKind.NOT_A_CHAIN if told else FailureKind.EMPTY_OBJECT, problem.message
    )
