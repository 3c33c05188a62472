"""`data-fetch up`: collector, API and dashboard together."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import sleep
from types import FrameType

import click

from data_fetch.cli.shared.output import counted, remark
from data_fetch.cli.shared.server_process import listener_on, server_settings
from data_fetch.core.errors import SetupError
from data_fetch.scheduling.companions import LOOK_SECONDS, Companion, beside, started_apart

PROGRAM = (sys.executable, "-m", "data_fetch")
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
# Of a shell, for a program that a signal ended.
SIGNALLED = 128
PORT = click.IntRange(0, 65_535)


@click.command()
@click.option(
    "--minutes", type=click.IntRange(min=1), help="Stop after so many minutes of the market."
)
@click.option("--api-port", type=PORT, help="0 for a free one.  [default: API_PORT, else 8000]")
@click.option(
    "--dashboard-port", type=PORT, help="0 for a free one.  [default: DASHBOARD_PORT, else 8501]"
)
@click.option(
    "--control", is_flag=True, help="Let the dashboard request chains and start backfills."
)
def command(
    minutes: int | None, api_port: int | None, dashboard_port: int | None, control: bool
) -> None:
    """Collect, serve and show what is stored until Ctrl-C, which ends all of it.

    Where ALERT_URLS is set, what is wrong is watched for too. An API or a dashboard that fails is
    started again and never stops the collector. When the collector ends, the others end; the exit
    status is the collector's.
    """
    settings = server_settings(None)
    host = settings.api_host
    api = _companion(
        "The API",
        ("serve", "--port", _port(host, settings.api_port, api_port)),
        ready=_show_api,
    )
    dashboard = _companion(
        "The dashboard",
        (
            *("dashboard", "--port", _port(host, settings.dashboard_port, dashboard_port)),
            *(("--control",) if control else ()),
        ),
        ready=_show_dashboard,
    )
    watcher = _companion("The alert watcher", ("alerts", "watch"), ready=_show_watcher)
    with ExitStack() as companions:
        for each in (api, dashboard, *([watcher] if settings.alert_urls else [])):
            companions.enter_context(beside(each, remark))
        status = _collect(() if minutes is None else ("--minutes", str(minutes)))
    raise SystemExit(status)


def _companion(name: str, command: Sequence[str], ready: Callable[[str], None]) -> Companion:
    return Companion(
        name=name,
        command=(*PROGRAM, *command, "--json", "--with-parent"),
        first_wait=FIRST_WAIT_SECONDS,
        longest_wait=LONGEST_WAIT_SECONDS,
        ready=ready,
    )


def _port(host: str, usual: int, named: int | None) -> str:
    """The port of a server, the same each time it is started: the *named* one, else the *usual*
    one, or a free one where another program has that. Raises SetupError for a named one."""
    try:
        listener = listener_on(host, usual if named is None else named)
    except SetupError as problem:
        if named is not None:
            raise
        listener = listener_on(host, 0)
        remark(f"{problem.message}; another one is used.")
    with listener:
        return str(listener.getsockname()[1])


def _show_api(line: str) -> None:
    url = json.loads(line)["url"]
    remark(f"API       {url}/docs")
    remark(f"Streams   {url.replace('http', 'ws', 1)}/ws")


def _show_dashboard(line: str) -> None:
    remark(f"Dashboard {json.loads(line)['url']}")


def _show_watcher(line: str) -> None:
    remark(f"Alerts    to {counted(json.loads(line)['channels'], 'channel')}")


def _collect(options: Sequence[str]) -> int:
    """The exit status of a collector. A signal to this process lets it finish its slot and end; a
    second one ends it at once."""
    with started_apart([*PROGRAM, "run", "--with-parent", *options]) as collector:
        stopping = _Stopping(collector)
        # Some systems deliver a signal only between two waits.
        while collector.poll() is None:
            sleep(LOOK_SECONDS)
    status = collector.returncode
    if stopping.begun and status == -signal.SIGTERM:
        # It had not begun to collect.
        return 0
    return status if status >= 0 else SIGNALLED - status


class _Stopping:
    """Ends a collector by signals to this process."""

    def __init__(self, collector: "subprocess.Popen[bytes]") -> None:
        self._collector = collector
        self.begun = False
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._stop)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        if self.begun:
            self._collector.kill()
            return
        self.begun = True
        assert self._collector.stdin is not None
        self._collector.stdin.close()
