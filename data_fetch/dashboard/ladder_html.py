"""The ladder as an HTML table: mirrored bars, a head that stays, lines at the spot and max pain.

It is sent on every refresh, so tags that HTML closes by itself are not closed, and bars are
lengths in one style sheet that is sent once.
"""

from collections.abc import Iterable, Sequence
from html import escape

from data_fetch.dashboard.ladder import COLUMNS, Ladder, Row, Side, texts
from data_fetch.dashboard.numbers import UNKNOWN, age_text, grouped

BARS = ("oi", "oi_change")
MEANINGS = {
    "ATM": "at the money: nearest to the forward",
    "MP": "max pain: writers pay least if it closes here",
    "R": "resistance: most open interest of calls",
    "S": "support: most open interest of puts",
}
FEED, POLL = "Feed", "poll"
FEED_MEANING = (
    "how long ago the feed sent the cells in colour; poll: all cells are of the last poll"
)
STYLE = """<style>
.ladder{width:100%;border-collapse:separate;border-spacing:0;font-size:.8rem;line-height:1.35;
 font-variant-numeric:tabular-nums;color:inherit;color-scheme:inherit;margin:0}
.ladder td,.ladder th{padding:.12rem .4rem;text-align:right;white-space:nowrap;font-weight:400;
 border:0;border-bottom:1px solid rgba(128,128,128,.16)}
.ladder td{--c:rgba(226,88,88,.38)}
.ladder th~td{--c:rgba(38,166,120,.38);text-align:left}
.ladder td.u{--c:rgba(66,133,244,.42)}
.ladder td.d{--c:rgba(245,158,11,.42)}
.ladder td[style]{background-image:linear-gradient(to left,var(--c) var(--b),transparent 0)}
.ladder th~td[style]{background-image:linear-gradient(to right,var(--c) var(--b),transparent 0)}
.ladder tr.c td,.ladder tr.p th~td{background-color:rgba(250,204,21,.09)}
.ladder tr.c th~td{background-color:transparent}
.ladder thead{position:sticky;top:-1rem;z-index:2}
.ladder thead th{background:light-dark(#fff,#171614);font-weight:600;cursor:help}
.ladder thead tr:first-child th{text-align:center}
.ladder thead tr:last-child th.k~th{text-align:left}
.ladder tbody th,.ladder thead th.k{position:sticky;left:-1rem;right:-1rem;z-index:1;
 text-align:center;
 font-weight:600;background:light-dark(#f3f1ee,#2b2926)}
.ladder tbody th b{margin-left:.3rem;padding:0 .25rem;border-radius:.25rem;font-size:.65rem;
 background:rgba(128,128,128,.3)}
.ladder tr.a th,.ladder tr.a td{border-top:1px solid currentColor;border-bottom-color:currentColor}
.ladder tr.m th,.ladder tr.m td{border-bottom:2px dashed #a855f7}
.ladder tr.s td{text-align:center;padding:0;font-size:.7rem;border-bottom:2px solid #3b82f6;
 color:light-dark(#1d4ed8,#93c5fd)}
.ladder tr.s span{position:sticky;left:0;right:0}
.ladder td[title]{opacity:.6;cursor:help}
.ladder td.l{color:light-dark(#0f766e,#5eead4);font-weight:600}
.ladder td.f{min-width:3.2rem;opacity:.8}
</style>"""


def ladder_html(ladder: Ladder, columns: Sequence[str]) -> str:
    """The table with these *columns* on either side, the first one outermost."""
    longest = {name: _longest(ladder.sides, name) for name in BARS}
    parts = [_head(ladder, columns), "<tbody>"]
    width = 2 * (len(columns) + ladder.has_feed) + 1
    spot, below = ladder.spot, False
    for row in ladder.rows:
        if spot is not None and below and row.strike >= spot:
            at_spot = f"<span>spot {grouped(spot, 2)}</span>"
            parts.append(f"<tr class=s><td colspan={width}>{at_spot}")
        below = spot is not None and row.strike < spot
        parts.append(_row(row, columns, ladder, longest))
    return "".join([*parts, "</table>"])


def _head(ladder: Ladder, columns: Sequence[str]) -> str:
    named = [(COLUMNS[name].title, COLUMNS[name].meaning) for name in columns]
    if ladder.has_feed:
        named.append((FEED, FEED_MEANING))
    titles = [
        f'<th scope=col title="{escape(meaning)}">{escape(title)}' for title, meaning in named
    ]
    return (
        "<table class=ladder aria-label='calls, strikes and puts'><thead>"
        f"<tr><th colspan={len(named)}>Calls<th class=k><th colspan={len(named)}>Puts"
        f"<tr>{''.join(titles)}<th class=k scope=col>Strike{''.join(reversed(titles))}"
    )


def _row(row: Row, columns: Sequence[str], ladder: Ladder, longest: dict[str, float]) -> str:
    spot = ladder.spot
    classes = [
        *(["c"] if spot is not None and row.strike < spot else []),
        *(["p"] if spot is not None and row.strike > spot else []),
        *(["a"] if "ATM" in row.marks else []),
        *(["m"] if "MP" in row.marks else []),
    ]
    marks = (f'<b title="{escape(MEANINGS[mark])}">{mark}</b>' for mark in row.marks)
    strike = grouped(row.strike, 0 if row.strike.is_integer() else 2)
    calls, puts = (
        [*_cells(side, columns, longest), *([_age(side)] if ladder.has_feed else [])]
        for side in (row.call, row.put)
    )
    return (
        f'<tr class="{" ".join(classes)}">{"".join(calls)}'
        f"<th scope=row>{strike}{''.join(marks)}{''.join(reversed(puts))}"
    )


def _cells(side: Side | None, columns: Sequence[str], longest: dict[str, float]) -> Iterable[str]:
    if side is None:
        return ['<td title="not listed">' + UNKNOWN] * len(columns)
    return [
        f'<td title="{escape(side.unknown[name])}">{UNKNOWN}'
        if text is None
        else f"<td{_look(side, name, longest)}>{escape(text)}"
        for name, text in zip(columns, texts(side, columns), strict=True)
    ]


def _age(side: Side | None) -> str:
    if side is None:
        return "<td>"
    return f"<td class=f>{POLL if side.age is None else age_text(side.age)}"


def _look(side: Side, name: str, longest: dict[str, float]) -> str:
    """The colour and the bar of a cell."""
    value = side.values[name] if name in longest else None
    colour = " class=l" if name in side.ticked else ""
    if not value:
        return colour
    if name == "oi_change":
        colour = " class=u" if value > 0 else " class=d"
    return f"{colour} style=--b:{abs(value) / longest[name]:.0%}"


def _longest(sides: Sequence[Side], name: str) -> float:
    """The largest size of a value on either side; 1 where there is none."""
    return max((abs(side.values[name] or 0) for side in sides), default=0) or 1
