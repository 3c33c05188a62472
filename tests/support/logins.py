"""Logins in tests: tokens as JWTs, and a browser that does what a person would do."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread

import urllib3

YEAR = timedelta(days=365)


def jwt(**claims: object) -> str:
    """An unsigned JWT with *claims*."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part(claims)}.c2ln"


def token_for(issued_at: datetime, lasting: timedelta, user: str = "AB1234") -> str:
    """A token of *user* with its times in it."""
    ends = issued_at + lasting
    return jwt(sub=user, iat=int(issued_at.timestamp()), exp=int(ends.timestamp()))


class Browser:
    """Opens addresses as `webbrowser.open` does: it returns at once, and follows redirects.

    *changed* may change the address of the dialog first.
    """

    def __init__(self, changed: Callable[[str], str] = lambda url: url) -> None:
        self.pages: list[str] = []
        self._changed = changed

    def open(self, url: str) -> bool:
        Thread(target=self._visit, args=(self._changed(url),), daemon=True).start()
        return True

    def _visit(self, url: str) -> None:
        self.pages.append(urllib3.request("GET", url, retries=5, timeout=10).data.decode())
