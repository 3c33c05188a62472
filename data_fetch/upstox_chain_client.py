"""Option chains from Upstox: one expiry of one underlying a request."""

from datetime import date
from threading import Event

from data_fetch.core.chains import (
    ChainFault,
    ChainReply,
    ChainSource,
    Fault,
    ListedExpiries,
    ReadChains,
)
from data_fetch.core.errors import BadAnswer, DataFetchError, Unavailable
from data_fetch.core.ports import Clock, Lane
from data_fetch.core.records import Instrument
from data_fetch.sources.chain_documents import parsed
from data_fetch.sources.expiry_cache import ExpiryCache
from data_fetch.sources.keeping import KeepingErrand
from data_fetch.sources.upstox import UpstoxApi
from data_fetch.sources.upstox_chains import read_upstox_chain, read_upstox_contracts


class UpstoxChainClient:
    """Satisfies `ports.ChainProvider`. Safe to share between threads."""

    source = ChainSource.UPSTOX

    def __init__(self, api: UpstoxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._expiries = ExpiryCache(clock)

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries and their contracts; asked for at most once a day."""
        return self._expiries.of(underlying.live_key, lambda: self._listed(underlying, stop))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; whatever goes wrong is in `problem`."""
        errand = self._api.keeping_errand(Lane.CHAIN, stop)
        told: ReadChains | None = None
        problem: DataFetchError | None = None
        try:
            answer = self._api.option_chain(underlying.live_key, expiry, errand=errand)
            if answer.partial:
                raise BadAnswer("Upstox answered with a part of the chain only")
            told = read_upstox_chain(
                answer.data, underlying.symbol, expiry, underlying_key=underlying.live_key
            )
        except DataFetchError as failure:
            problem = _named(failure, errand)
        return ChainReply(
            source=self.source,
            told=told,
            problem=problem,
            payloads=tuple(errand.payloads),
            requests=errand.requests,
            received_at=errand.payloads[-1].received_at if errand.payloads else self._clock.now(),
        )

    def _listed(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        errand = self._api.keeping_errand(Lane.CHAIN, stop)
        try:
            answer = self._api.option_contracts(underlying.live_key, errand=errand)
            contracts, _ = read_upstox_contracts(answer.data)
        except DataFetchError as failure:
            raise _named(failure, errand) from None
        mine = [each for each in contracts if each.underlying_key == underlying.live_key]
        days = {each.expiry for each in mine if each.expiry is not None}
        if not days:
            raise ChainFault(Fault.EMPTY_LIST, f"no option on {underlying.symbol} is listed")
        return ListedExpiries(
            source=self.source,
            expiries=tuple(sorted(days)),
            contracts=tuple(mine),
            payloads=tuple(errand.payloads),
            requests=errand.requests,
        )


def _named(problem: DataFetchError, errand: KeepingErrand) -> DataFetchError:
    """*problem*, with the name of what came instead of an answer where it has none yet."""
    nameless = isinstance(problem, BadAnswer) and not isinstance(problem, ChainFault | Unavailable)
    if not nameless or not errand.payloads:
        return problem
    try:
        told = parsed(errand.payloads[-1].body)
    except ChainFault as fault:
        return ChainFault(fault.fault, problem.what)
    return ChainFault(Fault.NOT_A_CHAIN if told else Fault.EMPTY_OBJECT, problem.what)
