"""A small scripted server in place of NSE's website, and a client of it."""

from pathlib import Path
from typing import Any

import orjson
from paced import file_pacer
from upstox_stub import Scripted, Seen, Stub

from data_fetch.core.clock import VirtualClock
from data_fetch.core.ports import Pacing
from data_fetch.core.world import World
from data_fetch.sources.nse.limits import NSE_LIMITS
from data_fetch.sources.nse.site import NseSite
from data_fetch.sources.transport.pacing import Pacer

PAGES = ("/option-chain", "/")
INFO = {"expiryDates": ["15-Sep-2026", "29-Sep-2026"], "strikePrice": ["22650"]}
DENIED = Scripted(403, b"<html><title>Access Denied</title></html>")
PAGE = Scripted(body=b"<!DOCTYPE html><html><title>Option Chain</title></html>")


def json(given: Any, status: int = 200) -> Scripted:
    return Scripted(status, orjson.dumps(given))


def page(number: int = 1) -> Scripted:
    """A page that hands out the cookies of its visit."""
    return Scripted(200, PAGE.body, {"Set-Cookie": f"nseappid=visit{number}; path=/; HttpOnly"})


class NseScript:
    """Pages set cookies, and requests with them get the *answers* in turn, the last one again
    and again."""

    def __init__(self, *answers: Scripted) -> None:
        self._answers = list(answers)
        self.visits = 0

    def __call__(self, seen: Seen) -> Scripted:
        if seen.path in PAGES:
            self.visits += 1
            return page(self.visits)
        if seen.headers.get("Cookie") != f"nseappid=visit{self.visits}":
            return json({"error": "no visit"}, 401)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def visiting(stub: Stub, *answers: Scripted) -> None:
    stub.script = NseScript(*answers)


def site_for(
    url: str, clock: VirtualClock, pacing: Pacing, *, enabled: bool = True, seconds: float = 5
) -> NseSite:
    return NseSite(
        world=World.LIVE,
        pacing=pacing,
        clock=clock,
        base_url=url,
        enabled=enabled,
        timeout_seconds=seconds,
    )


def nse_pacer(folder: Path, clock: VirtualClock) -> Pacer:
    return file_pacer(folder, clock, NSE_LIMITS)


def paths(stub: Stub) -> list[str]:
    return [seen.path.rpartition("/")[2] for seen in stub.seen]
