"""Which responses a world takes: the paper exchange marks its own, no provider does."""

import ast
from itertools import product
from pathlib import Path

import pytest
from checkout import CHECKOUT
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

from data_fetch.core.errors import WrongWorld
from data_fetch.core.world import PAPER_MARK, World
from data_fetch.sources.transport.world_check import WorldCheck

URL = "http://me:secret@127.0.0.1:9388/path?token=secret"
# They open connections for others and send nothing.
OPENERS = {"bounded.py", "session.py"}
SOURCES = CHECKOUT / "data_fetch" / "sources"


@pytest.mark.parametrize(
    ("world", "marked", "refused"),
    [
        (World.LIVE, True, "http://127.0.0.1:9388 is a paper exchange"),
        (World.LIVE, False, None),
        (World.PAPER, True, None),
        (World.PAPER, False, "http://127.0.0.1:9388 is no paper exchange"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "name"),
    [*product([HTTPHeaderDict, CaseInsensitiveDict], [PAPER_MARK, PAPER_MARK.lower()])],
)
def test_a_world_takes_its_own(
    world: World, marked: bool, refused: str | None, headers: type, name: str
) -> None:
    received = headers({"Date": "now", **({name: ""} if marked else {})})
    check = WorldCheck(world, "NSE_BASE_URL")

    if refused is None:
        check.check(URL, received)
        return
    with pytest.raises(WrongWorld) as refusal:
        check.check(URL, received)

    assert refusal.value.message.startswith(refused)
    assert "NSE_BASE_URL" in refusal.value.hint
    assert "secret" not in str(refusal.value)


def test_whatever_sends_http_requests_has_the_check() -> None:
    senders = [
        path
        for path in SOURCES.rglob("*.py")
        if imported(path) & {"urllib3", "requests"} and path.name not in OPENERS
    ]

    assert len(senders) >= 4
    for path in senders:
        assert "data_fetch.sources.transport.world_check" in imported(path), path


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found: set[str] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found
