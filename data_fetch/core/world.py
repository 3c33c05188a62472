"""The two worlds of prices: invented (paper) and real (live)."""

from enum import StrEnum


class World(StrEnum):
    """The origin of prices. A store belongs to one world and cannot change it."""

    PAPER = "paper"
    LIVE = "live"


# A country code that ISO 3166 will never assign, so that no real ISIN can begin with it.
PAPER_ISIN_PREFIX = "ZZP"

# The paper exchange sends this header with every response; no provider does.
PAPER_MARK = "X-Paper-Exchange"
