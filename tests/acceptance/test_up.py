"""Collector, API and dashboard together: one start, one end, and no failure that spreads."""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import Desk, end, paper_exchange
from stream_clients import plain

pytestmark = pytest.mark.long
FREE_PORTS = ("--api-port", "0", "--dashboard-port", "0")
READY = {"Dashboard", "API", "Streams"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose market has a minute every two seconds."""
    (place := tmp_path / "desk").mkdir()
    (exchange := tmp_path / "exchange").mkdir()
    with paper_exchange(exchange, "2026-09-16T10:00:00", 30) as url:
        yield Desk.at(place, DATA_SOURCE="paper", UPSTOX_BASE_URL=url)


def addresses(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What it prints when both servers listen, by its title."""
    assert process.stderr is not None
    found: dict[str, str] = {}
    for line in process.stderr:
        title, _, address = line.partition(" ")
        if title in READY:
            found[title] = address.strip()
        if set(found) == READY:
            return found
    raise AssertionError(f"it ended after {found}")


def status_of(url: str) -> int:
    return urllib3.request("GET", url, timeout=PATIENCE_SECONDS).status


def server(process: "subprocess.Popen[str]", name: str) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    return next(each for each in children if name in each.cmdline())


def test_a_dashboard_that_fails_is_started_again_and_collecting_goes_on(desk: Desk) -> None:
    with desk.start("up", *FREE_PORTS) as process:
        found, collector = addresses(process), server(process, "run")
        answers = [status_of(found["API"]), status_of(found["Dashboard"])]
        server(process, "dashboard").kill()
        again = dashboard_again(process)
        answers.append(status_of(again))
        assert server(process, "run") == collector
        end(process, signal.SIGTERM)

    assert (again, answers) == (found["Dashboard"], [200, 200, 200])
    assert process.returncode == 0


def dashboard_again(process: "subprocess.Popen[str]") -> str:
    """Where the dashboard is after it was started again."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("The dashboard has ended"):
            assert "collecting goes on. It is started again in 1 s." in line
        if line.startswith("Dashboard "):
            return line.split()[1]
    raise AssertionError("it was not started again")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_everything_ends_with_it(desk: Desk, how: signal.Signals) -> None:
    with desk.start("up", *FREE_PORTS) as process:
        addresses(process)
        children = psutil.Process(process.pid).children(recursive=True)
        end(process, how)

    assert len(children) == 3
    assert psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1] == []
    assert process.returncode == (-how if how is signal.SIGKILL else 0)


@pytest.mark.parametrize(
    ("options", "environment", "status", "words"),
    [
        pytest.param(("--minutes", "1"), {}, 0, "Stopped after 1 slot", id="the time is over"),
        pytest.param((), {"FNO_SYMBOLS_FILE": "nowhere.txt"}, 2, "nowhere.txt", id="wrong use"),
    ],
)
def test_it_ends_with_its_collector_and_with_its_status(
    desk: Desk, options: tuple[str, ...], environment: dict[str, str], status: int, words: str
) -> None:
    with desk.start("up", *FREE_PORTS, *options, **environment) as process:
        _, said = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == status
    assert words in said


def test_ticks_of_products_and_options_come_without_redis(desk: Desk) -> None:
    async def story(url: str) -> None:
        async with plain(url) as client:
            await client.asked("subscribe", {"type": "chain", "symbol": "NIFTY"}, "subscribed")
            await client.asked("subscribe", {"type": "ticks", "symbol": "NIFTY"}, "subscribed")
            assert (await client.next("tick_update"))["source"] == "paper"
            chain = await client.next("chain_update")
            at_the_money = chain["strikes"].index(chain["atm_strike"])
            name = chain["calls"][at_the_money]["symbol"]
            await client.asked("subscribe", {"type": "ticks", "symbol": name}, "subscribed")
            tick = await client.next("option_tick_update")
            assert (tick["symbol"], tick["product"]) == (name, "NIFTY")
            assert None not in (tick["iv"], tick["delta"], tick["open_interest"])

    with desk.start("up", *FREE_PORTS, FEED_ENABLED="true") as process:
        try:
            asyncio.run(story(addresses(process)["API"].removesuffix("/docs")))
        finally:
            end(process, signal.SIGTERM)


def test_a_port_that_is_taken_is_replaced_or_refused(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = desk.run("up", "--api-port", port)
        with desk.start("up", "--dashboard-port", "0", API_PORT=port) as process:
            found = addresses(process)
            end(process, signal.SIGTERM)

    assert (refused.returncode, f"port {port} cannot be used" in refused.stderr) == (2, True)
    assert not found["API"].endswith(f":{port}/docs")
