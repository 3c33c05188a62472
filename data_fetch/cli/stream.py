"""`data-fetch stream`: what changes in the store, to connected clients."""

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
from data_fetch.runtime.logs import STREAM, logs_for


@click.command()
@host_option
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for a free one.  [default: STREAM_PORT, else 8002]",
)
@json_option
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Stream new prices and option chains until stopped, by Socket.IO and by WebSocket (/ws).

    On this machine it is open for reading; on any other address clients need an access token
    or an API key (data-fetch accounts). `data-fetch serve` streams too, on its own port.
    """
    # They take longer to load than most commands take to run.
    import uvicorn

    from data_fetch.serving.listening import listening
    from data_fetch.serving.streams.app import stream_application

    settings = server_settings(host)
    token = settings.access_token.get_secret_value()
    listener = listener_on(settings.api_host, settings.stream_port if port is None else port)
    with listener, logs_for(settings, lambda: token, STREAM):
        url = url_of(listener)
        if as_json:
            emit({"url": url, "authentication": settings.needs_authentication})
        else:
            print_out(
                f"Streaming on {url} by Socket.IO and on {url}/ws by WebSocket, "
                f"{openness(settings)}."
            )
        sys.stdout.flush()
        server = uvicorn.Server(listening(stream_application(settings)))
        run_until_stopped(server, listener)
    remark("The server has stopped.")
