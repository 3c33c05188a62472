"""`data-fetch chain`: option chains, collected, imported, priced and shown."""

import click

from data_fetch.cli.shared.lazy_commands import LazyCommands

COMMANDS = {
    "show": ("data_fetch.cli.chain.show", "The ladder of an expiry, now or at an instant."),
    "metrics": ("data_fetch.cli.chain.metrics", "PCR, max pain, build-up, walls, gamma exposure."),
    "surface": ("data_fetch.cli.chain.surface", "Volatility over strike, delta and term."),
    "collect": ("data_fetch.cli.chain.collect", "Collect chains once, at any hour."),
    "import": ("data_fetch.cli.chain.import_files", "Store captured responses of any known shape."),
    "reprocess": (
        "data_fetch.cli.chain.reprocess",
        "Rebuild the tables from the stored raw responses.",
    ),
    "price": ("data_fetch.cli.chain.price", "Price a captured response without a store."),
}
# Former names, which still work and are not listed.
ALIASES = {"rederive": "reprocess"}


@click.command(cls=LazyCommands, table=COMMANDS, aliases=ALIASES)
def command() -> None:
    """Option chains: collect, import, price, show."""
