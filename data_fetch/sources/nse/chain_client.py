"""Option chains from NSE's website."""

from datetime import date

from data_fetch.core.chains.chains import ChainSource, ParsedChains, RawResponse
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.sources.instruments.rows import INDEX
from data_fetch.sources.nse.chain_rows import read_nse_chains, read_nse_expiries
from data_fetch.sources.nse.site import NseSite, read_site_response
from data_fetch.sources.transport.chain_client import ChainClient
from data_fetch.sources.transport.recording import RecordingRequestContext


def nse_chain_client(site: NseSite, clock: Clock) -> ChainClient:
    """A client that requests chains from *site*."""

    def list_expiries(underlying: Instrument, context: RecordingRequestContext) -> tuple[date, ...]:
        return read_nse_expiries(site.contract_info(underlying.symbol, context))

    def fetch_chain(
        underlying: Instrument, expiry: date, context: RecordingRequestContext
    ) -> ParsedChains:
        is_index = underlying.segment == INDEX
        document = site.option_chain(underlying.symbol, is_index, expiry, context)
        return read_nse_chains(document, underlying.symbol, expiry)

    return ChainClient(ChainSource.NSE, clock, list_expiries=list_expiries, fetch_chain=fetch_chain)


def read_nse_response(raw: RawResponse, underlying: str, expiry: date) -> ParsedChains:
    """The chain of *underlying* and *expiry* in a stored response. Raises ChainError."""
    return read_nse_chains(read_site_response(raw), underlying, expiry)
