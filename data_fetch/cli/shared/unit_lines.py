"""Lines about units of work, for people."""

from collections.abc import Iterator, Sequence
from shlex import quote

from data_fetch.cli.shared.output import clock_time
from data_fetch.core.clock import SystemClock
from data_fetch.core.work import UnitCount, UnitState
from data_fetch.services.work import UnitResult


def unit_lines(counts: Sequence[UnitCount]) -> Iterator[str]:
    """What waits for workers, and what is dead; nothing where there are no units."""
    for each in counts:
        dead = f" ({each.reason}): data-fetch dlq list" if each.state is UnitState.DEAD else ""
        yield f"Units   {each.units:,} {each.kind} {each.state}{dead}"


def result_line(result: UnitResult) -> str:
    """The end of one try of a unit."""
    key, now = result.unit.key, clock_time(SystemClock().now())
    failed = result.failed
    if failed is None:
        return f"{now} done    {key}  {result.seconds * 1000:,.0f} ms"
    if failed.next_try is None:
        see = f"data-fetch dlq show {quote(key)}"
        return f"{now} dead    {key}  {failed.reason}: {result.error} See: {see}"
    again = clock_time(failed.next_try)
    return f"{now} failed  {key}  {failed.reason}: {result.error} Next try at {again} IST."
