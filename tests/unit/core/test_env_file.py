"""The `.env` file: every line is understood, or the file is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data_fetch.core.env_file import read_env_file
from data_fetch.core.errors import SettingsInvalid

TOKEN = "UPSTOX_ACCESS_TOKEN=tok-4711\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param(
            "A=1\n\n# remark\n  B = two words \nC='3'\n",
            {"A": "1", "B": "two words", "C": "3"},
            id="plain",
        ),
        pytest.param(
            "export A=1 # remark\r\nB=2\r\n",
            {"A": "1", "B": "2"},
            id="as for a shell, from Windows",
        ),
        pytest.param("A=\nB= \nC=''\n", {}, id="empty values are not set"),
        pytest.param("A=1\nA=\n", {"A": "1"}, id="nor do they take a value away"),
        pytest.param(
            'A=pa${HOME}ss\nB="x$B"\nC=$A\n',
            {"A": "pa${HOME}ss", "B": "x$B", "C": "$A"},
            id="a dollar sign is a dollar sign",
        ),
        pytest.param("A='p a#s\"s'\nB=p#q\n", {"A": 'p a#s"s', "B": "p#q"}, id="odd signs"),
        pytest.param("\ufeffA=1\n", {"A": "1"}, id="with a byte order mark"),
    ],
)
def test_values_are_as_written(tmp_path: Path, text: str, values: dict[str, str]) -> None:
    (tmp_path / ".env").write_bytes(text.encode())

    assert read_env_file(tmp_path / ".env") == values


@pytest.mark.parametrize(
    "line",
    [
        "this is = not",
        "=x",
        "[[[",
        "tok-4711",
        "UPSTOX_ACCESS_TOKEN",
        "UPSTOX_ACCESS_TOKEN: tok-4711",
        "UPSTOX_ACCESS_TOKEN tok-4711",
        "set UPSTOX_ACCESS_TOKEN=tok-4711",
        "UPSTOX_ACCESS_TOKEN='tok-4711",
        "\u200bUPSTOX_ACCESS_TOKEN=tok-4711",
        "$env:UPSTOX_ACCESS_TOKEN=tok-4711",
    ],
)
def test_a_line_that_is_no_assignment_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"A=1\n{line}\n", encoding="utf-8")

    with pytest.raises(SettingsInvalid, match="line 2: no assignment") as raised:
        read_env_file(tmp_path / ".env")

    assert "4711" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(TOKEN.encode("utf-16"), "line 1 is not UTF-8", id="UTF-16"),
        pytest.param(TOKEN.encode("utf-16-le"), "line 1 has characters of another", id="no mark"),
        pytest.param(b"A=1\n" + TOKEN.encode("utf-16-le"), "line 2 has characters", id="in part"),
        pytest.param(b"A=1\n" + TOKEN.encode("utf-16"), "line 2 is not UTF-8", id="half marked"),
        pytest.param(b"A=1\n\xef\xbb\xbf" + TOKEN.encode(), "line 2 has characters", id="joined"),
        pytest.param(b"A=1\n# f\xfcr\n" + TOKEN.encode(), "line 2 is not UTF-8", id="Latin-1"),
    ],
)
def test_another_encoding_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / ".env").write_bytes(content)

    with pytest.raises(SettingsInvalid, match=f"cannot be read: {why}.*Save it as UTF-8"):
        read_env_file(tmp_path / ".env")


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder": (Path.mkdir, "it is a folder"),
    "pipe": (os.mkfifo, "it is a pipe"),
    "device": (lambda path: path.symlink_to("/dev/null"), "it is a device"),
    "link to itself": (loop, "Too many levels of symbolic links"),
    "link to nowhere": (dangling, "No such file"),
}


@pytest.mark.skipif(os.name == "nt", reason="such files are of POSIX")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_not_taken_for_no_settings(tmp_path: Path, kind: str) -> None:
    make, why = KINDS[kind]
    make(tmp_path / ".env")

    with pytest.raises(SettingsInvalid, match=f"cannot be read: {why}.*Remove it"):
        read_env_file(tmp_path / ".env")


def test_no_file_has_no_settings(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}
