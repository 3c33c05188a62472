"""The rate limits of the sources of option chains."""

from collections.abc import Mapping

from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.chains.polling import SourceLimits
from data_fetch.core.settings import Settings
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS

# The website gets one request at a time. With a second poll in progress it is not idle while
# the first one finds out whether another source works again.
CHAIN_LIMITS: Mapping[ChainSource, SourceLimits] = {
    ChainSource.UPSTOX: SourceLimits(UPSTOX_LIMITS, at_once=4),
    ChainSource.NSE: SourceLimits(NSE_LIMITS, at_once=2),
}


def first_chain_source(settings: Settings) -> ChainSource:
    """The source of chains that is tried first."""
    return ChainSource.NSE if settings.data_source == "nse" else ChainSource.UPSTOX
