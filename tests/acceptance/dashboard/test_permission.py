"""Which accounts start backfills and request chains: admins.

To others the server refuses what they send, too.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from effort import PATIENCE_SECONDS
from playwright.sync_api import Browser, Page, WebSocketRoute
from programs import Desk
from streamlit.proto.BackMsg_pb2 import BackMsg

pytestmark = pytest.mark.long
PASSWORD = "correct horse battery"
ADMIN, USER = "admin@example.com", "user@example.com"
VIEW = "/coverage?days=15&until=2025-10-21&symbol=TCS&day=2025-10-14"
PLAN = "The plan: 1 request for 375 minutes."
# Promises the end of the run of the script that is sent for next: one may be under way.
ENDED = """() => { window.ended = new Promise(done => {
    const app = document.querySelector('[data-testid="stApp"]');
    let ends = 0;
    new MutationObserver(() => {
        if (app.dataset.testScriptState === "notRunning") ends += 1;
        if (ends === 2) done();
    }).observe(app, { attributeFilter: ["data-test-script-state"] });
}); }"""


class Line:
    """What a page sends to its server, except clicks: those are kept, and sent by `send`."""

    def __init__(self, page: Page) -> None:
        self.clicks: list[bytes] = []
        page.route_web_socket("**/_stcore/stream", self._connect)

    def _connect(self, page_side: WebSocketRoute) -> None:
        self._server_side = page_side.connect_to_server()
        page_side.on_message(self._pass_on)

    def _pass_on(self, message: bytes | str) -> None:
        if isinstance(message, bytes) and _is_click(message):
            self.clicks.append(message)
        else:
            self._server_side.send(message)

    def send(self, message: bytes) -> None:
        self._server_side.send(message)


def _is_click(message: bytes) -> bool:
    states = BackMsg.FromString(message).rerun_script.widget_states.widgets
    return any(each.trigger_value for each in states)


def signed_in(browser: Browser, url: str, email: str) -> tuple[Page, Line]:
    """The page with VIEW in a browser of its own, and its line."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    line = Line(page)
    page.goto(url + VIEW)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(PLAN).wait_for()
    return page, line


def test_only_admins_start_backfills_and_request_chains(
    browser: Browser,
    dashboard_of: Callable[..., AbstractContextManager[str]],
    rehearsed_copy: Desk,
) -> None:
    desk = rehearsed_copy
    desk.environment["API_AUTHENTICATION"] = "on"
    for email, role in ((ADMIN, "admin"), (USER, "user")):
        added = desk.run(
            "accounts", "add", email, "--name", role, "--role", role, stdin=PASSWORD + "\n"
        )
        assert added.returncode == 0, added.stderr
    with dashboard_of(desk, "--control") as url:
        admins, of_admin = signed_in(browser, url, ADMIN)
        users, of_user = signed_in(browser, url, USER)

        admins.get_by_role("button", name="Start backfill").click()
        while not of_admin.clicks:
            admins.evaluate("() => new Promise(requestAnimationFrame)")
        users.get_by_text("accounts with the role admin; yours has the role user.").wait_for()
        users.get_by_text("data-fetch backfill --symbols TCS").wait_for()
        users.evaluate(ENDED)
        of_user.send(of_admin.clicks[0])
        users.evaluate("() => window.ended")

        assert users.get_by_text("Backfill of").count() == 0
        of_chains = users.context.new_page()
        of_chains.set_default_timeout(PATIENCE_SECONDS * 1000)
        of_chains.goto(f"{url}/option-chain?symbol=TCS")
        of_chains.get_by_text("data-fetch chain collect --symbols TCS").wait_for()
        assert of_chains.get_by_text("yours has the role user.").count() == 1
        assert of_chains.get_by_role("button", name="Request").count() == 0
        assert desk.run("accounts", "role", USER, "admin").returncode == 0
        users.get_by_role("button", name="Start backfill").wait_for()
        of_user.send(of_admin.clicks[0])
        users.get_by_text("Backfill completed").wait_for()
        for page in (admins, users):
            page.context.close()
