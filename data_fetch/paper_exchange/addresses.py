"""Where the exchange of a working folder publishes its address."""

from pathlib import Path

import orjson

from data_fetch.core.errors import Unreachable, WrongWorld
from data_fetch.sources.paper_clock import fetch_paper_clock


def reachable_exchange(folder: Path) -> str | None:
    """The address of the exchange that serves *folder*; None when none is reachable."""
    return reachable(address_file(folder))


def address_file(folder: Path) -> Path:
    """Where the address of the exchange of *folder* is published."""
    return folder / "paper_exchange.json"


def reachable(address: Path) -> str | None:
    """The published address, if a paper exchange is reachable there."""
    url = published(address)
    if url is None:
        return None
    try:
        fetch_paper_clock(url)
    except (Unreachable, WrongWorld):
        # Gone, and another program may have its port.
        return None
    return url


def published(address: Path) -> str | None:
    """The address in the file, whether an exchange is there or not."""
    try:
        url: str = orjson.loads(address.read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url
