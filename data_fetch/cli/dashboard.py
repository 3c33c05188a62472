"""`data-fetch dashboard`: what is stored, in a browser."""

import sys

import click

from data_fetch.cli.shared.output import emit, json_option, print_out
from data_fetch.cli.shared.server_process import (
    host_option,
    listener_on,
    port_option,
    server_settings,
    url_of,
)


@click.command()
@host_option
@port_option("DASHBOARD_PORT, else 8501")
@json_option
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Show what is stored in a browser, until stopped.

    Its pages read the store and never ask a provider. On this machine they are open for
    reading; on any other address they need an account (data-fetch accounts).
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.dashboard.program import run

    settings = server_settings(host)
    wanted = settings.dashboard_port if port is None else port
    # Streamlit takes a number, and says nothing useful of one that is taken.
    with listener_on(settings.api_host, wanted) as listener:
        url, chosen = url_of(listener), listener.getsockname()[1]
    if as_json:
        emit({"url": url, "authentication": settings.needs_authentication})
    else:
        print_out(f"The dashboard is on {url}")
    sys.stdout.flush()
    run(settings.api_host, chosen)
