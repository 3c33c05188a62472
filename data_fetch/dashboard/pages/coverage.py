"""Coverage: which minutes of which days are stored, and what to do about the others."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import streamlit as st

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.day_counts import DayCounts, summed
from data_fetch.core.clock import IST
from data_fetch.core.market.session import midnight_number
from data_fetch.dashboard.backfills import Backfills, Selection, plan_of, progress_of
from data_fetch.dashboard.cell_grid import Corners, cell_grid, month_heads
from data_fetch.dashboard.cells import Cells, day_cells, minute_cells
from data_fetch.dashboard.coverage_texts import (
    completeness_text,
    day_text,
    minute_text,
    plan_text,
    progress_text,
    report_text,
    selection_text,
)
from data_fetch.dashboard.desk import desk
from data_fetch.dashboard.downloads import offer
from data_fetch.dashboard.ledger_heads import head_of_ledger
from data_fetch.dashboard.numbers import day_and_time
from data_fetch.dashboard.page import asked_date, live, note_age, note_refusal
from data_fetch.dashboard.permission import control_refusal, refuse_control
from data_fetch.dashboard.share_bar import share_bar
from data_fetch.reading.coverage_days import (
    Coverage,
    CoverageGrid,
    DayRange,
    LedgerHead,
    coverage,
    coverage_grid,
)
from data_fetch.reading.coverage_gaps import Gaps, gaps
from data_fetch.reading.coverage_minutes import day_minutes
from data_fetch.reading.records import clock_of
from data_fetch.reading.run_records import last_runs

RANGES = (15, 30, 60, 90, 120)
USUAL_DAYS = 60
INTERVALS = {CandleInterval.MINUTE: "minutes", CandleInterval.DAY: "day candles"}
NAMED_MINUTE = 5
EVERY_SECONDS, PROGRESS_SECONDS = 5.0, 1.0
# Runs of backfills among which that of a process is looked for.
RECENT_RUNS = 20


def show() -> None:
    st.title("Coverage")
    of = _range()
    live(partial(_coverage, of), EVERY_SECONDS)


def _range() -> DayRange:
    """What the controls say, at first by the query parameters."""
    asked = st.query_params
    days, until, interval = st.columns(3)
    known = {str(number): number for number in RANGES}
    number = days.selectbox(
        "Days", RANGES, index=RANGES.index(known.get(asked.get("days", ""), USUAL_DAYS))
    )
    today = desk().ask(clock_of).now().astimezone(IST).date()
    end = until.date_input("Up to", value=min(asked_date("until") or today, today), max_value=today)
    names = list(INTERVALS)
    wanted = [each for each in names if each.value == asked.get("interval")]
    chosen = interval.selectbox(
        "Candles of",
        names,
        index=names.index(wanted[0]) if wanted else 0,
        format_func=lambda each: INTERVALS[each],
    )
    asked.update({"days": str(number), "until": end.isoformat(), "interval": chosen.value})
    return DayRange(interval=chosen, first=end - timedelta(days=number - 1), last=end)


def _coverage(of: DayRange) -> None:
    """The part of the page that follows the ledger."""
    head = head_of_ledger(of)
    grid, cells = _grid(of, head)
    unit = INTERVALS[of.interval]
    note_age(
        f"coverage ledger, {desk().settings.world} world",
        day_and_time(grid.now),
        f"last change {day_and_time(grid.changed)}",
        completeness_text(grid.totals, unit),
    )
    if not cells.columns:
        st.info(f"Nothing trades from {grid.first} to {grid.last}. Choose other days.")
        return
    st.html(share_bar(grid.totals, unit))
    corners = cell_grid(
        cells, month_heads(cells.columns), "Coverage: instruments by days", _asked(cells), "days"
    )
    if corners is None or not _on(cells, corners):
        _note_not_shown(cells)
        _offer("Coverage", coverage, grid)
        st.caption(
            "Select a day with a click or with arrow keys and Enter; several days with the mouse "
            "drawn over them or with Shift and arrow keys."
        )
        return
    _remember(corners)
    _selected(grid, selection_on(cells, corners, of.interval), head)


@st.cache_resource(max_entries=20, show_spinner=False)
def _grid(of: DayRange, head: LedgerHead) -> tuple[CoverageGrid, Cells]:
    """The answer of that head, shared by all sessions."""
    grid = desk().ask(lambda settings: coverage_grid(settings, of))
    return grid, day_cells(grid)


def _asked(cells: Cells) -> Corners | None:
    """The selection of the query parameters, as far as it is on the grid."""
    asked = st.query_params
    first = asked.get("symbol", ""), asked.get("day", "")
    last = asked.get("to_symbol", first[0]), asked.get("to_day", first[1])
    return (first, last) if _on(cells, (first, last)) else None


def _note_not_shown(cells: Cells) -> None:
    """The sentence for a selection of the query parameters that is not on the grid."""
    asked = st.query_params
    named = [asked[name] for name in ("symbol", "day", "to_symbol", "to_day") if name in asked]
    if named and _asked(cells) is None:
        st.warning(
            f"The address names {', '.join(named)}, which is not among these instruments and days. "
            "Choose other days above, or select a day."
        )


def _on(cells: Cells, corners: Corners) -> bool:
    return all(row in cells.rows and column in cells.columns for row, column in corners)


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


def _selected(grid: CoverageGrid, selection: Selection, head: LedgerHead) -> None:
    unit = INTERVALS[selection.interval]
    st.subheader(selection_text(selection))
    counts = counts_in(grid, selection)
    st.html(share_bar(counts, unit))
    alone = len(selection.symbols) == 1 and selection.first == selection.last
    if alone and selection.interval is CandleInterval.MINUTE:
        _minutes(selection.symbols[0], selection.first)
    _offer("Gaps", gaps, selection, selection.symbols)
    backfills = _backfills()
    if backfills.last is not None:
        live(partial(_progress, backfills), PROGRESS_SECONDS)
    if backfills.last is None or not backfills.last.child.running:
        _plan(selection, counts, head, grid.now)


def _offer(
    what: str,
    question: Callable[..., Coverage | Gaps],
    of: CoverageGrid | Selection,
    symbols: tuple[str, ...] = (),
) -> None:
    """The table that answers *question* of these days as files."""
    offer(
        what,
        f"{what.lower()}-{of.first}-{of.last}",
        lambda: desk().ask(
            lambda settings: (
                question(symbols, of.first, of.last, interval=of.interval, settings=settings).table
            )
        ),
    )


def _minutes(symbol: str, day: date) -> None:
    """The strip of a day, and the minute that is chosen on it."""
    found = desk().ask(lambda settings: day_minutes(settings, symbol, day))
    if found.coverage is None:
        return
    cells = minute_cells(found.coverage)
    heads = [name if int(name) % NAMED_MINUTE == 0 else "" for name in cells.columns]
    chosen = cell_grid(cells, heads, f"Minutes of {symbol} on {day}", None, f"{symbol} {day}")
    if chosen is None:
        st.caption(day_text(found.coverage))
        return
    (hour, minute), _ = chosen
    number = midnight_number(day) + int(hour) * 60 + int(minute)
    st.caption(f"**{hour}:{minute}** {minute_text(found.facts(number))}")


@st.cache_resource(show_spinner=False)
def _backfills() -> Backfills:
    """Those of this dashboard."""
    return Backfills()


def _plan(selection: Selection, counts: DayCounts, head: LedgerHead, now: datetime) -> None:
    """What a backfill of the selection takes, and what starts it."""
    if counts.present + counts.no_trade + counts.pending == counts.expected:
        st.caption("Nothing of this selection can be fetched.")
        return
    # It stays the same while nothing is requested; its end is shown as of now.
    plan = _planned(selection, head.changed, head.attempts)
    st.write(plan_text(plan, now, INTERVALS[selection.interval]))
    refusal = control_refusal()
    if refusal is not None:
        note_refusal(refusal, selection.command)
        return
    with st.container(horizontal=True):
        if plan["requests"] and st.button("Start backfill", type="primary"):
            _start(selection)
        if plan["held_back"] and st.button("Retry failed"):
            _start(selection, "--retry-failed")


@st.cache_resource(max_entries=50, show_spinner="Planning the requests")
def _planned(selection: Selection, changed: datetime | None, attempts: int) -> dict[str, Any]:
    return plan_of(selection, desk().settings.folder)


def _start(selection: Selection, *more: str) -> None:
    refuse_control()
    _backfills().start(selection, desk().settings.folder, *more)
    st.rerun()


def _progress(backfills: Backfills) -> None:
    """The backfill that was started last: how far it is, or how it has ended."""
    last = backfills.last
    if last is None:
        return
    running = last.child.running
    if _has_ended(running):
        # The rest of the page is about a store that this backfill has changed.
        st.rerun()
    title = f"Backfill of {selection_text(last.selection)}"
    if running:
        runs = desk().ask(lambda settings: last_runs(settings, "backfill", RECENT_RUNS))
        progress = progress_of(last.child.process.pid, runs)
        st.progress(progress.share if progress else 0.0, f"{title}: {progress_text(progress)}")
        if control_refusal() is None and st.button("Pause"):
            refuse_control()
            backfills.pause()
        return
    report = last.child.report
    st.write(f"{title}. {report_text(report, INTERVALS[last.selection.interval])}")
    if report["missed"] and control_refusal() is None:
        with st.container(horizontal=True):
            if st.button("Resume"):
                _start(last.selection)
            if st.button("Retry failed", key="retry-last"):
                _start(last.selection, "--retry-failed")


def _has_ended(running: bool) -> bool:
    """Whether the backfill was running when this session looked last."""
    before = st.session_state.get("backfill_running", False)
    st.session_state["backfill_running"] = running
    return before and not running
