"""`data-fetch chain metrics`: the figures of an expiry, and what traders did at each strike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import click
import numpy as np

from data_fetch.analytics.build_up import (
    Baseline,
    LegBuildUp,
    build_up,
    counts,
    previous_close,
    standing,
)
from data_fetch.analytics.metrics import ChainArrays, exposure_by_leg, payout_curve
from data_fetch.cli.chain.documents import exactly, metrics_document, plain, short
from data_fetch.cli.chain.ladder import as_of_line, footing, heading
from data_fetch.cli.chain.options import as_of_option, expiry_option, source_option
from data_fetch.cli.chain.show import head_document
from data_fetch.cli.chain.stores import chains_to_look_at, the_snapshot
from data_fetch.cli.shared.output import emit, json_option, say
from data_fetch.core.chains.chains import ChainSource
from data_fetch.core.clock import IST
from data_fetch.core.errors import CalendarUnknown, SetupError
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.market.session import instant_of
from data_fetch.runtime.settings import process_settings
from data_fetch.runtime.world import calendar_for
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot

PREVIOUS_CLOSE, DAY_OPEN = "previous-close", "day-open"
USUAL_OPENING = time(9, 15)
MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ComparedWith:
    """A baseline, its *name*, and the instant it is of where we hold a snapshot of it."""

    name: str
    since: datetime | None
    legs: Baseline


class BaselineType(click.ParamType[str]):
    """previous-close, day-open, or a number of minutes like 15m."""

    name = "baseline"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        minutes = text.removesuffix("m")
        if text not in {PREVIOUS_CLOSE, DAY_OPEN} and not (
            minutes + "m" == text and minutes.isdecimal()
        ):
            self.fail(f"{text!r} is not {self.__doc__}", param, ctx)
        return text


@click.command()
@click.argument("symbol")
@expiry_option
@as_of_option
@source_option
@click.option(
    "--baseline",
    type=BaselineType(),
    default=PREVIOUS_CLOSE,
    show_default=True,
    help="What build-up is measured from: previous-close, day-open, or minutes like 15m.",
)
@json_option
def command(
    symbol: str,
    expiry: datetime | None,
    at: datetime | None,
    source: str | None,
    baseline: str,
    as_json: bool,
) -> None:
    """The figures of SYMBOL's chain: PCR, max pain, walls, build-up, gamma exposure."""
    with chains_to_look_at() as chains:
        found = the_snapshot(chains, symbol, expiry, at, source)
        compared = compared_with(chains, found, baseline)
    moved = build_up(found.chain, compared.legs)
    if as_json:
        emit(document(found, compared, moved))
        return
    head = found.head
    say(heading(found.summary))
    say(as_of_line(head.timestamp, head.last_confirmed, head.confirmations, head.source))
    for line in (*footing(found.summary, found.lot_size), *build_up_lines(compared, moved)):
        say(line)


def compared_with(chains: ChainStore, found: StoredSnapshot, baseline: str) -> ComparedWith:
    """The baseline of that name. Raises SetupError when no snapshot of it is held."""
    if baseline == PREVIOUS_CLOSE:
        return ComparedWith(baseline, None, previous_close(found.chain))
    head, now = found.head, found.last_confirmed
    if baseline == DAY_OPEN:
        day = now.astimezone(IST).date()
        opening = opening_of(calendar_for(process_settings()), day)
        heads = chains.heads_of(
            head.underlying, head.expiry, opening, now, ChainSource(head.source)
        )
        wanted = heads[0].timestamp if heads else found.timestamp
    else:
        wanted = now - timedelta(minutes=int(baseline.removesuffix("m")))
    snapshot = chains.snapshot_at(head.underlying, head.expiry, wanted, ChainSource(head.source))
    if snapshot is None:
        raise SetupError(
            f"no chain of {head.underlying} is stored as of {exactly(wanted)}",
            hint="Choose another --baseline.",
        )
    return ComparedWith(baseline, snapshot.timestamp, standing(snapshot.chain))


def opening_of(calendar: MarketCalendar, day: date) -> datetime:
    """When derivatives begin to trade on *day*; at the usual time of a day nobody reviewed."""
    try:
        spans = calendar.session(day, FUTURES_AND_OPTIONS).spans
    except CalendarUnknown:
        spans = ()
    return instant_of(spans[0][0]) if spans else datetime.combine(day, USUAL_OPENING, IST)


def document(
    found: StoredSnapshot, compared: ComparedWith, moved: list[LegBuildUp]
) -> dict[str, object]:
    chain_arrays = ChainArrays.of(found.summary.priced)
    exposure = exposure_by_leg(chain_arrays, found.lot_size)
    return {
        **head_document(found),
        "metrics": metrics_document(found.summary),
        "baseline": {"name": compared.name, "since": exactly(compared.since)},
        "build_up": counts(moved),
        "by_strike": [
            {
                "strike": plain(each.leg.strike),
                "option_type": each.leg.option_type.value,
                "price_change": short(each.price_change),
                "oi_change": short(each.oi_change),
                "build_up": each.kind,
                "reason": each.reason,
                "gamma_exposure": short(value) if np.isfinite(value) else None,
            }
            for each, value in zip(moved, exposure.tolist(), strict=True)
        ],
        "payout_curve": [
            {"strike": strike, "payout": payout}
            for strike, payout in payout_curve(found.summary.priced)
        ],
    }


def build_up_lines(compared: ComparedWith, moved: list[LegBuildUp]) -> list[str]:
    """How many legs did what since the baseline, and where most happened."""
    since = f" of {compared.since.astimezone(IST):%H:%M:%S}" if compared.since else ""
    kinds: Mapping[str, int] = counts(moved)
    told = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in kinds.items())
    lines = [f"Since {compared.name}{since}: {told or 'nothing to compare with'}"]
    known = [each for each in moved if each.kind is not None and each.oi_change]
    for each in sorted(known, key=lambda one: abs(one.oi_change or 0), reverse=True)[:MOST_SHOWN]:
        lines.append(
            f"  {each.leg.strike.normalize():f} {each.leg.option_type}  "
            f"OI {each.oi_change:+,.0f}, price {each.price_change:+,.2f}  "
            f"{str(each.kind).replace('_', ' ')}"
        )
    return lines
