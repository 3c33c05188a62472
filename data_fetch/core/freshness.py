"""The states of data that is expected while the market trades: quotes and option chains."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Freshness(StrEnum):
    """The state of the newest data of one symbol."""

    FRESH = "fresh"
    NEVER_SEEN = "never_seen"
    STOPPED = "stopped"
    FROZEN = "frozen"
    CLOSED = "market_closed"


USUAL = frozenset({Freshness.FRESH, Freshness.CLOSED})
STALE = frozenset({Freshness.NEVER_SEEN, Freshness.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessRules:
    """*stale_after* trading minutes without data; *frozen_after* of them without movement."""

    stale_after: int = 5
    frozen_after: int = 10


def count_states(states: Iterable[Freshness]) -> Mapping[str, int]:
    """How often each state is among *states*, with every state present."""
    counts = dict.fromkeys(map(str, Freshness), 0)
    for state in states:
        counts[state] += 1
    return counts
