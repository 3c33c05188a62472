"""`data-fetch stream`: what changes in the store, to connected clients."""

import click

from data_fetch.cli.shared.output import json_option
from data_fetch.cli.shared.server_process import (
    host_option,
    openness,
    port_option,
    serve,
    server_settings,
)
from data_fetch.runtime.logs import STREAM


@click.command()
@host_option
@port_option("STREAM_PORT, else 8002")
@json_option
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Stream new prices and option chains until stopped, by Socket.IO and by WebSocket (/ws).

    On this machine it is open for reading; on any other address clients need an access token
    or an API key (data-fetch accounts). `data-fetch serve` streams too, on its own port.
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.serving.streams.app import stream_application

    settings = server_settings(host)
    serve(
        stream_application,
        settings,
        settings.stream_port if port is None else port,
        STREAM,
        name="stream server",
        announced=lambda url: (
            f"Streaming on {url} by Socket.IO and on {url}/ws by WebSocket, {openness(settings)}."
        ),
        as_json=as_json,
    )
