"""`data-fetch serve` as a process."""

import signal
import socket
import subprocess
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.at(tmp_path, DATA_SOURCE="paper")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_what_was_collected_until_it_is_stopped(desk: Desk, stop: signal.Signals) -> None:
    desk.json("chain", "collect", "--symbols", "NIFTY")
    server = desk.start("serve", "--port", "0", "--json")
    try:
        assert server.stdout is not None
        url = orjson.loads(server.stdout.readline())["url"]
        assert url.startswith("http://127.0.0.1:")
        chain = urllib3.request("GET", f"{url}/option-chain/NIFTY", timeout=PATIENCE_SECONDS)
        health = urllib3.request("GET", f"{url}/health", timeout=PATIENCE_SECONDS)
        server.send_signal(stop)
        _, said = server.communicate(timeout=PATIENCE_SECONDS)
    finally:
        server.kill()

    assert chain.status == 200
    assert orjson.loads(chain.data)["total_calls"] > 20
    assert orjson.loads(health.data)["total_records"] > 40
    assert (server.returncode, said) == (0, "The server has stopped.\n")


def test_a_port_in_use_is_refused_with_the_fix(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused: subprocess.CompletedProcess[str] = desk.run("serve", "--port", str(port))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"port {port} cannot be used" in refused.stderr
    assert "--port" in refused.stderr
