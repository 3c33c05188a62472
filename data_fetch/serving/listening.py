"""How the server's applications are run by uvicorn."""

import uvicorn
from starlette.types import ASGIApp

from data_fetch.serving.streams.frames import FramedWebSockets

# Clients send short requests; what they receive is not limited by it.
LARGEST_MESSAGE_BYTES = 64 * 1024
STOPPED_WITHIN_SECONDS = 3


def listening(app: ASGIApp) -> uvicorn.Config:
    """The configuration that serves *app*."""
    return uvicorn.Config(
        app,
        # Clients that wait for updates would keep a server that is stopped.
        timeout_graceful_shutdown=STOPPED_WITHIN_SECONDS,
        # The program that serves has its own logs.
        log_config=None,
        access_log=False,
        ws=FramedWebSockets,
        ws_max_size=LARGEST_MESSAGE_BYTES,
        # It would compress each message for each client anew.
        ws_per_message_deflate=False,
    )
