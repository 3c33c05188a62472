"""`data-fetch freshness`: the state of each symbol's quotes, and of the polled chains."""

from collections.abc import Mapping, Sequence

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out
from data_fetch.core.chains.freshness import ChainJudgement, LastReceipt
from data_fetch.core.freshness import Freshness
from data_fetch.core.quotes.freshness import Judgement
from data_fetch.reading.chain_freshness import ChainFreshness
from data_fetch.reading.freshness_report import freshness_report
from data_fetch.reading.instants import ist_text
from data_fetch.reading.quote_freshness import QuoteFreshness
from data_fetch.runtime.settings import process_settings

SHOWN = 20


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Judge every symbol by the trading minutes since its last quote, and every polled symbol by
    those since its last option chain.

    Exit status 3 when a symbol has no recent quote although its market is open. Chains are named
    and do not change it: quotes may be collected without them.
    """
    report = freshness_report(process_settings())
    if as_json:
        emit(report.document())
    else:
        _print_lines(_quote_lines(report.quotes))
        _print_lines(_chain_lines(report.chains))
    if report.quotes.stale:
        raise SystemExit(INCOMPLETE)


def _print_lines(lines: Sequence[str]) -> None:
    """The first line and a limited number of those that follow it."""
    for line in lines[: SHOWN + 1]:
        print_out(line)
    more = len(lines) - SHOWN - 1
    if more > 0:
        print_out(f"  ... and {more} more: data-fetch freshness --json")


def _quote_lines(quotes: QuoteFreshness) -> list[str]:
    return [
        f"{ist_text(quotes.at)}: {_counts(quotes.counts)}",
        *(f"{_named(each.symbol, each.state)} {_since(each)}" for each in quotes.notable),
    ]


def _chain_lines(chains: ChainFreshness) -> list[str]:
    if not chains.judgements:
        return []
    return [
        f"Option chains: {_counts(chains.counts)}",
        *(f"{_named(each.symbol, each.state)} {_chain_since(each)}" for each in chains.notable),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _named(symbol: str, state: Freshness) -> str:
    return f"  {symbol:<12} {state:<11}"


def _since(judgement: Judgement) -> str:
    if judgement.last_quote is None:
        return "no quote stored yet: collect with data-fetch run"
    return f"last quote {ist_text(judgement.last_quote)}, {judgement.minutes} trading minutes ago"


def _chain_since(judgement: ChainJudgement) -> str:
    last = judgement.last
    if last is None:
        return "no chain stored yet: collect with data-fetch run"
    received = f"last chain from {last.source} {ist_text(last.received_at)}"
    if judgement.state is Freshness.FROZEN:
        return f"{received}, {_standing(last)}: {judgement.standing} trading minutes before"
    return f"{received}, {judgement.minutes} trading minutes ago"


def _standing(last: LastReceipt) -> str:
    """What stands still, and since when."""
    if last.exchange_time is not None:
        return f"stamped {ist_text(last.exchange_time)}"
    return f"unchanged since {ist_text(last.unchanged_since)}"
