"""The commands and Python examples in README, tutorial, how-tos and reference work in order."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkout import CHECKOUT
from programs import PROGRAM, Desk, paper_exchange

PAGES = [
    CHECKOUT / "README.md",
    *sorted((CHECKOUT / "docs" / "tutorial").glob("*.md")),
    *sorted((CHECKOUT / "docs" / "howto").glob("*.md")),
    CHECKOUT / "docs" / "reference" / "reading.md",
]
# A remark before a block says how it is run: `<!-- not run: reason -->`, `<!-- exit status 3 -->`
# for commands that report incomplete data, `<!-- background -->` for servers.
REMARK = r"(?:<!-- (?P<remark>[^>]*) -->\n)?"
BLOCK = re.compile(REMARK + r"```console\n(?P<text>.*?)```", re.DOTALL)
EXAMPLE = re.compile(REMARK + r"```python\n(?P<text>.*?)```", re.DOTALL)
NOT_RUN = "not run: "
COMMAND = re.compile(r"^[$>] ((?:.*\\\n)*.*)\n((?:(?![$>] ).*\n)*)", re.MULTILINE)
PRINTED_PORT = "8900"
# What these print depends on how far the market's clock got meanwhile.
BOUND_TO_THE_CLOCK = ("run", "status")


@dataclass(frozen=True)
class Typed:
    """One command, and the lines that the page prints below it."""

    command: str
    printed: tuple[str, ...]

    @property
    def is_repeatable(self) -> bool:
        return not re.search(rf"data-fetch ({'|'.join(BOUND_TO_THE_CLOCK)})\b", self.command)


@dataclass(frozen=True)
class Block:
    """The commands of one console block, and the remark before it."""

    typed: tuple[Typed, ...]
    remark: str

    @property
    def why_not(self) -> str | None:
        return reason_in(self.remark)

    @property
    def statuses(self) -> set[int]:
        return {0, 3} if self.remark == "exit status 3" else {0}

    @property
    def in_background(self) -> bool:
        return self.remark == "background"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            tuple(
                Typed(command, tuple(line for line in output.splitlines() if line.strip()))
                for command, output in COMMAND.findall(found["text"])
            ),
            found["remark"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def reason_in(remark: str) -> str | None:
    """Why the block after *remark* is not run; None when it is."""
    return remark.removeprefix(NOT_RUN) if remark.startswith(NOT_RUN) else None


def examples_of(page: Path) -> list[tuple[str, str | None]]:
    """The Python code of *page*, each block with the reason why it is not run, if there is one."""
    text = page.read_text(encoding="utf-8")
    return [(found["text"], reason_in(found["remark"] or "")) for found in EXAMPLE.finditer(text)]


def name_of(page: Path) -> str:
    return page.relative_to(CHECKOUT).as_posix()


def excluded() -> Iterator[tuple[str, str, str]]:
    for page in PAGES:
        for block in blocks_of(page):
            if block.why_not is not None:
                yield name_of(page), block.typed[0].command, block.why_not
        for code, reason in examples_of(page):
            if reason is not None:
                yield name_of(page), code.splitlines()[0], reason


def shape_of(line: str) -> str:
    """The words of *line*: numbers, dates, paths and plurals differ from run to run."""
    words = ["#" if re.search(r"[\d/]", word) else word.rstrip("s,.:;") for word in line.split()]
    return " ".join(words)


def outdated_lines(typed: Typed, output: str) -> list[str]:
    """Lines of the page that the command does not print any more."""
    if not typed.is_repeatable:
        return []
    shapes = {shape_of(line) for line in output.splitlines()}
    return [line for line in typed.printed if shape_of(line) not in shapes]


class Shell:
    """A shell in a folder where `data-fetch` and `.venv/bin/data-fetch` are the checkout's."""

    def __init__(self, folder: Path, exchange: str) -> None:
        folder.mkdir()
        self._desk = Desk.at(folder, UPSTOX_BASE_URL=exchange, PYTHONPATH=str(CHECKOUT))
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "data-fetch").write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
        (programs / "data-fetch").chmod(0o755)
        self._desk.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._servers: list[subprocess.Popen[str]] = []

    def run(self, command: str, statuses: Container[int]) -> str:
        """All that *command* prints; it has to end with one of *statuses*."""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self._desk.folder,
            env=self._desk.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode in statuses, f"{command}: {done.returncode}\n{output}"
        return output

    def start(self, command: str) -> None:
        """Start a server; it listens when its first line is there."""
        server = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self._desk.folder,
            env=self._desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline(), f"{command} printed nothing"

    def close(self) -> None:
        for server in self._servers:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)


@contextmanager
def shell_for(page: Path, folder: Path) -> Iterator[Shell]:
    """A market in which a minute takes two seconds, where a page waits for minutes of it."""
    waits = any(re.search(r"data-fetch run\b", t.command) for b in blocks_of(page) for t in b.typed)
    (folder / "exchange").mkdir()
    speed = 30 if waits else 1
    with paper_exchange(folder / "exchange", "2026-10-30T09:16:00", speed) as url:
        shell = Shell(folder / "work", url)
        try:
            yield shell
        finally:
            shell.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.long
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.why_not is None for b in blocks_of(page))], ids=name_of
)
def test_the_commands_and_examples_of_a_page_work(page: Path, tmp_path: Path) -> None:
    port = str(free_port())
    with shell_for(page, tmp_path) as shell:
        for block in blocks_of(page):
            for typed in block.typed:
                command = typed.command.replace(PRINTED_PORT, port)
                if block.in_background:
                    shell.start(command)
                elif block.why_not is None:
                    output = shell.run(command, block.statuses)
                    assert outdated_lines(typed, output) == [], f"{command}\n{output}"
        # In one process, because the table libraries take long to load.
        code = "\n".join(code for code, why_not in examples_of(page) if why_not is None)
        if code:
            shell.run(shlex.join([sys.executable, "-c", code]), {0})


@pytest.mark.parametrize(("page", "command", "reason"), list(excluded()))
def test_commands_that_cannot_be_run_here(page: str, command: str, reason: str) -> None:
    """Listed as skipped, so that it is visible what no test runs."""
    pytest.skip(f"{page}: {command}: {reason}")
