"""Renews the pictures of README and docs: `make screenshots`. Needs a Chromium.

A rehearsed day of a short list, in docs/pictures.
"""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from checkout import CHECKOUT
from PIL import Image
from playwright.sync_api import sync_playwright
from programs import Desk, end

PICTURES = CHECKOUT / "docs" / "pictures"
# A few minutes later the paper market goes on to the next day.
DAY, LOOKED_AT = "2026-09-16", "2026-09-16T16:03:00+05:30"
WIDTH, HEIGHT, COLOURS = 1200, 1000, 96
# By name: the path of a page, and the colours of the system.
SHOWN = {
    "today": ("/", "light"),
    "option-chain": ("/option-chain?symbol=NIFTY", "dark"),
    "coverage": ("/coverage", "light"),
    "analytics": ("/analytics?symbol=NIFTY", "light"),
}
DRAWN = '[data-testid="stApp"][data-test-script-state="notRunning"] h1'


@contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    store = f"sqlite:///{folder / 'store.db'}"
    desk = Desk.at(folder, DATABASE_URL=store, REFRESH_INTERVAL="120", NSE_ENABLED="false")
    desk.rehearse("--date", DAY)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "paper_clock.json").write_text(json.dumps({"now": LOOKED_AT}))
    process = desk.start("dashboard", "--port", "0", "--json", DATA_SOURCE="paper")
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        end(process, signal.SIGTERM)


def small(png: bytes) -> bytes:
    """The same picture with few colours."""
    written = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS).save(written, "PNG", optimize=True)
    return written.getvalue()


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("No Chromium is on PATH. Install it: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="data-fetch-") as folder,
        dashboard(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, (path, scheme) in SHOWN.items():
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(url + path)
            page.wait_for_selector(DRAWN)
            # Charts are drawn after the script has ended.
            page.wait_for_timeout(3000)
            (PICTURES / f"{name}.png").write_bytes(small(page.screenshot()))
            page.close()


if __name__ == "__main__":
    main()
