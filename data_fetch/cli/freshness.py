"""`data-fetch freshness`: which symbols are fresh, and which are not."""

import click

from data_fetch.cli.shared.output import INCOMPLETE, Remarks, emit, ist_text, json_option, say
from data_fetch.core.quotes.freshness import STALE, Freshness, Judgement, count_states
from data_fetch.runtime.one_off import freshness_for
from data_fetch.runtime.settings import process_settings

SHOWN = 20


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Judge every symbol by the trading minutes since its last quote."""
    with freshness_for(process_settings(), Remarks()) as (monitor, clock):
        now = clock.now()
        judgements = monitor.judge_all()
    counts = count_states(judgements)
    notable = [j for j in judgements if j.state not in {Freshness.FRESH, Freshness.CLOSED}]
    if as_json:
        emit({"at": ist_text(now), "counts": counts, "symbols": [_row(j) for j in judgements]})
    else:
        say(f"{ist_text(now)}: " + ", ".join(f"{n} {state}" for state, n in counts.items() if n))
        for judgement in notable[:SHOWN]:
            say(f"  {judgement.symbol:<12} {judgement.state:<11} {_since(judgement)}")
        if len(notable) > SHOWN:
            say(f"  ... and {len(notable) - SHOWN} more: data-fetch freshness --json has them all")
    if any(judgement.state in STALE for judgement in judgements):
        raise SystemExit(INCOMPLETE)


def _row(judgement: Judgement) -> dict[str, object]:
    return {
        "symbol": judgement.symbol,
        "state": str(judgement.state),
        "last_quote": ist_text(judgement.last_quote),
        "trading_minutes": judgement.minutes,
    }


def _since(judgement: Judgement) -> str:
    if judgement.last_quote is None:
        return "no quote stored yet: collect with data-fetch run"
    return f"last quote {ist_text(judgement.last_quote)}, {judgement.minutes} trading minutes ago"
