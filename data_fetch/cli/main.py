"""The entry point of `data-fetch`. A command is imported when it is called."""

import logging
import sys
from collections.abc import Sequence

import click

from data_fetch import __version__
from data_fetch.cli.shared.lazy_commands import LazyCommands
from data_fetch.cli.shared.output import REFUSED, WRONG_USE, print_any_character, remark
from data_fetch.core.errors import DataFetchError, OutsideError

COMMANDS = {
    "up": ("data_fetch.cli.up", "Collect, serve and show: everything, until stopped."),
    "run": ("data_fetch.cli.run", "Collect until stopped: quotes every minute."),
    "worker": ("data_fetch.cli.worker", "Do units of work from the broker, on any machine."),
    "dlq": ("data_fetch.cli.dlq", "Units that failed for good: list, show, replay, drop."),
    "collect": ("data_fetch.cli.collect", "Collect quotes once, at any hour."),
    "backfill": (
        "data_fetch.cli.backfill",
        "Fetch missing candles, as the coverage ledger lists them.",
    ),
    "coverage": ("data_fetch.cli.coverage", "Which days are complete, and what the others lack."),
    "gaps": ("data_fetch.cli.gaps", "Intervals that are expected and not present, with causes."),
    "audit": ("data_fetch.cli.audit", "Recount the candles; compare with the ledger."),
    "candles": ("data_fetch.cli.candles", "Export candles; list corrected ones."),
    "chain": ("data_fetch.cli.chain.group", "Option chains: collect, import, price, show."),
    "symbols": ("data_fetch.cli.symbols", "Which chains are polled, and how often."),
    "status": ("data_fetch.cli.status", "What is stored, and the last runs."),
    "ready": ("data_fetch.cli.ready", "Whether the trading day can begin: go or no-go."),
    "freshness": ("data_fetch.cli.freshness", "Which symbols are fresh, stale or frozen."),
    "serve": ("data_fetch.cli.serve", "Serve what is stored over HTTP, on this machine."),
    "stream": ("data_fetch.cli.stream", "Stream new prices and option chains to clients."),
    "dashboard": ("data_fetch.cli.dashboard", "Show what is stored in a browser."),
    "alerts": ("data_fetch.cli.alerts", "Messages about what is wrong: Telegram, mail, ..."),
    "login": ("data_fetch.cli.login", "Log in to Upstox, so that running processes go on."),
    "accounts": ("data_fetch.cli.accounts", "Accounts and API keys of the servers."),
    "universe": ("data_fetch.cli.universe", "The F&O universe, and symbols that are not resolved."),
    "calendar": ("data_fetch.cli.calendar", "When the exchange trades."),
    "feed": ("data_fetch.cli.feed.group", "Recordings of the market data feed: list, replay."),
    "archive": ("data_fetch.cli.archive.group", "Parquet and DuckDB files of what is stored."),
    "db": ("data_fetch.cli.db", "Create, upgrade, merge and copy stores."),
    "backup": ("data_fetch.cli.backup", "Back up the store, check a backup, restore it."),
    "paper-exchange": ("data_fetch.cli.paper_exchange", "Serve invented prices over HTTP."),
    "rehearse": ("data_fetch.cli.rehearse", "Run a whole trading day on the paper exchange."),
    "doctor": ("data_fetch.cli.doctor", "Check the set-up; print a fix for each problem."),
}


HELP = {"help_option_names": ["-h", "--help"]}


@click.command(cls=LazyCommands, table=COMMANDS, context_settings=HELP)
@click.version_option(__version__, prog_name="data-fetch")
def cli() -> None:
    """NSE F&O market data, every minute accounted for.

    Exit status: 0 done, 2 wrong use, 3 finished but data incomplete, 4 a provider or a database
    refused.
    """


LONGEST_FIELD = 200


class _Console(logging.Handler):
    """Prints warnings of the package, with their fields, on standard error."""

    ordinary = frozenset(vars(logging.makeLogRecord({})))

    def emit(self, record: logging.LogRecord) -> None:
        fields = {k: v for k, v in vars(record).items() if k not in self.ordinary and v is not None}
        text = " ".join(f"{name}={str(value)[:LONGEST_FIELD]}" for name, value in fields.items())
        remark(f"{record.levelname.lower()}: {record.getMessage()} {text}".rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    print_any_character()
    package, console = logging.getLogger("data_fetch"), _Console(logging.WARNING)
    package.addHandler(console)
    try:
        cli.main(args=arguments, prog_name="data-fetch")
    except DataFetchError as error:
        remark(f"data-fetch: {error}")
        sys.exit(REFUSED if isinstance(error, OutsideError) else WRONG_USE)
    except OSError as error:
        # For example a folder that is a file, or a full disk: the system's message names it.
        remark(f"data-fetch: {error}. Check folder and disk, then try again.")
        sys.exit(WRONG_USE)
    finally:
        package.removeHandler(console)
