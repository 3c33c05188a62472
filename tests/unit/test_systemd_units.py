"""The units of systemd: systemd accepts them, they are hardened, and what they start exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deployed import DEPLOY, checked, is_command

from data_fetch.cli.run import STOP_SECONDS
from data_fetch.cli.shared.output import WRONG_USE

UNITS = DEPLOY / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
COMMON = UNITS / "data-fetch-.service.d" / "common.conf"
PROGRAM = "/opt/data-fetch/bin/data-fetch"
# In tenths, of ten: a unit without hardening has 92.
MOST_EXPOSED = 20

each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.stem)


def setting(file: Path, name: str) -> str:
    """The one value of *name* in *file*."""
    [value] = re.findall(rf"^{name}=(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return str(value)


def analysed(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What systemd-analyze finds in a copy of the units whose program exists."""
    shutil.copytree(UNITS, folder, dirs_exist_ok=True)
    for service in folder.glob("*.service"):
        text = service.read_text(encoding="utf-8")
        service.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    copies = [str(folder / service.name) for service in SERVICES]
    return checked("systemd-analyze", *arguments, *copies, package="Debian: the package systemd")


def test_systemd_knows_every_key_and_value(tmp_path: Path) -> None:
    found = analysed(tmp_path, "verify")

    # It ends with status 0 whatever it has found.
    assert found.stdout + found.stderr == ""


def test_the_services_are_hardened(tmp_path: Path) -> None:
    found = analysed(
        tmp_path, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"
    )

    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count("Overall exposure level") == len(SERVICES)


@each_service
def test_a_service_starts_a_command_that_exists(service: Path) -> None:
    program, *arguments = setting(service, "ExecStart").split()

    assert program == PROGRAM
    assert is_command(arguments)


@pytest.mark.parametrize("wrong", [["work"], ["run", "--often"], ["db", "raise"]])
def test_a_command_that_does_not_exist_is_noticed(wrong: list[str]) -> None:
    assert not is_command(wrong)


@each_service
def test_a_service_reports_when_it_is_ready_and_is_started_again_after_failures(
    service: Path,
) -> None:
    assert setting(service, "Type") == "notify"
    assert setting(service, "Restart") == "on-failure"
    assert setting(service, "RestartPreventExitStatus") == str(WRONG_USE)


def test_the_collector_has_the_time_that_a_stop_needs() -> None:
    assert float(setting(UNITS / "data-fetch-collector.service", "TimeoutStopSec")) > STOP_SECONDS


def test_no_unit_holds_a_setting_of_the_product() -> None:
    environment = [
        line
        for file in [*SERVICES, COMMON]
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("Environment")
    ]

    assert environment == [
        "EnvironmentFile=-/etc/data-fetch/data-fetch.env",
        "Environment=PYTHONFAULTHANDLER=1",
    ]
