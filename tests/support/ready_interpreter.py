"""Commands in processes of their own that need not import the product anew.

Most of the time of a short command is the start of an interpreter and the reading of modules. A
server process reads them once, and each command is a fork of it with its own environment, folder
and files. Programs that are stopped or killed by a test are started as users start them.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from effort import PATIENCE_SECONDS

STREAMS = ("stdin", "stdout", "stderr")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["data_fetch.cli.main", "data_fetch.reading"])


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str
) -> "subprocess.CompletedProcess[str]":
    """`data-fetch ARGUMENTS` in *folder*. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / name for name in STREAMS]
        files[0].write_text(stdin, encoding="utf-8")
        command = _context.Process(
            target=_command, args=(arguments, folder, dict(environment), files)
        )
        command.start()
        command.join(PATIENCE_SECONDS)
        if command.exitcode is None:
            command.kill()
            raise subprocess.TimeoutExpired(list(arguments), PATIENCE_SECONDS)
        printed, remarks = (file.read_text(encoding="utf-8") for file in files[1:])
        return subprocess.CompletedProcess(arguments, command.exitcode, printed, remarks)


def _command(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], files: Sequence[Path]
) -> None:
    """In the fork: what the shell and the interpreter do before the product begins."""
    for number, (file, flags) in enumerate(
        zip(files, (os.O_RDONLY, *(os.O_WRONLY | os.O_CREAT,) * 2), strict=True)
    ):
        os.dup2(os.open(file, flags, 0o600), number)
    # A process of this kind begins with an empty standard input.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open until it ends
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    sys.argv = ["data-fetch", *arguments]
    sys.path.insert(0, str(folder))
    runpy.run_module("data_fetch", run_name="__main__")
