"""`data-fetch chain metrics`: the figures of an expiry and the build-up at each strike."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from data_fetch.analytics.build_up import counts
from data_fetch.cli.chain.ladder import as_of_line, footing, heading
from data_fetch.cli.chain.options import as_of_option, date_given, expiry_option, source_option
from data_fetch.cli.shared.output import emit, json_option, print_out
from data_fetch.core.clock import IST
from data_fetch.reading.chain_metrics import (
    DAY_OPEN,
    PREVIOUS_CLOSE,
    ChainMetrics,
    chain_metrics,
)
from data_fetch.runtime.settings import process_settings

MOST_SHOWN = 5


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
    found = chain_metrics(process_settings(), symbol, date_given(expiry), at, source, baseline)
    if as_json:
        emit(found.document())
        return
    snapshot = found.snapshot
    print_out(heading(snapshot.summary))
    print_out(as_of_line(snapshot.head))
    for line in (*footing(snapshot.summary, snapshot.lot_size), *build_up_lines(found)):
        print_out(line)


def build_up_lines(found: ChainMetrics) -> list[str]:
    """How many legs have which build-up since the baseline, and the largest changes."""
    since = found.baseline.since
    at = f" of {since.astimezone(IST):%H:%M:%S}" if since else ""
    kinds: Mapping[str, int] = counts(list(found.moved))
    listed = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in kinds.items())
    lines = [f"Since {found.baseline.name}{at}: {listed or 'nothing to compare with'}"]
    known = [each for each in found.moved if each.kind is not None and each.oi_change]
    for each in sorted(known, key=lambda one: abs(one.oi_change or 0), reverse=True)[:MOST_SHOWN]:
        lines.append(
            f"  {each.leg.strike.normalize():f} {each.leg.option_type}  "
            f"OI {each.oi_change:+,.0f}, price {each.price_change:+,.2f}  "
            f"{str(each.kind).replace('_', ' ')}"
        )
    return lines
