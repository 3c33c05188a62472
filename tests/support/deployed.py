"""What the files in `deploy/` start, and the programs that check such files."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from checkout import CHECKOUT
from click.testing import CliRunner

from data_fetch.cli.main import cli

DEPLOY = CHECKOUT / "deploy"
IMAGE_USER = 10001


def is_command(arguments: Sequence[str]) -> bool:
    """Whether `data-fetch ARGUMENTS` names a command and options that exist; it is not run."""
    return CliRunner().invoke(cli, [*arguments, "--help"]).exit_code == 0


def checked(program: str, *arguments: str, package: str) -> "subprocess.CompletedProcess[str]":
    """What *program* finds; the test is skipped where it is not installed."""
    # The environment of the tests need not be an active one.
    own = Path(sys.executable).parent / program
    found = str(own) if own.exists() else shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed ({package})")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
