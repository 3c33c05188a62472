"""`data-fetch serve`: the store over HTTP."""

import json

import click

from data_fetch.cli.shared.output import json_option, print_out
from data_fetch.cli.shared.parent import with_parent_option
from data_fetch.cli.shared.server_process import (
    host_option,
    openness,
    port_option,
    serve,
    server_settings,
)
from data_fetch.runtime.logs import API


@click.command()
@host_option
@port_option("API_PORT, else 8000")
@click.option(
    "--openapi",
    "only_describe",
    is_flag=True,
    help="Print the OpenAPI description of the calls, and serve nothing.",
)
@json_option
@with_parent_option
def command(host: str | None, port: int | None, only_describe: bool, as_json: bool) -> None:
    """Serve what is stored over HTTP until stopped.

    On this machine it is open for reading. On any other address every call needs an access
    token or an API key (data-fetch accounts), and JWT_SECRET has to be set.
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.serving.app import application, description

    settings = server_settings(host)
    if only_describe:
        print_out(json.dumps(description(settings), indent=2, ensure_ascii=False))
        return
    serve(
        application,
        settings,
        settings.api_port if port is None else port,
        API,
        name="API",
        announced=lambda url: f"Serving on {url}, {openness(settings)}. Its pages: {url}/docs",
        as_json=as_json,
    )
