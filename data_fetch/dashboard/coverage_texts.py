"""What the coverage page says: of a selection, of a minute, of a plan and of a backfill."""

from datetime import datetime, timedelta
from typing import Any

from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.clock import IST
from data_fetch.dashboard.backfills import Progress, Selection
from data_fetch.dashboard.cells import NAMES, shares
from data_fetch.dashboard.numbers import clock_time, day_and_time, grouped
from data_fetch.reading.coverage_minutes import MinuteFacts


def counted(number: int, one: str) -> str:
    """1 request, 2 requests, 1,23,456 requests."""
    return f"{grouped(number)} {one}" + ("" if number == 1 else "s")


def completeness_text(counts: DayCounts, unit: str) -> str:
    """How much of *counts* is present, in *unit*: a plural."""
    if not counts.expected:
        return "nothing expected"
    share = next((share for state, _, share in shares(counts) if state is State.PRESENT), 0.0)
    return f"{grouped(share, 2)} % of {grouped(counts.expected)} {unit} present"


def selection_text(selection: Selection) -> str:
    """Which instruments and days are selected."""
    names = (
        selection.symbols[0]
        if len(selection.symbols) == 1
        else counted(len(selection.symbols), "instrument")
    )
    first, last = f"{selection.first:%d %b %Y}", f"{selection.last:%d %b %Y}"
    return f"{names}, {first}" if first == last else f"{names}, {first} to {last}"


def day_text(day: DayCoverage) -> str:
    """The requests that covered a day."""
    if not day.attempts:
        return "No request covered this day yet."
    parts = [
        f"{counted(day.attempts, 'request')} covered this day",
        f"the last one {day_and_time(day.last_attempt)}",
    ]
    if day.next_attempt is not None:
        parts.append(f"the next one not before {day_and_time(day.next_attempt)}")
    if day.last_error is not None:
        parts.append(f"last error: {day.last_error}")
    return " · ".join(parts)


def minute_text(facts: MinuteFacts | None) -> str:
    """What is known of a minute: its state, the request that shows it, and its run."""
    if facts is None:
        return "nothing is expected."
    parts = [f"{NAMES[facts.state]}."]
    if (origin := facts.origin) is not None:
        sort = "confirmed" if origin.is_final else "provisional"
        parts.append(
            f"{origin.source} sent it, received {day_and_time(origin.fetched_at)}; {sort}."
        )
        run_id = origin.run_id
    elif facts.proof is not None:
        parts.append(f"Proof: {facts.proof.by}, {day_and_time(facts.proof.at)}.")
        run_id = facts.proof.run_id
    else:
        return parts[0] + " No response says anything of it."
    if (run := facts.run) is None:
        parts.append(f"Run {run_id}.")
    else:
        parts.append(
            f"Run {run_id}: {run.job}, begun {day_and_time(run.started_at)}, "
            f"{counted(run.requests, 'request')}, {run.outcome}."
        )
    return " ".join(parts)


def plan_text(plan: dict[str, Any], now: datetime, unit: str) -> str:
    """The requests, the minutes and the end of *plan*, were it started *now*."""
    if plan["requests"]:
        end = now + timedelta(seconds=plan["seconds"])
        day = "" if end.astimezone(IST).date() == now.astimezone(IST).date() else f"{end:%d %b} "
        text = (
            f"The plan: {counted(plan['requests'], 'request')} for {grouped(plan['minutes'])} "
            f"{unit}. Started now, the rate limits allow the last one at "
            f"{day}{clock_time(end)} IST."
        )
    else:
        text = "The plan: nothing to request."
    if plan["held_back"]:
        due = day_and_time(datetime.fromisoformat(plan["next_attempt"]))
        text += (
            f" {counted(plan['held_back'], 'day')} requested before and still incomplete; the next "
            f"attempt is due {due}. To request now: retry failed."
        )
    return text


def progress_text(progress: Progress | None) -> str:
    """How far a running backfill is."""
    if progress is None:
        return "The backfill is starting."
    return (
        f"{grouped(progress.done)} of {counted(progress.windows, 'request')} done, "
        f"{counted(progress.stored, 'candle')} stored."
    )


def report_text(report: dict[str, Any], unit: str) -> str:
    """How a backfill has ended."""
    done, windows = report["windows_done"], report["windows"]
    parts = [
        f"Backfill {report['outcome']} (run {report['run_id']}): "
        f"{counted(report['requests'], 'request')}, "
        f"{counted(report['stored'], 'candle')} stored, "
        f"{grouped(report['missed'])} {unit} still missing."
    ]
    if report["stopped_by"]:
        parts.append(f"Stopped: {report['stopped_by']}")
    elif done < windows:
        parts.append(f"Paused after {done} of {counted(windows, 'request')}: resume it.")
    parts += [f"{symbol}: {reason}." for symbol, reason in report["reasons"].items()]
    return " ".join(parts)
