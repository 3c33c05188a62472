"""Pages of `data-fetch dashboard` in a real browser, over one rehearsed hour."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from effort import PATIENCE_SECONDS
from filelock import FileLock
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)
from programs import Desk, end

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# An hour of trading in the evening; the screens are looked at when it is over.
REHEARSED_DAY, LOOKED_AT = "2025-10-21", "2025-10-21T14:50:00+05:30"
SELDOM = {"REFRESH_INTERVAL": "300", "NSE_ENABLED": "false"}
MILLISECONDS = PATIENCE_SECONDS * 1000
WIDE, NARROW = 1440, 390
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"] h1'

# Opens a page: screen(path, width=WIDE, scheme="light").
Screen = Callable[..., Page]


@contextmanager
def dashboard(desk: Desk, *options: str) -> Iterator[str]:
    """A dashboard of *desk* in a process of its own; its address."""
    process = desk.start("dashboard", "--port", "0", "--json", *options)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()
        yield json.loads(line)["url"]
    finally:
        end(process, signal.SIGTERM)


@pytest.fixture(scope="session")
def dashboard_of() -> Callable[[Desk], AbstractContextManager[str]]:
    """Runs a dashboard of a desk; its address."""
    return dashboard


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Desk:
    """A desk of the paper world in which an hour was rehearsed, a few minutes after its close.

    The workers of a run share the rehearsal; each has a copy.
    """
    place = tmp_path_factory.getbasetemp()
    shared = place if worker_id == "master" else place.parent
    file = shared / "rehearsed-hour.db"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            (desk := shared / "rehearsal").mkdir(exist_ok=True)
            unfinished = desk / "store.db"
            Desk.at(desk, DATABASE_URL=f"sqlite:///{unfinished}", **SELDOM).rehearse(
                "--date", REHEARSED_DAY
            )
            unfinished.rename(file)
    return desk_with(file, tmp_path_factory.mktemp("rehearsed"))


def desk_with(file: Path, folder: Path) -> Desk:
    """A desk in *folder* with a copy of a store; its market stands still after the rehearsal."""
    shutil.copyfile(file, folder / "store.db")
    (folder / "data").mkdir()
    (folder / "data" / "paper_clock.json").write_text(json.dumps({"now": LOOKED_AT}))
    return Desk.at(
        folder, DATA_SOURCE="paper", DATABASE_URL=f"sqlite:///{folder / 'store.db'}", **SELDOM
    )


@pytest.fixture
def rehearsed_copy(rehearsed: Desk, tmp_path: Path) -> Desk:
    """A desk of the rehearsed hour of its own, to be changed."""
    return desk_with(rehearsed.folder / "store.db", tmp_path)


@pytest.fixture(scope="session")
def dashboard_url(rehearsed: Desk) -> Iterator[str]:
    """The dashboard of the rehearsed hour."""
    with dashboard(rehearsed) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser. One a module: its event loop runs on the thread of the tests, so that
    no test of another module could start one beside it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def profile(browser: Browser) -> BrowserContext:
    """The pages of a module share what the browser keeps: it compiles their scripts once."""
    return browser.new_context()


@pytest.fixture
def open_page(profile: BrowserContext) -> Iterator[Screen]:
    """Opens a page of any dashboard by its address, and waits until it is drawn.

    At the end: no page had an error in its console, a failed request, or a request to another
    host.
    """
    pages: list[Page] = []
    troubles: list[str] = []

    def opened(url: str, width: int = WIDE, scheme: str = "light") -> Page:
        page = profile.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        _watch(page, urlsplit(url).netloc, troubles)
        page.set_default_timeout(MILLISECONDS)
        page.goto(url)
        page.wait_for_selector(DRAWN)
        return page

    yield opened
    found = list(troubles)
    for page in pages:
        page.close()
    assert found == []


@pytest.fixture
def screen(open_page: Screen, dashboard_url: str) -> Screen:
    """Opens a page of the rehearsed hour by its path, for example `screen("/today", NARROW)`."""

    def opened(path: str = "/", width: int = WIDE, scheme: str = "light") -> Page:
        return open_page(dashboard_url + path, width, scheme)

    return opened


def _watch(page: Page, host: str, troubles: list[str]) -> None:
    def logged(message: ConsoleMessage) -> None:
        # Streamlit's script looks for its server beside the page first.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            troubles.append(message.text)

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != host:
            troubles.append(f"foreign: {request.url}")

    page.on("console", logged)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
    page.on("request", asked)
