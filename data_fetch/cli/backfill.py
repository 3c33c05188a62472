"""`data-fetch backfill`: fetch what is missing."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
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

from data_fetch.cli.shared.output import (
    INCOMPLETE,
    REFUSED,
    Remarks,
    clock_time,
    counted,
    emit,
    ist_text,
    json_option,
    note,
    say,
)
from data_fetch.cli.shared.span_options import DEFAULT_DAYS, RangeOptions, span_options
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.runs import Outcome
from data_fetch.runtime.one_off import backfill_for
from data_fetch.runtime.settings import process_settings
from data_fetch.services.backfill import BackfillOrder, BackfillPlan, BackfillReport
from data_fetch.services.backfill import Progress as HowFar

EXIT = {Outcome.COMPLETED: 0, Outcome.INCOMPLETE: INCOMPLETE, Outcome.FAILED: REFUSED}


@click.command()
@span_options
@click.option("--all", "everything", is_flag=True, help="The whole universe; this is the default.")
@click.option(
    "--days", type=click.IntRange(1), help=f"The last so many days [default: {DEFAULT_DAYS}]."
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what it takes; send nothing.")
@click.option(
    "--retry-failed", is_flag=True, help="Ask again although the next attempt is not due yet."
)
@json_option
def command(
    span: RangeOptions,
    everything: bool,
    days: int | None,
    only_plan: bool,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Fetch the candles that the coverage ledger says are missing.

    Nothing that is settled is asked for twice, so an interrupted run is just started again.
    Ctrl-C and SIGTERM let the answers under way finish.
    Exit status 3 when minutes are still missing, 4 when the provider refused everything.
    """
    if everything and span.symbols:
        raise click.UsageError("--all and --symbols exclude each other.")
    if days and (span.first or span.last):
        raise click.UsageError("--days and --from/--to exclude each other.")
    with backfill_for(process_settings(), Remarks(), span.symbols) as backfill:
        first, last = span.days(backfill.today, days or DEFAULT_DAYS)
        plan = backfill.service.plan(
            BackfillOrder(
                instruments=backfill.selection.instruments,
                interval=span.interval,
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
                say(plan_sentence(plan))
            return
        note(plan_sentence(plan))
        with finishing_on_a_signal(backfill.stop), progress_bar(plan) as advance:
            report = backfill.service.run(plan, advance=advance)
    if as_json:
        emit(report_document(plan, report))
    else:
        say(report_sentence(plan, report, span))
    raise SystemExit(EXIT[report.outcome])


@contextmanager
def finishing_on_a_signal(stop: Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set *stop*; who insists ends the process at once."""

    def tell(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        # Not in the handler itself: it may have interrupted the very lock that set() needs.
        Thread(target=stop.set).start()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Rate(ProgressColumn):
    """How many candles come in a second."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        rate = task.fields["candles"] / seconds if seconds else 0.0
        return Text(f"{rate:,.0f} candles/s")


@contextmanager
def progress_bar(plan: BackfillPlan) -> Iterator[Callable[[HowFar], None]]:
    """A bar on standard error, if that is a terminal; what to call after each window."""
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

        def advance(far: HowFar) -> None:
            bar.update(task, completed=far.done, total=far.windows, candles=far.candles)

        yield advance


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
    }


def plan_sentence(plan: BackfillPlan) -> str:
    order, cost = plan.order, plan.estimate
    span = f"{counted(len(order.instruments), 'instrument')}, {order.first} to {order.last}"
    if not plan.windows:
        said = f"Plan: {span}: nothing to ask for."
    else:
        said = (
            f"Plan: {span}: {counted(cost.requests, 'request')} for {cost.minutes:,} "
            f"{unit(order.interval)} of data; the rate limits allow the last one at "
            f"{clock_time(cost.finishes_at)} IST ({readable(cost.duration)})."
        )
    if plan.held_back:
        said += (
            f"\n{plan.held_back} days lack something that was asked for already; the next attempt "
            f"is due {ist_text(plan.next_attempt)}. Ask at once with --retry-failed."
        )
    return said


def report_document(plan: BackfillPlan, report: BackfillReport) -> dict[str, object]:
    return {
        "run_id": report.run_id,
        "outcome": str(report.outcome),
        "windows": report.windows,
        "windows_done": report.done,
        "requests": report.requests,
        "stored": report.inserted,
        "revised": report.revised,
        "finalised": report.finalised,
        "rejected": report.outside + sum(report.rejected_rows.values()),
        "failures": {str(failure): times for failure, times in report.failures.items() if times},
        "reasons": report.reasons,
        "missed": report.missed,
        "held_back": plan.held_back,
        "next_attempt": ist_text(plan.next_attempt),
        "stopped_by": str(report.stopped_by) if report.stopped_by else None,
    }


def report_sentence(plan: BackfillPlan, report: BackfillReport, span: RangeOptions) -> str:
    said = [
        f"{report.outcome}: {counted(report.requests, 'request')}, "
        f"{report.inserted:,} candles stored, {report.revised:,} corrected, "
        f"{report.finalised:,} confirmed, "
        f"{report.missed:,} {unit(plan.order.interval)} still missing."
    ]
    rejected = report.outside + sum(report.rejected_rows.values())
    if rejected:
        said.append(
            f"{rejected} rows set aside: {report.outside} outside of any session, "
            f"{sum(report.rejected_rows.values())} that cannot be used."
        )
    if report.failures:
        listed = ", ".join(f"{times} {failure}" for failure, times in report.failures.items())
        said.append(f"Answers that were empty or at fault, by class: {listed}.")
    said += [f"  {symbol:<12} {reason}" for symbol, reason in report.reasons.items()]
    if report.stopped_by is not None:
        said.append(f"Stopped: {report.stopped_by}")
    elif report.done < report.windows:
        how_far = f"{report.done} of {report.windows} requests"
        said.append(f"Interrupted after {how_far}: start it again to go on.")
    if report.missed:
        named = span.named_again(plan.order.first, plan.order.last)
        said.append(f"See which: data-fetch gaps {named} --cause missed")
    return "\n".join(said)


def unit(interval: CandleInterval) -> str:
    return "minutes" if interval is CandleInterval.MINUTE else "days"


def readable(duration: timedelta) -> str:
    """Hours, minutes and seconds, as few of them as say it."""
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
