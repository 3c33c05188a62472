"""What the files in `deploy/` start."""

from collections.abc import Sequence

from click.testing import CliRunner

from data_fetch.cli.main import cli


def is_command(arguments: Sequence[str]) -> bool:
    """Whether `data-fetch ARGUMENTS` names a command and options that exist; it is not run."""
    return CliRunner().invoke(cli, [*arguments, "--help"]).exit_code == 0
