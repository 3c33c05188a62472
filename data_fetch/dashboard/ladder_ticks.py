"""What a feed has of a ladder since the last poll of its chain, and how the page says so."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from data_fetch.core.chains.chains import OptionType, QuantityUnit
from data_fetch.dashboard.ladder import GREEKS, Ladder, Row, Side
from data_fetch.dashboard.numbers import clock_time
from data_fetch.dashboard.reasons import SHORT_NOT_SENT
from data_fetch.reading.feed_ticks import AWAY
from data_fetch.reading.option_ticks import OptionTick

# Columns that a tick has; all others are computed from the whole chain or since a baseline.
QUANTITIES = ("oi", "volume")
BOOK = ("bid", "ask")
TICKED = (*QUANTITIES, *GREEKS, *BOOK, "ltp")

Ticks = Mapping[tuple[float, OptionType], OptionTick]


@dataclass(frozen=True, slots=True)
class ChainFeed:
    """The *ticks* of a chain that was *polled* last at that instant, seen *now*."""

    ticks: Ticks
    polled: datetime
    now: datetime

    @property
    def is_away(self) -> bool:
        """Whether no tick of the chain is recent."""
        newest = max((each.received_at for each in self.ticks.values()), default=None)
        return newest is None or self.now - newest > AWAY

    def onto(self, ladder: Ladder) -> Ladder:
        """*ladder*, which is of the poll, with what was received after it."""
        columns = [
            name
            for name in TICKED
            # The feed counts shares.
            if ladder.unit is QuantityUnit.SHARES or name not in QUANTITIES
        ]

        def ticked(side: Side | None, tick: OptionTick | None) -> Side | None:
            if side is None or tick is None or tick.received_at <= self.polled:
                return side
            sent = {name: value for name in columns if (value := getattr(tick, name)) is not None}
            # A book with one side has no price on the other, whatever the poll had.
            if not sent.keys().isdisjoint(BOOK):
                sent |= {name: getattr(tick, name) for name in BOOK}
            missing = {name: SHORT_NOT_SENT for name, value in sent.items() if value is None}
            age = max(0.0, (self.now - tick.received_at).total_seconds())
            return replace(
                side,
                values={**side.values, **sent},
                unknown={**side.unknown, **missing},
                ticked=frozenset(sent),
                age=age,
            )

        def row_now(row: Row) -> Row:
            call, put = ((row.strike, OptionType.CALL), (row.strike, OptionType.PUT))
            return replace(
                row,
                call=ticked(row.call, self.ticks.get(call)),
                put=ticked(row.put, self.ticks.get(put)),
            )

        return replace(ladder, rows=tuple(map(row_now, ladder.rows)), has_feed=True)

    def words(self, ladder: Ladder) -> str:
        """What *ladder* has of the feed and what of the poll, for the line above it."""
        sides = ladder.sides
        ticked = sum(side.age is not None for side in sides)
        sources = ", ".join(sorted({each.source for each in self.ticks.values()}))
        return (
            f"Cells in colour: live feed of {sources}, {ticked} of {len(sides)} options, their age "
            "under Feed; IV and Greeks as the provider sends them. The rest, changes and all "
            f"figures above (PCR, max pain): poll of {clock_time(self.polled)}."
        )
