"""Limits of the market data feed V3: connections of a user, keys of a connection by mode."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from data_fetch.paper_exchange.upstox.feed_packets import Mode


class Plan(StrEnum):
    """The account's subscription at the provider."""

    STANDARD = "standard"
    PLUS = "plus"


class OverLimit(StrEnum):
    """What happens to a connection or keys beyond a limit. The provider's choice is unknown."""

    REFUSE = "refuse"
    IGNORE = "ignore"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class ModeLimit:
    """Keys in one mode: when it is the connection's only mode, and when there are others."""

    alone: int
    mixed: int


CONNECTIONS = {Plan.STANDARD: 2, Plan.PLUS: 5}
_COMMON = {
    Mode.LTPC: ModeLimit(5000, 2000),
    Mode.OPTION_GREEKS: ModeLimit(3000, 2000),
    Mode.FULL: ModeLimit(2000, 1500),
}
KEYS: Mapping[Plan, Mapping[Mode, ModeLimit]] = {
    Plan.STANDARD: {**_COMMON, Mode.FULL_D30: ModeLimit(0, 0)},
    Plan.PLUS: {**_COMMON, Mode.FULL_D30: ModeLimit(50, 50)},
}


@dataclass(slots=True)
class FeedRules:
    """The limits in force. They can be changed while connections are open."""

    plan: Plan = Plan.STANDARD
    over_limit: OverLimit = OverLimit.REFUSE

    @property
    def connections(self) -> int:
        return CONNECTIONS[self.plan]

    def room(self, mode: Mode, others: Collection[Mode]) -> int:
        """How many keys a connection may have in *mode*; *others* are the modes of other keys."""
        limit = KEYS[self.plan][mode]
        return limit.alone if set(others) <= {mode} else limit.mixed

    def exceeded(self, modes: Collection[Mode]) -> Mode | None:
        """The first mode of which *modes*, one for each key, has too many; None: within limits."""
        return next(
            (mode for mode, count in Counter(modes).items() if count > self.room(mode, modes)),
            None,
        )
