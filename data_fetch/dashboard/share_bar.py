"""The minutes of days by state: a bar of its shares, which add up to 100 %, and their numbers."""

from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.dashboard.cells import COLOURS, NAMES, shares
from data_fetch.dashboard.numbers import grouped

BAR = (
    '<div style="display:flex;height:10px;border-radius:3px;overflow:hidden" role="img"'
    ' aria-label="{label}">{parts}</div>'
)
PART = '<div style="background:{colour};flex:{minutes} 0 0;min-width:2px"></div>'
ENTRY = (
    '<span style="white-space:nowrap"><i style="display:inline-block;width:10px;height:10px;'
    'border-radius:2px;margin-right:5px;background:{colour}"></i>{text}</span>'
)
LEGEND = (
    '<div style="display:flex;flex-wrap:wrap;gap:2px 16px;margin-top:6px;font-size:14px">{}</div>'
)


def share_bar(counts: DayCounts, unit: str) -> str:
    """HTML of *counts* in *unit*: a plural."""
    if not counts.expected:
        return f"<div>No {unit} are expected.</div>"
    found = shares(counts)
    texts = [
        f"{NAMES[state]} {grouped(share, 2)} % ({grouped(minutes)})"
        for state, minutes, share in found
    ]
    parts = "".join(
        PART.format(colour=COLOURS[state], minutes=minutes) for state, minutes, _ in found
    )
    entries = "".join(
        ENTRY.format(colour=COLOURS[state], text=text)
        for (state, _, _), text in zip(found, texts, strict=True)
    )
    total = f"<span>of {grouped(counts.expected)} {unit}</span>"
    return BAR.format(label="; ".join(texts), parts=parts) + LEGEND.format(entries + total)
