"""Option chains from Upstox."""

from datetime import date

from data_fetch.core.chains.chains import ChainError, ChainSource, ParsedChains, RawResponse
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.ports import Clock
from data_fetch.sources.transport.chain_client import ChainClient
from data_fetch.sources.transport.recording import RecordingRequestContext
from data_fetch.sources.transport.responses import Response
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.chain_rows import read_upstox_chain, read_upstox_contracts
from data_fetch.sources.upstox.responses import read_response


def upstox_chain_client(api: UpstoxApi, clock: Clock) -> ChainClient:
    """A client that requests chains through *api*."""

    def list_expiries(underlying: Instrument, context: RecordingRequestContext) -> tuple[date, ...]:
        response = api.option_contracts(underlying.live_key, context)
        return _expiries_in(response, underlying)

    def fetch_chain(
        underlying: Instrument, expiry: date, context: RecordingRequestContext
    ) -> ParsedChains:
        response = api.option_chain(underlying.live_key, expiry, context)
        return _chain_in(response, underlying.symbol, expiry, underlying.live_key)

    return ChainClient(
        ChainSource.UPSTOX, clock, list_expiries=list_expiries, fetch_chain=fetch_chain
    )


def read_upstox_response(
    raw: RawResponse, underlying: str, expiry: date, live_key: str | None
) -> ParsedChains:
    """The chain of *underlying* and *expiry* in a stored response.

    *live_key* is Upstox's key of the underlying, None if it is unknown. Raises by class of
    `core.errors`.
    """
    response = read_response(raw, list)
    return _chain_in(response, underlying, expiry, live_key)


def _chain_in(
    response: Response, underlying: str, expiry: date, live_key: str | None
) -> ParsedChains:
    if response.partial:
        raise ChainError(FailureKind.NOT_A_CHAIN, "Upstox returned only a part of the chain")
    return read_upstox_chain(response.data, underlying, expiry, underlying_key=live_key)


def _expiries_in(response: Response, underlying: Instrument) -> tuple[date, ...]:
    contracts, _ = read_upstox_contracts(response.data)
    own = [each for each in contracts if each.underlying_key == underlying.live_key]
    days = {each.expiry for each in own if each.expiry is not None}
    if not days:
        raise ChainError(FailureKind.EMPTY_LIST, f"no option on {underlying.symbol} is listed")
    return tuple(sorted(days))
