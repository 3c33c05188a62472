"""The former commands `make build`, `up`, `down` and `logs`, and `scripts/start-local.sh`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import CHECKOUT
from deployed import checked

SCRIPT = CHECKOUT / "scripts" / "start-local.sh"
COMPOSE = "compose --file deploy/docker-compose.yml"

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that these commands read, and a PATH without Docker."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    shutil.copytree(CHECKOUT / "scripts", tmp_path / "scripts")
    (tmp_path / "deploy").mkdir()
    for name in ("make", "sh", "bash", "env", "dirname", "touch"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def ran(checkout: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    # `make test` would pass its own options on.
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    environment = {**own, "PATH": str(checkout / "bin")}
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("build", "build"),
        ("up", "up --build --detach"),
        ("down", "down"),
        ("logs", "logs --follow --tail 100"),
    ],
)
def test_with_docker_it_is_a_command_of_compose(checkout: Path, target: str, sent: str) -> None:
    program(checkout / "bin", "docker", 'echo "$@"')
    (checkout / "deploy" / ".env").touch()

    assert ran(checkout, "make", target).stdout == f"{COMPOSE} {sent}\n"


@pytest.mark.parametrize("target", ["build", "up", "down", "logs"])
def test_without_docker_the_way_without_it_is_named(checkout: Path, target: str) -> None:
    (checkout / "deploy" / ".env").touch()

    done = ran(checkout, "make", target)

    assert done.returncode == 2
    assert "Docker with Compose is missing" in done.stderr
    assert "make run" in done.stderr


def test_without_passwords_nothing_is_started(checkout: Path) -> None:
    program(checkout / "bin", "docker", 'echo "$@"')

    done = ran(checkout, "make", "up")

    assert (done.returncode, done.stdout) == (2, "")
    assert "deploy/.env" in done.stderr


def test_the_script_makes_the_environment_once_and_starts_everything(checkout: Path) -> None:
    program(checkout / "bin", "python3", 'test "$2" != venv || mkdir -p .venv/bin')
    program(checkout / ".venv" / "bin", "python", "")
    program(checkout / ".venv" / "bin", "data-fetch", 'echo data-fetch "$@"')

    first, second = (ran(checkout, "scripts/start-local.sh", "--minutes", "3") for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "Installing" in first.stdout
    assert second.stdout == "data-fetch up --minutes 3\n"


def test_a_machine_without_make_is_shown_what_to_do(checkout: Path) -> None:
    (checkout / "bin" / "make").unlink()

    done = ran(checkout, "scripts/start-local.sh")

    assert done.returncode == 2
    assert "make is missing" in done.stderr


def test_shellcheck_finds_nothing() -> None:
    scripts = (SCRIPT, CHECKOUT / ".ci" / "run", CHECKOUT / "examples" / "curl-examples.sh")
    found = checked("shellcheck", *map(str, scripts), package="Debian: shellcheck")

    assert (found.returncode, found.stdout) == (0, "")
