"""`data-fetch dashboard`: what is stored, in a browser."""

import click

from data_fetch.cli.shared.output import json_option
from data_fetch.cli.shared.parent import with_parent_option
from data_fetch.cli.shared.server_process import (
    host_option,
    openness,
    port_option,
    serve,
    server_settings,
)
from data_fetch.runtime.logs import DASHBOARD


@click.command()
@host_option
@port_option("DASHBOARD_PORT, else 8501")
@click.option("--control", is_flag=True, help="Let its pages request chains and start backfills.")
@json_option
@with_parent_option
def command(host: str | None, port: int | None, control: bool, as_json: bool) -> None:
    """Show what is stored in a browser, until stopped.

    Its pages read the store and wait for no provider; --control lets them request option chains
    and start backfills. On this machine they are open; on any other address they need an account
    (data-fetch accounts), for control one with the role admin.
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.dashboard.program import application

    settings = server_settings(host)
    serve(
        lambda settings: application(settings, may_control=control),
        settings,
        settings.dashboard_port if port is None else port,
        DASHBOARD,
        name="dashboard",
        announced=lambda url: f"The dashboard is on {url}, {openness(settings)}.",
        as_json=as_json,
    )
