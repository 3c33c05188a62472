"""`data-fetch stream`: what changes in the store, to connected clients."""

import sys

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.cli.shared.server_process import listener_on, run_until_stopped, url_of
from data_fetch.runtime.logs import STREAM, logs_for
from data_fetch.runtime.settings import process_settings


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for a free one.  [default: STREAM_PORT, else 8002]",
)
@json_option
def command(port: int | None, as_json: bool) -> None:
    """Stream new prices and option chains until stopped, by Socket.IO and by WebSocket (/ws).

    It listens on this machine only. `data-fetch serve` streams too, on its own port.
    """
    # They take longer to load than most commands take to run.
    import uvicorn

    from data_fetch.serving.listening import listening
    from data_fetch.serving.streams.app import stream_application

    settings = process_settings()
    token = settings.access_token.get_secret_value()
    listener = listener_on(settings.stream_port if port is None else port)
    with listener, logs_for(settings, lambda: token, STREAM):
        url = url_of(listener)
        if as_json:
            emit({"url": url})
        else:
            print_out(f"Streaming on {url} by Socket.IO, and on {url}/ws by WebSocket.")
        sys.stdout.flush()
        server = uvicorn.Server(listening(stream_application(settings)))
        run_until_stopped(server, listener)
    remark("The server has stopped.")
