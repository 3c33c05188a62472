"""`data-fetch serve`: the store over HTTP, on this machine."""

import signal
import socket
import sys
from threading import Thread

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.core.errors import SetupError
from data_fetch.runtime.logs import API, logs_for
from data_fetch.runtime.settings import process_settings

LOOPBACK, PORT = "127.0.0.1", 8000
# Some systems deliver a signal only between two waits.
WAIT_SECONDS = 0.5


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

    settings = process_settings()
    token = settings.access_token.get_secret_value()
    with _listening(port) as listener, logs_for(settings, lambda: token, API):
        url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        if as_json:
            emit({"url": url})
        else:
            print_out(f"Serving on {url}, open for reading on this machine. Its pages: {url}/docs")
        sys.stdout.flush()
        config = uvicorn.Config(application(settings), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        # On the main thread uvicorn would end the process by the signal instead of with status 0.
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, server.handle_exit)
        thread.start()
        while thread.is_alive():
            thread.join(WAIT_SECONDS)
    remark("The server has stopped.")


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as problem:
        raise SetupError(
            f"port {port} cannot be used ({problem.strerror})",
            hint="Name another one with --port, or --port 0 for a free one.",
        ) from problem
