"""`data-fetch chain surface`: volatility over strike, delta and term; also as a picture."""

import shlex
from datetime import datetime
from pathlib import Path

import click

from data_fetch.analytics.surface import DELTAS, Smile
from data_fetch.cli.chain.options import as_of_option, source_option
from data_fetch.cli.chain.surface_picture import draw
from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.reading.chain_surfaces import StoredSurface, stored_surface
from data_fetch.reading.instants import exact_text
from data_fetch.runtime.settings import process_settings


@click.command()
@click.argument("symbol")
@as_of_option
@source_option
@click.option(
    "--png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw it into this file.",
)
@json_option
def command(
    symbol: str, at: datetime | None, source: str | None, png: Path | None, as_json: bool
) -> None:
    """The volatility surface of SYMBOL, from the newest chain of each expiry."""
    found = stored_surface(process_settings(), symbol, at, source)
    if as_json:
        emit(found.document())
    else:
        for line in lines(found):
            print_out(line)
    if png is not None:
        draw(found.surface, png)
        remark(f"Drawn into {png}")


def lines(found: StoredSurface) -> list[str]:
    """The term structure and the skew, one expiry a line."""
    head = f"{'expiry':<12}{'days':>7}{'forward':>12}{'ATM':>8}"
    head += "".join(f"{name:>8}" for name in DELTAS) + f"{'RR25':>8}{'BF25':>8}{'points':>8}"
    return [
        f"{found.surface.underlying}: implied volatility, percent, by the delta of the call",
        head,
        *map(_line, found.surface.smiles),
        *(
            f"{expiry}  left out: {points} strikes with a volatility are too few"
            for expiry, points in found.surface.left_out
        ),
        *_only_one(found),
        f"The oldest of these chains was last confirmed {exact_text(found.oldest_confirmation)}.",
    ]


def _only_one(found: StoredSurface) -> list[str]:
    """Why there is no term structure, and how to get one."""
    if len(found.surface.smiles) != 1:
        return []
    symbol = found.surface.underlying
    return [
        "One expiry has no term structure. Poll more: data-fetch symbols set "
        f"{shlex.quote(symbol)} --expiries 3"
    ]


def _line(smile: Smile) -> str:
    shown = [smile.atm_iv, *smile.by_delta.values(), smile.risk_reversal, smile.butterfly]
    figures = "".join("       -" if each is None else f"{each * 100:8.2f}" for each in shown)
    days = f"{smile.years * 365:7.1f}"
    return f"{smile.expiry!s:<12}{days}{smile.forward:12,.2f}{figures}{len(smile.ivs):8}"
