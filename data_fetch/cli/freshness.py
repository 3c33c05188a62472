"""`data-fetch freshness`: the state of each symbol's quotes, and of the polled chains."""

from collections.abc import Iterator, Mapping, Sequence

import click

from data_fetch.cli.shared.output import INCOMPLETE, emit, json_option, print_out
from data_fetch.core.chains.freshness import ChainJudgement, LastReceipt
from data_fetch.core.feed.tick_ages import LastTick, TickAges, tick_ages
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
    those since its last option chain. While the streaming feed runs, the age of its ticks is shown
    in seconds.

    Exit status 3 when a symbol has no recent quote although its market is open. Chains are named
    and do not change it: quotes may be collected without them.
    """
    report = freshness_report(process_settings())
    if as_json:
        emit(report.document())
    else:
        _print_lines(quote_lines(report.quotes))
        _print_lines(chain_lines(report.chains))
    if report.quotes.stale:
        raise SystemExit(INCOMPLETE)


def _print_lines(lines: Sequence[str]) -> None:
    """The first line and a limited number of those that follow it."""
    for line in lines[: SHOWN + 1]:
        print_out(line)
    more = len(lines) - SHOWN - 1
    if more > 0:
        print_out(f"  ... and {more} more: data-fetch freshness --json")


def quote_lines(quotes: QuoteFreshness) -> list[str]:
    """The states of all quotes with the age of the ticks, and each notable symbol."""
    return [
        f"{ist_text(quotes.at)}: {_counts(quotes.counts)}{_ticks(quotes.ticks)}",
        *(
            _line(each.symbol, each.state, _since(each), quotes.tick(each.symbol))
            for each in quotes.notable
        ),
    ]


def chain_lines(chains: ChainFreshness) -> list[str]:
    """The same of the polled chains; none when nothing is polled."""
    if not chains.judgements:
        return []
    return [
        f"Option chains: {_counts(chains.counts)}{_ticks(chains.ticks)}",
        *(
            _line(each.symbol, each.state, _chain_since(each), chains.tick(each.symbol))
            for each in chains.notable
        ),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _ticks(ticks: Mapping[str, LastTick]) -> str:
    """How old the ticks are that are expected; empty where none is."""
    ages = tick_ages(ticks)
    return f"; {'; '.join(_age_parts(ages))}" if ages.expected else ""


def _age_parts(ages: TickAges) -> Iterator[str]:
    if ages.median is not None and ages.oldest is not None:
        yield (
            f"ticks {ages.median.total_seconds():.1f} s old at the median, oldest "
            f"{ages.oldest.total_seconds():.1f} s ({ages.oldest_symbol})"
        )
    if ages.without:
        yield f"{len(ages.without)} without a tick today"


def _line(symbol: str, state: Freshness, since: str, tick: LastTick) -> str:
    ticked = "" if tick.age_seconds is None else f", last tick {tick.age_seconds:.1f} s ago"
    return f"  {symbol:<12} {state:<11} {since}{ticked}"


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
