"""`data-fetch backfill`: fetch missing candles."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from threading import Event, Thread
from types import FrameType

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from data_fetch.cli.shared.calendar_lines import remark_on_provisional
from data_fetch.cli.shared.output import (
    INCOMPLETE,
    REFUSED,
    RemarksOnly,
    clock_time,
    counted,
    emit,
    json_option,
    print_out,
    remark,
)
from data_fetch.cli.shared.range_options import options_text, range_options
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.failures import FailureGroup
from data_fetch.core.runs import Outcome
from data_fetch.core.settings import Settings
from data_fetch.reading.coverage_days import DEFAULT_DAYS, DayRange
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.one_off import BackfillParts, backfill_for
from data_fetch.runtime.units import offered_to
from data_fetch.services.backfill_report import BackfillReport, Outage
from data_fetch.services.backfill_report import Progress as BackfillProgress
from data_fetch.services.backfill_run import BackfillPlan
from data_fetch.services.missing_days import BackfillOrder

# People read the plan.
LISTINGS_SHOWN = 5
EXIT = {Outcome.COMPLETED: 0, Outcome.INCOMPLETE: INCOMPLETE, Outcome.FAILED: REFUSED}


@click.command()
@range_options
@click.option("--all", "everything", is_flag=True, help="The whole universe; this is the default.")
@click.option(
    "--days", type=click.IntRange(1), help=f"The last so many days [default: {DEFAULT_DAYS}]."
)
@click.option("--plan", "only_plan", is_flag=True, help="Print the requests it takes; send none.")
@click.option(
    "--retry-failed", is_flag=True, help="Request again although the next attempt is not due yet."
)
@click.option(
    "--distributed", is_flag=True, help="Leave the requests to `data-fetch worker`; send none."
)
@json_option
def command(
    wanted: DayRange,
    everything: bool,
    days: int | None,
    only_plan: bool,
    retry_failed: bool,
    distributed: bool,
    as_json: bool,
) -> None:
    """Fetch the candles that are missing in the coverage ledger.

    Settled days are not requested again, so an interrupted run is just started again. Ctrl-C and
    SIGTERM let the requests in flight finish.
    Exit status 3 when minutes are still missing or one of several symbols is not known, 4 when the
    provider refused everything.
    """
    if everything and wanted.symbols:
        raise click.UsageError("--all and --symbols exclude each other.")
    if days and (wanted.first or wanted.last):
        raise click.UsageError("--days and --from/--to exclude each other.")
    settings = settings_to_store()
    with backfill_for(settings, RemarksOnly(), wanted.symbols) as backfill:
        if wanted.symbols:
            for one in backfill.selection.universe.unresolved:
                remark(f"{one.symbol} is left out: no such instrument is known. {one.near_text}")
        first, last = replace(wanted, days=days or DEFAULT_DAYS).dates(backfill.today)
        plan = backfill.service.plan(
            BackfillOrder(
                instruments=backfill.selection.instruments,
                interval=wanted.interval,
                first=first,
                last=last,
                retry_failed=retry_failed,
                listed=backfill.selection.listed,
            )
        )
        if only_plan:
            if as_json:
                emit(plan_document(plan))
            else:
                print_out(plan_sentence(plan))
                remark_on_provisional(plan.provisional_sessions)
            return
        remark(plan_sentence(plan))
        if distributed:
            offered = _offered_to_workers(settings, backfill, plan)
            if as_json:
                emit({"units": offered, **plan_document(plan)})
            else:
                print_out(f"{counted(offered, 'unit')} for workers. See: data-fetch status")
            return
        with finishing_on_a_signal(backfill.stop), progress_bar(plan) as advance:
            report = backfill.service.run(plan, advance=advance)
    unresolved = backfill.selection.universe.unresolved if wanted.symbols else ()
    if as_json:
        emit(report_document(plan, report) | {"unresolved": [one.symbol for one in unresolved]})
    else:
        print_out(report_sentence(plan, report, wanted))
    raise SystemExit(EXIT[report.outcome] or (INCOMPLETE if unresolved else 0))


def _offered_to_workers(settings: Settings, backfill: BackfillParts, plan: BackfillPlan) -> int:
    """Make units of the windows of *plan* and send them; returns how many do not wait already."""
    # It takes longer to load than most commands take to run.
    from data_fetch.runtime.broker import queue_for

    queue = queue_for(settings)
    return offered_to(queue, backfill, plan)


@contextmanager
def finishing_on_a_signal(stop: Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set *stop*; the second signal ends the process at once."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        # Not in the handler itself: it may have interrupted the very lock that set() needs.
        Thread(target=stop.set).start()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Rate(ProgressColumn):
    """Candles received per second."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        rate = task.fields["candles"] / seconds if seconds else 0.0
        return Text(f"{rate:,.0f} candles/s")


@contextmanager
def progress_bar(plan: BackfillPlan) -> Iterator[Callable[[BackfillProgress], None]]:
    """A bar on standard error, if that is a terminal; yields the function that advances it."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("backfill"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("requests"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("backfill", total=len(plan.windows), candles=0)

        def advance(progress: BackfillProgress) -> None:
            if progress.outage is not None:
                console.print(outage_text(progress.outage), markup=False, highlight=False)
            bar.update(
                task,
                completed=progress.done,
                total=progress.windows,
                candles=progress.candles,
            )

        yield advance


def outage_text(outage: Outage) -> str:
    """What is wrong, and when the run goes on."""
    return (
        f"The provider does not answer: {outage.problem.message}. "
        f"Next attempt at {clock_time(outage.next_attempt)} IST."
    )


def plan_document(plan: BackfillPlan) -> dict[str, object]:
    cost = plan.estimate
    return {
        "interval": plan.order.interval.value,
        "from": plan.order.first.isoformat(),
        "to": plan.order.last.isoformat(),
        "instruments": len(plan.order.instruments),
        "requests": cost.requests,
        "minutes": cost.minutes,
        "starts_at": ist_text(cost.starts_at),
        "finishes_at": ist_text(cost.finishes_at),
        "seconds": round(cost.duration.total_seconds(), 1),
        "held_back": plan.held_back,
        "next_attempt": ist_text(plan.next_attempt),
        "provisional_sessions": [day.isoformat() for day in plan.provisional_sessions],
    }


def plan_sentence(plan: BackfillPlan) -> str:
    order, cost = plan.order, plan.estimate
    of = f"{counted(len(order.instruments), 'instrument')}, {order.first} to {order.last}"
    if not plan.windows:
        text = f"Plan: {of}: nothing to request."
    else:
        text = (
            f"Plan: {of}: {counted(cost.requests, 'request')} for {cost.minutes:,} "
            f"{unit(order.interval)} of data; the rate limits allow the last one at "
            f"{clock_time(cost.finishes_at)} IST ({readable(cost.duration)})."
        )
    if plan.held_back:
        text += (
            f"\n{counted(plan.held_back, 'day')} requested before and still incomplete; the next "
            f"attempt is due {ist_text(plan.next_attempt)}. To request now: --retry-failed."
        )
    return text + _listings_text(order)


def _listings_text(order: BackfillOrder) -> str:
    """Explains why the first days are not requested of contracts that were listed later."""
    later = {
        one.symbol: since
        for one in order.instruments
        if (since := order.listed.get(one.instrument_key, order.first)) > order.first
    }
    lines = [
        f"\n{symbol} is known since {since}: the instrument master of the day before lacks it."
        for symbol, since in islice(later.items(), LISTINGS_SHOWN)
    ]
    if len(later) > LISTINGS_SHOWN:
        lines.append(f"\n{len(later) - LISTINGS_SHOWN} more contracts were listed later, too.")
    return "".join(lines)


def report_document(plan: BackfillPlan, report: BackfillReport) -> dict[str, object]:
    return {
        "run_id": report.run_id,
        "outcome": str(report.outcome),
        "windows": report.windows,
        "windows_done": report.done,
        "windows_elsewhere": report.elsewhere,
        "windows_failed": report.failed_windows,
        "requests": report.requests,
        "stored": report.inserted,
        "revised": report.revised,
        "finalised": report.finalised,
        "rejected": report.rejected,
        "outside_sessions": report.outside,
        "rejected_rows": dict(report.rejected_rows),
        "failures": {str(failure): times for failure, times in report.failures.items() if times},
        "reasons": report.reasons,
        "missed": report.missed,
        "became_due": report.became_due,
        "why_incomplete": report.why_incomplete(),
        "held_back": plan.held_back,
        "next_attempt": ist_text(plan.next_attempt),
        "stopped_by": str(report.stopped_by) if report.stopped_by else None,
    }


def report_sentence(plan: BackfillPlan, report: BackfillReport, wanted: DayRange) -> str:
    lines = [
        f"{report.outcome}: {counted(report.requests, 'request')}, "
        f"{report.inserted:,} candles stored{_auction_text(plan, report)}, "
        f"{report.revised:,} corrected, "
        f"{report.finalised:,} confirmed, "
        f"{report.missed:,} {unit(plan.order.interval)} still missing."
    ]
    if report.became_due:
        lines.append(
            f"{report.became_due:,} {unit(plan.order.interval)} became due meanwhile: no part of "
            "this order."
        )
    if report.elsewhere:
        lines.append(f"{counted(report.elsewhere, 'request')} left to another backfill.")
    if report.rejected:
        reasons = {"outside of any session": report.outside, **report.rejected_rows}
        listed = ", ".join(f"{rows} {reason}" for reason, rows in reasons.items() if rows)
        lines.append(f"{counted(report.rejected, 'row')} rejected: {listed}.")
    if report.failed_windows:
        lines.append(f"{report.failures_text()}.")
    empty = report.failures[FailureGroup.EMPTY]
    if empty:
        lines.append(f"{counted(empty, 'response')} had no candles.")
    lines += [f"  {symbol:<12} {reason}" for symbol, reason in report.reasons.items()]
    if report.stopped_by is not None:
        lines.append(f"Stopped: {report.stopped_by}")
    elif report.done < report.windows:
        done = f"{report.done} of {report.windows} requests"
        lines.append(f"Interrupted after {done}: start it again to continue.")
    if report.missed:
        options = options_text(wanted, plan.order.first, plan.order.last)
        lines.append(f"To list them: data-fetch gaps {options} --cause missed")
    return "\n".join(lines)


def _auction_text(plan: BackfillPlan, report: BackfillReport) -> str:
    """Explains more candles than the plan has minutes: the plan counts continuous trading only."""
    if report.inserted <= plan.estimate.minutes:
        return ""
    return " (with closing-auction rows, which the plan does not count)"


def unit(interval: CandleInterval) -> str:
    return "minutes" if interval is CandleInterval.MINUTE else "days"


def readable(duration: timedelta) -> str:
    """A duration in its one or two largest units."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
