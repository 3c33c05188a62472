"""`data-fetch serve`: the store over HTTP, on this machine."""

import sys

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.cli.shared.server_process import listener_on, run_until_stopped, url_of
from data_fetch.runtime.logs import API, logs_for
from data_fetch.runtime.settings import process_settings

PORT = 8000


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@json_option
def command(port: int, as_json: bool) -> None:
    """Serve what is stored over HTTP until stopped: option chains and health so far.

    It listens on this machine only and is open for reading.
    """
    # They take longer to load than most commands take to run.
    import uvicorn

    from data_fetch.serving.app import application
    from data_fetch.serving.listening import listening

    settings = process_settings()
    token = settings.access_token.get_secret_value()
    with listener_on(port) as listener, logs_for(settings, lambda: token, API):
        url = url_of(listener)
        if as_json:
            emit({"url": url})
        else:
            print_out(f"Serving on {url}, open for reading on this machine. Its pages: {url}/docs")
        sys.stdout.flush()
        run_until_stopped(uvicorn.Server(listening(application(settings))), listener)
    remark("The server has stopped.")
