"""What the page System says: records of `reading` as words, rows and a figure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

from data_fetch.core.alerts import AlertState
from data_fetch.core.archive.days import DayState
from data_fetch.core.runs import SyncRun
from data_fetch.dashboard.numbers import UNKNOWN, brief_time, day_and_time, grouped
from data_fetch.dashboard.page import Rows
from data_fetch.reading.archive_status import ArchiveStatus
from data_fetch.reading.frames import rows_table
from data_fetch.reading.job_figures import CollectorState
from data_fetch.reading.log_lines import LogLine
from data_fetch.reading.setup_checks import Check, State
from data_fetch.reading.store_growth import DayGrowth

SIGNS: Mapping[State, str] = {State.OK: "✓", State.WARNING: "⚠", State.FAILED: "✗"}
SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
# Of jobs, on a light and on a dark ground; none of those that mean a loss.
COLORS = ("#3d9970", "#3a86d8", "#8f5fd0", "#26a6b8", "#c9b458", "#8a8f98", "#d98fb8", "#4a5fb8")
RUN_COLUMNS = {
    "run_id": "text", "job": "text", "slot": "instant", "started_at": "instant",
    "finished_at": "instant", "outcome": "text", "requested": "int", "stored": "int",
    "requests": "int", "error": "text",
}  # fmt: skip


def bytes_text(size: int) -> str:
    """A size in decimal units: 7.0 MB."""
    for unit, name in SIZES:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def collector_sentence(state: CollectorState) -> str:
    """Whether a collector runs, and what to do when none does."""
    if state.runs:
        return f"A collector is running ({state.leader})."
    last = f" The last one was {state.leader}." if state.leader else ""
    return f"No collector is running.{last} Start one: `data-fetch run`"


def job_rows(state: CollectorState) -> Rows:
    """A row for each job: today's runs, rows and requests, the last end, and when it is due."""
    return [
        {
            "job": each.name,
            "runs today": ", ".join(
                f"{grouped(count)} {outcome}" for outcome, count in each.outcomes.items()
            )
            or UNKNOWN,
            "rows": grouped(each.stored),
            "requests": grouped(each.requests),
            "last ended": brief_time(each.last_ended),
            "next due": brief_time(each.next_due),
        }
        for each in state.jobs
    ]


def run_rows(runs: Iterable[SyncRun]) -> Rows:
    """A row for each run."""
    return [
        {
            "ended": brief_time(each.finished_at),
            "job": each.job,
            "slot": brief_time(each.due_slot),
            "outcome": each.outcome.value,
            "rows": grouped(each.stored),
            "requests": grouped(each.requests),
            "took": f"{(each.finished_at - each.started_at).total_seconds():.2f} s",
            "error": each.error or "",
        }
        for each in runs
    ]


def run_table(runs: Iterable[SyncRun]) -> pa.Table:
    """The runs for a file, a row each."""
    rows = [
        {
            "run_id": each.run_id,
            "job": each.job,
            "slot": each.due_slot,
            "started_at": each.started_at,
            "finished_at": each.finished_at,
            "outcome": each.outcome.value,
            "requested": each.requested,
            "stored": each.stored,
            "requests": each.requests,
            "error": each.error,
        }
        for each in runs
    ]
    return rows_table(rows, RUN_COLUMNS)


def growth_figure(days: Sequence[DayGrowth]) -> go.Figure:
    """Rows stored on each day, a stacked bar for each job."""
    jobs = dict.fromkeys(job for day in days for job in day.stored)
    names = [f"{day.day:%d %b}" for day in days]
    figure = go.Figure(
        [
            go.Bar(
                name=job,
                x=names,
                y=[day.stored.get(job, 0) for day in days],
                customdata=[grouped(day.stored.get(job, 0)) for day in days],
                marker={"color": color},
                hovertemplate="%{x}: %{customdata} rows of " + job + "<extra></extra>",
            )
            for job, color in zip(jobs, cycle(COLORS), strict=False)
        ]
    )
    figure.update_layout(
        barmode="stack",
        height=260,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        xaxis={"type": "category"},
    )
    return figure


def archive_sentence(archive: ArchiveStatus) -> str:
    """Where the archive is, and how much room is left."""
    state = "" if archive.enabled else " It is switched off (ARCHIVE_ENABLED)."
    return f"{archive.folder}, {bytes_text(archive.free_bytes)} free on its disk.{state}"


def archive_rows(archive: ArchiveStatus) -> Rows:
    """A row for each dataset: days in the store and in files, and the size of those."""
    return [
        {
            "dataset": each.dataset.value,
            "days in the store": grouped(each.stored),
            "oldest": f"{each.oldest_stored:%d %b %Y}" if each.oldest_stored else UNKNOWN,
            "days in files": ", ".join(
                f"{grouped(each.states[state])} {state.value}"
                for state in DayState
                if each.states.get(state)
            )
            or UNKNOWN,
            "rows in files": grouped(each.rows),
            "size": bytes_text(each.size_bytes),
        }
        for each in archive.datasets
    ]


def check_line(check: Check) -> str:
    """What a check found, and the fix."""
    fix = f" {check.hint}" if check.hint else ""
    return f"{SIGNS[check.state]} **{check.name}**: {check.message}.{fix}"


def alert_line(alert: AlertState) -> str:
    """What is wrong, since when, and what to do."""
    return f"**{alert.rule}** since {day_and_time(alert.since)}: {alert.title}. {alert.action}"


def log_row(line: LogLine) -> dict[str, str]:
    """A log line as a row; its fields as name=value."""
    return {
        "at": brief_time(line.at),
        "service": line.service,
        "level": line.level,
        "event": line.event,
        "fields": ", ".join(f"{name}={_short(value)}" for name, value in line.fields.items()),
    }


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
