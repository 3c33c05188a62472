"""The `.env` file: NAME=value lines in UTF-8, values as written.

A file that is not understood in every line is refused: a setting that is passed over in silence
would be replaced by a default, the paper exchange perhaps.
"""

import io
import os
import re
import stat
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from data_fetch.core.errors import SettingsInvalid

# `env` without an ending may also be a folder of Python's.
MISNAMED = re.compile(r"[._]?env(\.(txt|text|rtf|env))?", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Text of 16 bits a character that was read as one of 8 is full of NUL. A mark of the byte order
# inside a file comes from two files put together.
FOREIGN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")

KINDS = (
    (stat.S_ISDIR, "a folder (Docker creates one where the file to mount is missing)"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
AS_UTF8 = "Save it as UTF-8 text"
AS_FILE = "Remove it, or put a file with your settings there"


def read_env_file(path: Path) -> dict[str, str]:
    """The non-empty values of the file at *path*; none if there is no file.

    Raises SettingsInvalid when something is there that cannot be read, in any line.
    """
    text = _text_of(path)
    values: dict[str, str] = {}
    problems: list[str] = []
    for line in parse_stream(io.StringIO(text)):
        if _is_remark(line):
            continue
        if line.error or line.key is None or line.value is None or not NAME.fullmatch(line.key):
            # Not the line itself: it may be a token without its name.
            problems.append(
                f"{path}, line {line.original.line}: no assignment. Write NAME=value, or # before "
                "a remark"
            )
        elif line.value.strip():
            values[line.key] = line.value
    if problems:
        raise SettingsInvalid(problems)
    return values


def misplaced_env_files(folder: Path) -> list[Path]:
    """What was probably meant as the `.env` of *folder*, where there is none.

    Editors add an ending or take the dot away. The `.env` of the folder above counts when it can
    be read.
    """
    if os.path.lexists(folder / ".env"):
        return []
    try:
        listed = [each for each in sorted(folder.iterdir()) if MISNAMED.fullmatch(each.name)]
    except OSError:
        return []
    above = folder.parent / ".env"
    return [each for each in (*listed, above) if each.is_file()]


def _is_remark(line: Binding) -> bool:
    return line.key is None and not line.error


def _text_of(path: Path) -> str:
    try:
        # A link to nowhere is there, too.
        path.lstat()
    except FileNotFoundError:
        return ""
    except OSError as problem:
        raise _unreadable(path, problem.strerror or "unknown", AS_FILE) from None
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for is_kind, name in KINDS if is_kind(mode)), "no file")
            raise _unreadable(path, f"it is {kind}", AS_FILE)
        content = path.read_bytes()
    except OSError as problem:
        fix = "Let this user read it" if isinstance(problem, PermissionError) else AS_FILE
        raise _unreadable(path, problem.strerror or "unknown", fix) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise _unreadable(path, f"line {line} is not UTF-8", AS_UTF8) from None
    foreign = FOREIGN.search(text)
    if foreign is not None:
        line = text.count("\n", 0, foreign.start()) + 1
        raise _unreadable(path, f"line {line} has characters of another encoding", AS_UTF8)
    return text.replace(os.linesep, "\n")


def _unreadable(path: Path, why: str, fix: str) -> SettingsInvalid:
    return SettingsInvalid([f"{path} cannot be read: {why}. {fix}"])
