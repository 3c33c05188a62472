"""A server that runs until the process is stopped."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

import click

from data_fetch.cli.shared.output import emit, print_out, remark
from data_fetch.core.errors import SetupError
from data_fetch.core.settings import Settings
from data_fetch.runtime.exposure import refuse_exposed
from data_fetch.runtime.logs import LogServices, logs_for
from data_fetch.runtime.provider_token import token_of
from data_fetch.runtime.settings import process_settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

# Some systems deliver a signal only between two waits.
WAIT_SECONDS = 0.5

host_option = click.option(
    "--host", help="Address to listen on.  [default: API_HOST, else 127.0.0.1]"
)


def port_option(default: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """`--port`, whose help says what it is by *default*."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65_535),
        help=f"Port to listen on; 0 for a free one.  [default: {default}]",
    )


def server_settings(host: str | None) -> Settings:
    """The configuration of a server that listens on *host*, if given.

    Raises SetupError where others could read without credentials.
    """
    settings = process_settings()
    if host is not None:
        settings = settings.model_copy(update={"api_host": host})
    refuse_exposed(settings)
    return settings


def openness(settings: Settings) -> str:
    """Who may ask a server of *settings*, in words."""
    if settings.needs_authentication:
        return "for accounts and API keys (data-fetch accounts)"
    return "open for reading on this machine"


def listener_on(host: str, port: int) -> socket.socket:
    """A socket that listens on *port* of *host*; 0 for a free one. Raises SetupError when it
    cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio lets a socket send small messages at once only where its protocol is named, which
    # `create_server` does not do: they would wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
        return listener
    except OSError as problem:
        listener.close()
        raise SetupError(
            f"port {port} cannot be used ({problem.strerror})",
            hint="Name another one with --port, or --port 0 for a free one.",
        ) from problem


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    application: "Callable[[Settings], ASGIApp]",
    settings: Settings,
    port: int,
    logs: LogServices,
    *,
    name: str,
    announced: Callable[[str], str],
    as_json: bool,
) -> None:
    """Serve the *application* of *settings* on *port* until SIGINT or SIGTERM.

    *announced* makes of its address what is printed when it listens, *name* is what has stopped.
    """
    # It takes longer to load than most commands take to run.
    from data_fetch.serving.listening import ReportingServer, listening

    token = token_of(settings)
    listener = listener_on(settings.api_host, port)
    with listener, logs_for(settings, lambda: token.held, logs):
        url = url_of(listener)
        if as_json:
            emit({"url": url, "authentication": settings.needs_authentication})
        else:
            print_out(announced(url))
        sys.stdout.flush()
        _run_until_stopped(ReportingServer(listening(application(settings))), listener)
    remark(f"The {name} has stopped.")


def _run_until_stopped(server: "uvicorn.Server", listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    # On the main thread uvicorn would end the process by the signal instead of with status 0.
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, server.handle_exit)
    thread.start()
    while thread.is_alive():
        thread.join(WAIT_SECONDS)
