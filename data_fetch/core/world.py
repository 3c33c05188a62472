"""The two worlds of prices. A store belongs to one of them for good."""

from enum import StrEnum


class World(StrEnum):
    """Where prices come from. A store belongs to one world for good."""

    PAPER = "paper"
    LIVE = "live"


# A country code that ISO 3166 will never assign, so that no real ISIN can begin with it.
PAPER_ISIN_PREFIX = "ZZP"
