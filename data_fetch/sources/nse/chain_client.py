"""Option chains from NSE's website: one expiry of one underlying a request."""

from datetime import date
from threading import Event

from data_fetch.core.chains.chains import (
    ChainReply,
    ChainSource,
    ListedExpiries,
    ParsedChains,
    RawResponse,
)
from data_fetch.core.errors import DataFetchError
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock, Lane
from data_fetch.sources.instruments.rows import INDEX
from data_fetch.sources.nse.chain_rows import read_nse_chains, read_nse_expiries
from data_fetch.sources.nse.site import NseSite, read_site_answer
from data_fetch.sources.transport.expiry_cache import ExpiryCache


class NseChainClient:
    """Satisfies `ports.ChainProvider`. Safe to share between threads."""

    source = ChainSource.NSE

    def __init__(self, site: NseSite, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._expiries = ExpiryCache(clock)

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries, told at most once a day; whatever goes wrong is in `problem`."""
        return self._expiries.of(underlying.live_key, lambda: self._listed(underlying, stop))

    def chain(self, underlying: Instrument, expiry: date, stop: Event) -> ChainReply:
        """The chain of one expiry; whatever goes wrong is in `problem`."""
        context = self._site.context(Lane.CHAIN, stop)
        told: ParsedChains | None = None
        problem: DataFetchError | None = None
        try:
            is_index = underlying.segment == INDEX
            body = self._site.option_chain(underlying.symbol, is_index, expiry, context)
            told = read_nse_chains(body, underlying.symbol, expiry)
        except DataFetchError as failure:
            problem = failure
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
        context = self._site.context(Lane.CHAIN, stop)
        expiries: tuple[date, ...] = ()
        problem: DataFetchError | None = None
        try:
            expiries = read_nse_expiries(self._site.contract_info(underlying.symbol, context))
        except DataFetchError as failure:
            problem = failure
        return ListedExpiries(
            source=self.source,
            expiries=expiries,
            problem=problem,
            raw_responses=tuple(context.raw_responses),
            requests=context.requests,
        )


def read_nse_answer(raw_response: RawResponse, underlying: str, expiry: date) -> ParsedChains:
    """The chain of *underlying* and *expiry* in an answer that was kept. Raises ChainError."""
    body = read_site_answer(raw_response.status, raw_response.body)
    return read_nse_chains(body, underlying, expiry)
