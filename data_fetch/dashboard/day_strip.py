"""The slots of a day as a strip: a row for each hour, a cell for each minute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from data_fetch.core.clock import IST, MINUTE
from data_fetch.dashboard.numbers import span_text
from data_fetch.reading.market_day import DaySlot, SlotState

# Readable on a light and on a dark page; what is due later has the colour of the text, faint.
COLOURS = {
    SlotState.COLLECTED: "#2e9e6b",
    SlotState.INCOMPLETE: "#e0a030",
    SlotState.MISSED: "#d64545",
    SlotState.UNRECORDED: "#8a63d2",
    SlotState.PENDING: "color-mix(in srgb, currentColor 15%, transparent)",
}
STYLE = """
<style>
.strip { display: grid; gap: 3px; max-width: 62rem; }
.strip-hour { display: grid; grid-template-columns: 2.2rem repeat(60, minmax(0, 1fr)); gap: 1px; }
.strip-hour span { font-size: .75rem; line-height: 1.1rem; opacity: .7; }
.strip-hour i { height: 1.1rem; border-radius: 1px; }
.strip-legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: .8rem; }
.strip-legend { margin-top: .4rem; }
.strip-legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; }
.strip-legend i { margin-right: .3rem; vertical-align: -1px; }
</style>
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Slots in a row that have the same state and reason."""

    slots: Sequence[DaySlot]

    @property
    def sentence(self) -> str:
        """10:12 to 10:14: 3 slots missed: the provider returned HTML."""
        first, last = self.slots[0], self.slots[-1]
        count = len(self.slots)
        when = _minute(first) if count == 1 else f"{_minute(first)} to {_minute(last)}"
        number = "1 slot" if count == 1 else f"{count} slots"
        return f"{when}: {number} {first.state}" + (f": {first.reason}" if first.reason else "")


def strip_html(slots: Sequence[DaySlot]) -> str:
    """The strip of *slots* with a legend; the tooltip of a cell says what became of its slot."""
    hours = [
        _hour_html(hour, list(found))
        for hour, found in groupby(slots, key=lambda each: each.slot.astimezone(IST).hour)
    ]
    return f"{STYLE}<div class='strip'>{''.join(hours)}</div>{_legend_html(slots)}"


def holes(slots: Sequence[DaySlot]) -> list[Stretch]:
    """The stretches of slots that are over and not completely collected, oldest first."""
    usual = {SlotState.COLLECTED, SlotState.PENDING}
    found: list[list[DaySlot]] = []
    for each in slots:
        if each.state in usual:
            continue
        if found and _continues(found[-1][-1], each):
            found[-1].append(each)
        else:
            found.append([each])
    return [Stretch(each) for each in found]


def cell_text(slot: DaySlot) -> str:
    """What became of a slot, in words."""
    words = [f"{_minute(slot)} {slot.state}"]
    if slot.requested:
        words.append(f"{slot.stored} of {slot.requested} stored")
    if slot.lag is not None:
        words.append(f"{span_text(slot.lag)} after the minute")
    return ", ".join(words) + (f": {slot.reason}" if slot.reason else "")


def _continues(before: DaySlot, slot: DaySlot) -> bool:
    same = (slot.state, slot.reason) == (before.state, before.reason)
    return same and slot.slot - before.slot == MINUTE


def _minute(slot: DaySlot) -> str:
    return f"{slot.slot.astimezone(IST):%H:%M}"


def _hour_html(hour: int, slots: Iterable[DaySlot]) -> str:
    cells = "".join(
        f"<i style='grid-column:{each.slot.astimezone(IST).minute + 2};"
        f"background:{COLOURS[each.state]}' title='{escape(cell_text(each), quote=True)}'></i>"
        for each in slots
    )
    return f"<div class='strip-hour'><span>{hour:02d}</span>{cells}</div>"


def _legend_html(slots: Sequence[DaySlot]) -> str:
    there = [state for state in SlotState if any(each.state is state for each in slots)]
    counts = {state: sum(each.state is state for each in slots) for state in there}
    items = "".join(
        f"<span><i style='background:{COLOURS[state]}'></i>{count} {state}</span>"
        for state, count in counts.items()
    )
    return f"<div class='strip-legend'>{items}</div>"
