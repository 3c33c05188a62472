"""On which days a stock takes part in the closing auction, as far as it is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a stock is *eligible* from *since* on, the date of the first master that had it so.

    *unseen_from*: the store has no master of the days from there to *since*, so that the change may
    have been on any of them; None when it has none of any earlier day.
    """

    since: date
    eligible: bool
    unseen_from: date | None = None


@dataclass(frozen=True, slots=True)
class AuctionHistory:
    """The eligibility of one stock over time.

    *masters*: the changes in the instrument masters, oldest first. *candles*: the days on which
    its candles show otherwise.
    """

    masters: tuple[Eligibility, ...] = ()
    candles: tuple[tuple[date, bool], ...] = ()
    _by_day: dict[date, bool] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_day", dict(self.candles))

    def on(self, day: date) -> bool | None:
        """Whether it is eligible on *day*: by its candles, else by the master in force then.

        Before the first master as in the first one; None without any.
        """
        shown = self._by_day.get(day)
        if shown is not None:
            return shown
        if not self.masters:
            return None
        in_force = [one for one in self.masters if one.since <= day] or self.masters[:1]
        return in_force[-1].eligible

    def seen(self, day: date) -> bool:
        """Whether a master shows it for *day*; if not, `on` is an assumption."""
        if not self.masters or day < self.masters[0].since:
            return False
        return not any(
            one.unseen_from is not None and one.unseen_from <= day < one.since
            for one in self.masters
        )

    def with_candles(self, shown: Mapping[date, bool]) -> "AuctionHistory":
        """The history after the candles of these days were seen."""
        return replace(self, candles=tuple(sorted({**self._by_day, **shown}.items())))


NO_AUCTION_HISTORY = AuctionHistory()
