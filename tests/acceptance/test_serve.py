"""`data-fetch serve` as a process."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import orjson
import pytest
import urllib3
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS
from programs import Desk, end


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
    assert (server.returncode, said) == (0, "The API has stopped.\n")
    logged = [orjson.loads(line) for line in (desk.folder / "logs" / "api.log").open()]
    requests = [line["route"] for line in logged if line["event"] == "request"]
    assert requests == ["/option-chain/{symbol}", "/health"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_calls_of_the_older_backends_work_from_a_shell(desk: Desk) -> None:
    desk.json("chain", "collect", "--symbols", "NIFTY")
    server = desk.start("serve", "--port", "0", "--json")
    try:
        assert server.stdout is not None
        url = orjson.loads(server.stdout.readline())["url"]
        shell = subprocess.run(
            [str(CHECKOUT / "examples" / "curl-examples.sh")],
            env={**desk.environment, "BASE_URL": url},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    finally:
        end(server, signal.SIGTERM)

    assert (shell.returncode, shell.stderr) == (0, "")
    shown = shell.stdout.splitlines()
    for line in ("  symbol: NIFTY", "  chains.0.product: NIFTY", "  valid: True"):
        assert line in shown
    assert [line for line in shown if line.endswith(": None")] == []


def test_a_port_in_use_is_refused_with_the_fix(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused: subprocess.CompletedProcess[str] = desk.run("serve", "--port", str(port))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"port {port} cannot be used" in refused.stderr
    assert "--port" in refused.stderr


ELSEWHERE = ("serve", "--host", "0.0.0.0", "--port", "0")
SECRET = "a secret of more than thirty-two bytes"


@pytest.mark.parametrize(
    ("arguments", "settings", "fix"),
    [
        pytest.param(ELSEWHERE, {}, "JWT_SECRET", id="without a secret"),
        pytest.param(ELSEWHERE, {"JWT_SECRET": "x" * 31}, "at least 32", id="31 bytes"),
        pytest.param(
            ELSEWHERE,
            {"JWT_SECRET": SECRET, "API_AUTHENTICATION": "off"},
            "Remove API_AUTHENTICATION",
            id="without authentication",
        ),
        pytest.param(
            ("serve", "--port", "0"), {"API_HOST": "192.0.2.1"}, "JWT_SECRET", id="by a setting"
        ),
        pytest.param(
            ("serve", "--port", "0"), {"JWT_SECRET": "short"}, "at least 32", id="short here, too"
        ),
    ],
)
def test_it_does_not_start_where_others_could_read(
    desk: Desk, arguments: tuple[str, ...], settings: dict[str, str], fix: str
) -> None:
    refused = desk.run(*arguments, **settings)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert fix in refused.stderr
    assert "x" * 31 not in refused.stderr


def test_accounts_and_keys_of_the_commands_open_a_server_that_needs_them(desk: Desk) -> None:
    password = "a password of the desk"
    added = desk.run("accounts", "add", "asha@example.com", "--name", "Asha", stdin=password)
    key = desk.json("accounts", "keys", "add", "asha@example.com", "--name", "notebook")
    server = desk.start("serve", "--port", "0", "--json", API_AUTHENTICATION="on")
    try:
        assert server.stdout is not None
        started = orjson.loads(server.stdout.readline())
        url = f"{started['url']}/health"
        without = urllib3.request("GET", url, timeout=PATIENCE_SECONDS)
        by_key = urllib3.request(
            "GET", url, headers={"X-API-Key": key["key"]}, timeout=PATIENCE_SECONDS
        )
        login = urllib3.request(
            "POST",
            f"{started['url']}/api/auth/login",
            json={"email": "asha@example.com", "password": password},
            timeout=PATIENCE_SECONDS,
        )
        token = login.json()["token"]
        by_token = urllib3.request(
            "GET", url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
        )
    finally:
        out, err = end(server, signal.SIGTERM)

    assert (added.returncode, started["authentication"]) == (0, True)
    assert [each.status for each in (without, by_key, login, by_token)] == [401, 200, 200, 200]
    assert (desk.folder / "data" / "jwt_secret").stat().st_mode & 0o777 == 0o600
    [listed] = desk.json("accounts", "keys", "list")["keys"]
    assert listed["last_used_at"] is not None
    kinds = [each["kind"] for each in desk.json("accounts", "events")["events"]]
    assert set(kinds) == {"registered", "key_added", "unauthenticated", "signed_in"}
    written = "".join(file.read_text() for file in (desk.folder / "logs").glob("*.log"))
    for secret in (password, key["key"], token):
        assert secret not in added.stdout + added.stderr + out + err + written


def test_it_describes_its_calls_without_serving(desk: Desk) -> None:
    described = desk.json("serve", "--openapi")

    assert described["openapi"].startswith("3.")
    assert "/option-chain/{symbol}" in described["paths"]
