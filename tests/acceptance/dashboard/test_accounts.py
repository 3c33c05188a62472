"""A dashboard that needs accounts: nothing without signing in, and nothing after that is void."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import urlencode

import pytest
import urllib3
from effort import PATIENCE_SECONDS
from playwright.sync_api import Browser
from programs import Desk

pytestmark = pytest.mark.long
PASSWORD = "correct horse battery"
USER, PUBLIC = "desk@example.com", "visitor@example.com"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk with an account that may see everything and one that may not."""
    folder = tmp_path_factory.mktemp("accounts")
    desk = Desk.at(folder, DATA_SOURCE="paper", API_AUTHENTICATION="on")
    for email, role in ((USER, "user"), (PUBLIC, "public")):
        added = desk.run(
            "accounts", "add", email, "--name", role, "--role", role, stdin=PASSWORD + "\n"
        )
        assert added.returncode == 0, added.stderr
    return desk


@pytest.fixture(scope="module")
def address(
    desk: Desk, dashboard_of: Callable[[Desk], AbstractContextManager[str]]
) -> Iterator[str]:
    with dashboard_of(desk) as url:
        yield url


def get(url: str, **headers: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", url, headers=headers, redirect=False, timeout=PATIENCE_SECONDS)


def signing_in(address: str, email: str, password: str, wanted: str) -> urllib3.BaseHTTPResponse:
    form = urlencode({"email": email, "password": password, "next": wanted})
    return urllib3.request(
        "POST", f"{address}/sign-in", body=form, headers=FORM, redirect=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/today", "/_stcore/health", "/_stcore/stream", "/media/x"])
def test_nothing_is_answered_without_an_account(address: str, path: str) -> None:
    answer = get(address + path, Accept="text/html")

    assert answer.status == 401
    assert b'<form method="post" action="/sign-in">' in answer.data


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        (USER, "wrong", "Sign in"),
        ("nobody@example.com", PASSWORD, "Sign in"),
        (PUBLIC, PASSWORD, "data-fetch accounts role EMAIL user"),
        ("<b>", "", "Sign in"),
    ],
)
def test_who_is_not_let_in_gets_the_form_again(
    address: str, email: str, password: str, said: str
) -> None:
    answer = signing_in(address, email, password, "/")

    assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
    assert said in answer.data.decode()


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/today?symbol=NIFTY", "/today?symbol=NIFTY"),
        ("https://example.com/", "/"),
        ("//example.com/", "/"),
        ("/\\example.com/", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_to_the_wanted_page_of_this_dashboard(
    address: str, wanted: str, leads_to: str
) -> None:
    answer = signing_in(address, USER, PASSWORD, wanted)

    assert (answer.status, answer.headers["Location"]) == (303, leads_to)
    cookie = answer.headers["Set-Cookie"]
    assert re.search("HttpOnly.*SameSite=strict", cookie)
    token = cookie.partition(";")[0]
    assert get(f"{address}/_stcore/health", Cookie=token).status == 200
    assert get(f"{address}/_stcore/health", Cookie=token[:-1]).status == 401


def test_a_disabled_account_sees_nothing_more(address: str, desk: Desk, browser: Browser) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.goto(address)
    page.get_by_label("E-mail").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_websocket() as connection:
        page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Today").wait_for()

    with connection.value.expect_event("close"):
        assert desk.run("accounts", "disable", USER).returncode == 0

    page.goto(address)
    page.get_by_role("heading", name="Sign in").wait_for()
    page.close()
