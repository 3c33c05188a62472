"""Coverage: which minutes of which days are stored, and what to do about the others."""

from datetime import date, datetime, timedelta

import streamlit as st

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.day_counts import DayCounts, summed
from data_fetch.core.clock import IST
from data_fetch.core.market.session import midnight_number
from data_fetch.dashboard.backfills import Selection, plan_of
from data_fetch.dashboard.cell_grid import Corners, cell_grid, month_heads
from data_fetch.dashboard.cells import NAMES, Cells, day_cells, minute_cells, shares
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.numbers import UNKNOWN, day_and_time, grouped
from data_fetch.dashboard.page import note_age
from data_fetch.reading.coverage_days import CoverageGrid, DayRange, coverage_grid, ledger_head
from data_fetch.reading.coverage_minutes import MinuteFacts, day_minutes
from data_fetch.reading.instants import ist_text
from data_fetch.reading.records import clock_of

RANGES = (15, 30, 60, 90, 120)
USUAL_DAYS = 60
FIVES = 5
INTERVALS = {CandleInterval.MINUTE: "minutes", CandleInterval.DAY: "day candles"}


def show() -> None:
    st.title("Coverage")
    of = _range()
    grid, cells = _grid(of, desk().ask(lambda settings: ledger_head(settings, of)))
    note_age(
        f"coverage ledger, {desk().settings.world} world",
        day_and_time(grid.now),
        f"last change {day_and_time(grid.changed)}",
        _completeness(grid.totals),
    )
    if not cells.columns:
        st.info(f"Nothing trades from {grid.first} to {grid.last}. Choose other days.")
        return
    corners = cell_grid(
        cells, month_heads(cells.columns), "Coverage: instruments by days", _asked(cells), "days"
    )
    _shares(grid.totals)
    if corners is None:
        st.caption("Select a day with a click, or arrow keys and Enter; several by dragging.")
        return
    _remember(corners)
    selection = selection_on(cells, corners, of.interval)
    _selected(grid, selection)


def _range() -> DayRange:
    """What the controls say, at first by the query parameters."""
    asked = st.query_params
    days, until, interval = st.columns([1, 1, 1])
    known = {str(number): number for number in RANGES}
    number = days.selectbox(
        "Days", RANGES, index=RANGES.index(known.get(asked.get("days", ""), USUAL_DAYS))
    )
    today = desk().ask(clock_of).now().astimezone(IST).date()
    last = until.date_input("Up to", value=_date(asked.get("until")) or today, max_value=today)
    names = list(INTERVALS)
    wanted = [each for each in names if each.value == asked.get("interval")]
    chosen = interval.selectbox(
        "Of",
        names,
        index=names.index(wanted[0]) if wanted else 0,
        format_func=lambda each: INTERVALS[each],
    )
    end = last if isinstance(last, date) else today
    asked.update({"days": str(number), "until": end.isoformat(), "interval": chosen.value})
    return DayRange(interval=chosen, first=end - timedelta(days=number - 1), last=end)


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


@st.cache_resource(max_entries=20, show_spinner=False)
def _grid(of: DayRange, head: tuple[datetime | None, datetime]) -> tuple[CoverageGrid, Cells]:
    """The answer of that head, shared by all sessions."""
    grid = desk().ask(lambda settings: coverage_grid(settings, of))
    return grid, day_cells(grid)


def _completeness(counts: DayCounts) -> str:
    if not counts.expected:
        return "nothing expected"
    share = 100 * counts.present / counts.expected
    return f"{grouped(share, 2)} % of {grouped(counts.expected)} present"


def _asked(cells: Cells) -> Corners | None:
    """The selection of the query parameters, as far as it is on the grid."""
    asked = st.query_params
    first = asked.get("symbol", ""), asked.get("day", "")
    last = asked.get("to_symbol", first[0]), asked.get("to_day", first[1])
    there = all(row in cells.rows and column in cells.columns for row, column in (first, last))
    return (first, last) if there else None


def _remember(corners: Corners) -> None:
    (first, since), (last, until) = corners
    st.query_params.update({"symbol": first, "day": since, "to_symbol": last, "to_day": until})


def selection_on(cells: Cells, corners: Corners, interval: CandleInterval) -> Selection:
    """The instruments and days between *corners* on the grid of *cells*."""
    (first, since), (last, until) = corners
    rows = list(cells.rows)
    return Selection(
        symbols=tuple(rows[rows.index(first) : rows.index(last) + 1]),
        interval=interval,
        first=date.fromisoformat(since),
        last=date.fromisoformat(until),
    )


def counts_in(grid: CoverageGrid, selection: Selection) -> DayCounts:
    """The minutes of the selected days together, by state."""
    days = (
        day.counts
        for row in grid.rows
        if row.instrument.symbol in selection.symbols
        for day in row.days
        if selection.first <= day.date <= selection.last
    )
    return summed([DayCounts(), *days])


def _shares(counts: DayCounts) -> None:
    """Minutes by state, with percentages that add up to 100."""
    found = shares(counts) if counts.expected else []
    for place, (state, minutes, share) in zip(st.columns(max(1, len(found))), found, strict=False):
        place.metric(NAMES[state], f"{grouped(share, 2)} %", help=f"{grouped(minutes)} minutes")


def _selected(grid: CoverageGrid, selection: Selection) -> None:
    one = len(selection.symbols) == 1
    names = selection.symbols[0] if one else f"{len(selection.symbols)} instruments"
    alone = one and selection.first == selection.last
    days = f"{selection.first:%d %b %Y}" + ("" if alone else f" to {selection.last:%d %b %Y}")
    st.subheader(f"{names}, {days}")
    counts = counts_in(grid, selection)
    _shares(counts)
    if alone and selection.interval is CandleInterval.MINUTE:
        _minutes(selection.symbols[0], selection.first)
    _backfill(selection, counts)


def _minutes(symbol: str, day: date) -> None:
    found = desk().ask(lambda settings: day_minutes(settings, symbol, day))
    if found.coverage is None:
        return
    cells = minute_cells(found.coverage)
    heads = [name if int(name) % FIVES == 0 else "" for name in cells.columns]
    chosen = cell_grid(cells, heads, f"Minutes of {symbol} on {day}", None, f"{symbol} {day}")
    known = found.coverage
    st.caption(
        f"{grouped(known.attempts)} requests covered the day · "
        f"the last one {day_and_time(known.last_attempt)} · "
        f"the next one not before {day_and_time(known.next_attempt)} · "
        f"last error {known.last_error or UNKNOWN}"
    )
    if chosen is not None:
        (hour, minute), _ = chosen
        number = midnight_number(day) + int(hour) * 60 + int(minute)
        facts = found.facts(number)
        st.write(
            f"**{hour}:{minute}** "
            + ("nothing is expected." if facts is None else minute_text(facts))
        )


def minute_text(facts: MinuteFacts) -> str:
    """What is known of a minute, its request and its run, in sentences."""
    parts = [f"is {NAMES[facts.state]}."]
    if (origin := facts.origin) is not None:
        sort = "confirmed" if origin.is_final else "provisional"
        parts.append(
            f"Its {sort} candle came from {origin.source} at {ist_text(origin.fetched_at)}."
        )
        run_id = origin.run_id
    elif facts.proof is not None:
        parts.append(f"Proved by {facts.proof.by} at {ist_text(facts.proof.at)}.")
        run_id = facts.proof.run_id
    else:
        parts.append("No request has proved anything of it.")
        return " ".join(parts)
    run = facts.run
    if run is None:
        parts.append(f"Run `{run_id}`.")
    else:
        parts.append(
            f"Run `{run_id}`: {run.job}, begun {ist_text(run.started_at)}, "
            f"{grouped(run.requests)} requests, {run.outcome}."
        )
    return " ".join(parts)


def _backfill(selection: Selection, counts: DayCounts) -> None:
    lacking = counts.expected - counts.present - counts.no_trade - counts.pending
    if not lacking:
        st.success("Nothing of the selection can be fetched: it is complete.")
        return
    plan = plan_of(selection, desk().settings.folder)
    st.write(plan_text(plan))
    st.code(selection.command, language="bash")


def plan_text(plan: dict[str, object]) -> str:
    """The requests, the minutes and the end of a plan in a sentence."""
    return (
        f"{plan['requests']} requests for {plan['minutes']} minutes, until {plan['finishes_at']}."
    )
