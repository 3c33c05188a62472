"""`data-fetch chain`: option chains, collected, imported, priced and shown."""

import click

from data_fetch.cli.lazy_commands import LazyCommands

COMMANDS = {
    "show": ("data_fetch.cli.chain_show", "The ladder of an expiry, now or at an instant."),
    "metrics": ("data_fetch.cli.chain_metrics", "PCR, max pain, build-up, walls, gamma exposure."),
    "surface": ("data_fetch.cli.chain_surface", "Volatility over strike, delta and term."),
    "collect": ("data_fetch.cli.chain_collect", "Collect chains once, at any hour."),
    "import": ("data_fetch.cli.chain_import", "Store captured responses of any known shape."),
    "rederive": ("data_fetch.cli.chain_rederive", "Work the tables out again from the raw vault."),
    "price": ("data_fetch.cli.chain_price", "Price a captured response without a store."),
}


@click.command(cls=LazyCommands, table=COMMANDS)
def command() -> None:
    """Option chains: collect, import, price, show."""
