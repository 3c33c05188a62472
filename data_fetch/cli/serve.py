"""`data-fetch serve`: the store over HTTP."""

import sys

import click

from data_fetch.cli.shared.output import emit, json_option, print_out, remark
from data_fetch.cli.shared.server_process import listener_on, run_until_stopped, url_of
from data_fetch.core.settings import Settings
from data_fetch.runtime.exposure import refuse_exposed
from data_fetch.runtime.logs import API, logs_for
from data_fetch.runtime.settings import process_settings


@click.command()
@click.option("--host", help="Address to listen on.  [default: API_HOST, else 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for a free one.  [default: API_PORT, else 8000]",
)
@json_option
def command(host: str | None, port: int | None, as_json: bool) -> None:
    """Serve what is stored over HTTP until stopped.

    On this machine it is open for reading. On any other address every call needs an access
    token or an API key (data-fetch accounts), and JWT_SECRET has to be set.
    """
    # They take longer to load than most commands take to run.
    import uvicorn

    from data_fetch.serving.app import application
    from data_fetch.serving.listening import listening

    settings = _listening_where(process_settings(), host, port)
    refuse_exposed(settings)
    token = settings.access_token.get_secret_value()
    with (
        listener_on(settings.api_host, settings.api_port) as listener,
        logs_for(settings, lambda: token, API),
    ):
        url = url_of(listener)
        if as_json:
            emit({"url": url, "authentication": settings.needs_authentication})
        else:
            print_out(f"Serving on {url}, {_openness(settings)}. Its pages: {url}/docs")
        sys.stdout.flush()
        run_until_stopped(uvicorn.Server(listening(application(settings))), listener)
    remark("The server has stopped.")


def _listening_where(settings: Settings, host: str | None, port: int | None) -> Settings:
    """*settings* with the address that the options name."""
    given = {"api_host": host, "api_port": port}
    return settings.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


def _openness(settings: Settings) -> str:
    if settings.needs_authentication:
        return "for accounts and API keys (data-fetch accounts)"
    return "open for reading on this machine"
