"""Option chains from NSE's website: one expiry of one underlying a request."""

from datetime import date
from threading import Event

from data_fetch.core.chains.chains import (
    ChainReply,
    ChainSource,
    ListedExpiries,
    Payload,
    ReadChains,
)
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock, Lane
from data_fetch.core.records import Instrument
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
        errand = self._site.errand(Lane.CHAIN, stop)
        told: ReadChains | None = None
        problem: DataFetchError | None = None
        try:
            is_index = underlying.segment == INDEX
            body = self._site.option_chain(underlying.symbol, is_index, expiry, errand)
            told = read_nse_chains(body, underlying.symbol, expiry)
        except DataFetchError as failure:
            problem = failure
        return ChainReply(
            source=self.source,
            told=told,
            problem=problem,
            payloads=tuple(errand.payloads),
            requests=errand.requests,
            received_at=errand.payloads[-1].received_at if errand.payloads else self._clock.now(),
        )

    def _listed(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        errand = self._site.errand(Lane.CHAIN, stop)
        expiries: tuple[date, ...] = ()
        problem: DataFetchError | None = None
        try:
            expiries = read_nse_expiries(self._site.contract_info(underlying.symbol, errand))
        except DataFetchError as failure:
            problem = failure
        return ListedExpiries(
            source=self.source,
            expiries=expiries,
            problem=problem,
            payloads=tuple(errand.payloads),
            requests=errand.requests,
        )


def read_nse_answer(payload: Payload, underlying: str, expiry: date) -> ReadChains:
    """The chain of *underlying* and *expiry* in an answer that was kept. Raises ChainFault."""
    body = read_site_answer(payload.status, payload.body)
    return read_nse_chains(body, underlying, expiry)
