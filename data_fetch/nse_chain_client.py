"""Option chains from NSE's website: one expiry of one underlying a request."""

from datetime import date
from threading import Event

from data_fetch.core.chains import ChainReply, ChainSource, ListedExpiries, ReadChains
from data_fetch.core.errors import DataFetchError
from data_fetch.core.ports import Clock, Lane
from data_fetch.core.records import Instrument
from data_fetch.sources.expiry_cache import ExpiryCache
from data_fetch.sources.instrument_rows import INDEX
from data_fetch.sources.nse_chains import read_nse_chains, read_nse_expiries
from data_fetch.sources.nse_site import NseSite


class NseChainClient:
    """Satisfies `ports.ChainProvider`. Safe to share between threads."""

    source = ChainSource.NSE

    def __init__(self, site: NseSite, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._expiries = ExpiryCache(clock)

    def expiries(self, underlying: Instrument, stop: Event) -> ListedExpiries:
        """The listed expiries; asked for at most once a day."""
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
        body = self._site.contract_info(underlying.symbol, errand)
        return ListedExpiries(
            source=self.source,
            expiries=read_nse_expiries(body),
            payloads=tuple(errand.payloads),
            requests=errand.requests,
        )
