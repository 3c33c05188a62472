"""`data-fetch serve`: the store over HTTP."""

import json
import sys

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.cli.shared.server_process import (
    host_option,
    listener_on,
    openness,
    run_until_stopped,
    server_settings,
    url_of,
)
from data_fetch.runtime.logs import API, logs_for


@click.command()
@host_option
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for a free one.  [default: API_PORT, else 8000]",
)
@click.option(
    "--openapi",
    "only_describe",
    is_flag=True,
    help="Print the OpenAPI description of the calls, and serve nothing.",
)
@json_option
def command(host: str | None, port: int | None, only_describe: bool, as_json: bool) -> None:
    """Serve what is stored over HTTP until stopped.

    On this machine it is open for reading. On any other address every call needs an access
    token or an API key (data-fetch accounts), and JWT_SECRET has to be set.
    """
    # They take longer to load than most commands take to run.
    import uvicorn

    from data_fetch.serving.app import application, description
    from data_fetch.serving.listening import listening

    settings = server_settings(host)
    if only_describe:
        print_out(json.dumps(description(settings), indent=2, ensure_ascii=False))
        return
    token = settings.access_token.get_secret_value()
    listener = listener_on(settings.api_host, settings.api_port if port is None else port)
    with listener, logs_for(settings, lambda: token, API):
        url = url_of(listener)
        if as_json:
            emit({"url": url, "authentication": settings.needs_authentication})
        else:
            print_out(f"Serving on {url}, {openness(settings)}. Its pages: {url}/docs")
        sys.stdout.flush()
        run_until_stopped(uvicorn.Server(listening(application(settings))), listener)
    remark("The server has stopped.")
