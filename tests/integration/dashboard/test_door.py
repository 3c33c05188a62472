"""The cookie of an account that has signed in to the dashboard."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
import urllib3
from account_shelf import PASSWORD, accounts_in
from candle_shelf import environment_for
from effort import PATIENCE_SECONDS
from served import serving
from starlette.responses import PlainTextResponse

from data_fetch.core.accounts.accounts import Role
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.dashboard.door import COOKIE, Door
from data_fetch.dashboard.porter import Porter
from data_fetch.reading.kept_open import KeptOpen
from data_fetch.storage.database.store import open_store

EMAIL = "desk@example.com"
FORM = urlencode({"email": EMAIL, "password": PASSWORD, "next": "/"})
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
BY_TLS, BY_HTTP = {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "http"}
THIS_MACHINE, ANOTHER = "127.0.0.1", "192.0.2.1"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """A door of a desk with one account."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    settings = Settings.load({**environment_for(url), "API_AUTHENTICATION": "on"}, tmp_path)
    store = open_store(url, World.LIVE)
    accounts_in(store).add(EMAIL, "Desk", PASSWORD, Role.USER)
    store.close()
    kept = KeptOpen()
    yield Door(PlainTextResponse("shown"), Porter(settings, kept))
    kept.close()


@pytest.mark.parametrize(
    ("headers", "trusted", "secure"),
    [
        pytest.param({}, THIS_MACHINE, False, id="without TLS"),
        pytest.param(BY_TLS, THIS_MACHINE, True, id="TLS at a proxy that is trusted"),
        pytest.param(BY_TLS, ANOTHER, False, id="a sender that only says so"),
        pytest.param(BY_HTTP, THIS_MACHINE, False, id="a proxy without TLS"),
    ],
)
def test_the_cookie_is_for_TLS_where_TLS_was_used(
    door: Door,
    headers: dict[str, str],
    trusted: str,
    secure: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    with serving(door) as server:
        answers = {
            path: urllib3.request(
                "POST", server.url + path, body=FORM, headers={**FORM_TYPE, **headers},
                redirect=False, timeout=PATIENCE_SECONDS,
            )
            for path in ("/sign-in", "/sign-out")
        }  # fmt: skip

    kept = {
        path: SimpleCookie(answer.headers["Set-Cookie"])[COOKIE] for path, answer in answers.items()
    }
    assert [bool(cookie.value) for cookie in kept.values()] == [True, False]
    assert [int(cookie["max-age"]) for cookie in kept.values()] == [12 * 3600, 0]
    for cookie in kept.values():
        assert bool(cookie["secure"]) is secure
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
