"""Collector and servers as services of a service manager, such as systemd."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import SYMBOLS, Desk, end, paper_exchange
from service_managers import ServiceManager, service_manager

# No job is due for hours.
NIGHT = "2026-09-16T01:00:00"
OFTEN = {"WATCHDOG_USEC": "100000"}


@pytest.fixture
def manager() -> Iterator[ServiceManager]:
    with service_manager() as manager:
        yield manager


@pytest.fixture
def desk(tmp_path: Path, manager: ServiceManager) -> Desk:
    return Desk.at(tmp_path, DATA_SOURCE="paper", NOTIFY_SOCKET=manager.name)


@contextmanager
def ended_after(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Stop *process* at the end as a service manager does; end it where the block has failed."""
    try:
        yield process
        end(process, signal.SIGTERM)
    finally:
        process.kill()


def test_a_collector_is_ready_shows_signs_of_life_at_night_and_reports_its_stop(
    desk: Desk, manager: ServiceManager, tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    (tmp_path / "exchange").mkdir()
    places = {"DATABASE_URL": store}
    with (
        paper_exchange(tmp_path / "exchange", NIGHT, speed=1) as places["UPSTOX_BASE_URL"],
        ended_after(desk.start("run", **places, **OFTEN)) as first,
    ):
        ready = manager.next_report()
        signs = [manager.next_report() for _ in range(3)]

        # Not ready as long as another one collects.
        with ended_after(desk.start("run", **places)):
            [waiting] = manager.await_report("STATUS=Waiting")
            first.send_signal(signal.SIGTERM)
            stopping = manager.await_report("STOPPING")
            taken_over = manager.await_report("READY")

    assert ready == [
        "READY=1",
        f"STATUS=Collecting {len(SYMBOLS)} of {len(SYMBOLS)} symbols into {store}, paper world",
    ]
    assert signs == [["WATCHDOG=1"]] * 3
    assert f"process {first.pid} on" in waiting
    assert stopping == ["STOPPING=1", "STATUS=Finishing the current slot"]
    assert taken_over == ready


@pytest.mark.parametrize(
    ("server", "path", "status"),
    [
        # Probes have no credentials.
        ("serve", "/health/live", 200),
        ("stream", "/health/live", 200),
        ("dashboard", "/", 401),
    ],
)
def test_a_server_is_ready_when_it_answers_and_reports_its_stop(
    server: str, path: str, status: int, desk: Desk, manager: ServiceManager
) -> None:
    guarded = {"API_AUTHENTICATION": "on", "JWT_SECRET": "s" * 32}
    with ended_after(desk.start(server, "--port", "0", "--json", **guarded)) as process:
        ready = manager.next_report()
        assert process.stdout is not None
        url = orjson.loads(process.stdout.readline())["url"]
        answer = urllib3.request("GET", url + path, timeout=PATIENCE_SECONDS)

    assert (ready, manager.next_report()) == (["READY=1"], ["STOPPING=1"])
    assert answer.status == status
