"""`data-fetch feed`: recordings of the market data feed."""

import click

from data_fetch.cli.shared.lazy_commands import LazyCommands

COMMANDS = {
    "recordings": ("data_fetch.cli.feed.recordings", "Which days are recorded."),
    "export": ("data_fetch.cli.feed.export", "Ticks of a recording as Parquet files."),
    "replay": ("data_fetch.cli.feed.replay", "What a recording contains, read again."),
}


@click.command(cls=LazyCommands, table=COMMANDS)
def command() -> None:
    """Recordings of the market data feed, which a collector makes with FEED_RECORDING_DAYS."""
