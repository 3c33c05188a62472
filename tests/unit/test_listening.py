"""Where servers listen: on this machine, until a user names another address."""

import re
from ipaddress import ip_address
from pathlib import Path

import click
import pytest
from checkout import CHECKOUT
from click.testing import CliRunner

from data_fetch.cli.main import COMMANDS, cli
from data_fetch.cli.shared.server_process import listener_on, server_settings

# What opens a port. A further place has to have its own line in the tests below.
OPENS_A_PORT = re.compile(r"\.bind\(|\.listen\(\)|TCPSite|SockSite|start_http_server|HTTPServer\(")
PLACES = {
    "cli/shared/server_process.py",
    "paper_exchange/exchange.py",
    # For the redirect of a login, on loopback only.
    "sources/upstox/login_redirect.py",
}
ANYWHERE = "0.0.0.0"


def commands_with_a_host() -> set[str]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    return {
        name
        for name, command in found.items()
        if command is not None and any(each.name == "host" for each in command.params)
    }


@pytest.fixture(autouse=True)
def nothing_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("API_HOST", "API_AUTHENTICATION", "JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_else_opens_a_port() -> None:
    package = CHECKOUT / "data_fetch"
    found = {
        module.relative_to(package).as_posix()
        for module in package.rglob("*.py")
        if OPENS_A_PORT.search(module.read_text(encoding="utf-8"))
    }

    assert found == PLACES
    assert commands_with_a_host() == {"serve", "stream", "dashboard", "paper-exchange"}


def test_servers_listen_on_loopback() -> None:
    with listener_on(server_settings(None).api_host, 0) as listener:
        assert ip_address(listener.getsockname()[0]).is_loopback


def test_the_paper_exchange_listens_on_loopback() -> None:
    command = cli.get_command(click.Context(cli), "paper-exchange")
    assert command is not None
    [host] = [each.default for each in command.params if each.name == "host"]

    assert ip_address(str(host)).is_loopback


@pytest.mark.parametrize("name", ["serve", "stream", "dashboard"])
@pytest.mark.parametrize("by", ["option", "setting"])
def test_elsewhere_a_server_needs_a_secret_before_it_listens(
    name: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--host", ANYWHERE] if by == "option" else []
    if by == "setting":
        monkeypatch.setenv("API_HOST", ANYWHERE)

    refused = CliRunner().invoke(cli, [name, *options, "--port", "0"])

    assert refused.exit_code != 0
    assert "JWT_SECRET" in str(refused.exception)
