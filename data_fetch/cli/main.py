"""The way in. Commands are imported when they are called, so that help comes at once."""

import logging
import sys
from collections.abc import Sequence

import click

from data_fetch import __version__
from data_fetch.cli.shared.lazy_commands import LazyCommands
from data_fetch.cli.shared.output import REFUSED, WRONG_USE, note
from data_fetch.core.errors import DataFetchError, OutsideError

COMMANDS = {
    "run": ("data_fetch.cli.run", "Collect until stopped: quotes every minute."),
    "collect": ("data_fetch.cli.collect", "Collect quotes once, at any hour."),
    "backfill": (
        "data_fetch.cli.backfill",
        "Fetch what is missing: coverage, plan, requests, candles.",
    ),
    "coverage": ("data_fetch.cli.coverage", "Which days are complete, and what the others lack."),
    "gaps": ("data_fetch.cli.gaps", "What is expected and not there, and why."),
    "audit": ("data_fetch.cli.audit", "Recount the candles; compare with the ledger."),
    "candles": ("data_fetch.cli.candles", "Export candles; see what was corrected."),
    "chain": ("data_fetch.cli.chain.group", "Option chains: collect, import, price, show."),
    "symbols": ("data_fetch.cli.symbols", "Which chains are polled, and how often."),
    "status": ("data_fetch.cli.status", "What the store holds and how the last runs went."),
    "freshness": ("data_fetch.cli.freshness", "Which symbols are fresh, stale or frozen."),
    "universe": ("data_fetch.cli.universe", "The F&O universe, and what could not be resolved."),
    "calendar": ("data_fetch.cli.calendar", "When the exchange trades."),
    "db": ("data_fetch.cli.db", "Create, upgrade and merge stores."),
    "paper-exchange": ("data_fetch.cli.paper_exchange", "Serve invented prices over HTTP."),
    "rehearse": ("data_fetch.cli.rehearse", "Run a whole trading day on the paper exchange."),
    "doctor": ("data_fetch.cli.doctor", "Check the set-up and say how to cure it."),
}


HELP = {"help_option_names": ["-h", "--help"]}


@click.command(cls=LazyCommands, table=COMMANDS, context_settings=HELP)
@click.version_option(__version__, prog_name="data-fetch")
def cli() -> None:
    """NSE F&O market data, every minute accounted for.

    Exit status: 0 done, 2 wrong use, 3 finished but data incomplete, 4 the outside world
    refused.
    """


LONGEST_FIELD = 200


class _Console(logging.Handler):
    """Warnings of the package, with their fields, for people: on standard error."""

    ordinary = frozenset(vars(logging.makeLogRecord({})))

    def emit(self, record: logging.LogRecord) -> None:
        fields = {k: v for k, v in vars(record).items() if k not in self.ordinary and v is not None}
        told = " ".join(f"{name}={str(value)[:LONGEST_FIELD]}" for name, value in fields.items())
        note(f"{record.levelname.lower()}: {record.getMessage()} {told}".rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    package, console = logging.getLogger("data_fetch"), _Console(logging.WARNING)
    package.addHandler(console)
    try:
        cli.main(args=arguments, prog_name="data-fetch")
    except DataFetchError as error:
        note(f"data-fetch: {error}")
        sys.exit(REFUSED if isinstance(error, OutsideError) else WRONG_USE)
    except OSError as error:
        # A folder that is a file, a disk that is full: the message of the system names it.
        note(f"data-fetch: {error}. Make the place usable, then try again.")
        sys.exit(WRONG_USE)
    finally:
        package.removeHandler(console)
