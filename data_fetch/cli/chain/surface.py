"""`data-fetch chain surface`: volatility over strike, delta and term; also as a picture."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from data_fetch.analytics.surface import DELTAS, Smile, Surface, surface
from data_fetch.cli.chain.documents import exactly, short
from data_fetch.cli.chain.options import as_of_option, source_option
from data_fetch.cli.chain.stores import chains_to_look_at, nothing_stored
from data_fetch.cli.chain.surface_picture import draw
from data_fetch.cli.shared.output import emit, json_option, note, say
from data_fetch.core.chains.chains import ChainSource
from data_fetch.storage.chains.snapshots import ChainStore, StoredSnapshot


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
    with chains_to_look_at() as chains:
        held = newest_of_each_expiry(chains, symbol.upper(), at, source)
    found = surface([each.summary.priced for each in held])
    if as_json:
        emit(document(found, held))
    else:
        for line in lines(found, held):
            say(line)
    if png is not None:
        draw(found, png)
        note(f"Drawn into {png}")


def newest_of_each_expiry(
    chains: ChainStore, symbol: str, at: datetime | None, source: str | None
) -> list[StoredSnapshot]:
    """Raises SetupError when there is none."""
    of = ChainSource(source) if source else None
    held = [
        found
        for expiry in chains.expiries_at(symbol, at, of)
        if (found := chains.snapshot_at(symbol, expiry, at, of)) is not None
    ]
    if not held:
        raise nothing_stored(chains, symbol, at)
    return held


def document(found: Surface, held: Sequence[StoredSnapshot]) -> dict[str, object]:
    received = {each.head.expiry: each for each in held}
    return {
        "underlying": found.underlying,
        "expiries": [
            {
                "expiry": smile.expiry.isoformat(),
                "received_at": exactly(received[smile.expiry].timestamp),
                "last_confirmed": exactly(received[smile.expiry].last_confirmed),
                "source": received[smile.expiry].head.source,
                "years": short(smile.years),
                "forward": short(smile.forward),
                "atm_iv": short(smile.atm_iv),
                "by_delta": {name: short(iv) for name, iv in smile.by_delta.items()},
                "risk_reversal": short(smile.risk_reversal),
                "butterfly": short(smile.butterfly),
                "points": [
                    {"strike": strike, "iv": short(iv), "delta": short(delta)}
                    for strike, iv, delta in zip(
                        smile.strikes, smile.ivs, smile.deltas, strict=True
                    )
                ],
            }
            for smile in found.smiles
        ],
        "left_out": [
            {"expiry": expiry.isoformat(), "points": points} for expiry, points in found.left_out
        ],
    }


def lines(found: Surface, held: Sequence[StoredSnapshot]) -> list[str]:
    """The term structure and the skew, one expiry a line."""
    head = f"{'expiry':<12}{'days':>7}{'forward':>12}{'ATM':>8}"
    head += "".join(f"{name:>8}" for name in DELTAS) + f"{'RR25':>8}{'BF25':>8}{'points':>8}"
    told = [f"{found.underlying}: implied volatility, percent, by the delta of the call", head]
    told += [_line(smile) for smile in found.smiles]
    told += [
        f"{expiry}  left out: {points} strikes with a volatility are too few"
        for expiry, points in found.left_out
    ]
    oldest = min(each.last_confirmed for each in held)
    return [*told, f"The oldest of these chains was last confirmed {exactly(oldest)}."]


def _line(smile: Smile) -> str:
    shown = [smile.atm_iv, *smile.by_delta.values(), smile.risk_reversal, smile.butterfly]
    figures = "".join("       -" if each is None else f"{each * 100:8.2f}" for each in shown)
    days = f"{smile.years * 365:7.1f}"
    return f"{smile.expiry!s:<12}{days}{smile.forward:12,.2f}{figures}{len(smile.ivs):8}"
