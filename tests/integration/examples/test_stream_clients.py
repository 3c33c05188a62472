"""The clients in `examples`: documented calls from Node and a page from disk, and coming back."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from checkout import CHECKOUT
from effort import PATIENCE_SECONDS
from filelock import FileLock
from playwright.sync_api import Error, Page, sync_playwright
from served import Served, serving
from stream_shelf import NIFTY, TCS, LiveStore

from data_fetch.serving.streams.app import stream_application

EXAMPLES = CHECKOUT / "examples"
NODE_CLIENT = "socket.io-client@4.5.4"
# Prints each event of the client in a line.
NODE_PROGRAM = """
const [file, url] = process.argv.slice(1);
const show = (event, data) => console.log(JSON.stringify([event, data]));
require(file).streamClient(url, ["product:TCS"], show);
"""


@pytest.fixture
def live(sqlite_url: str) -> Iterator[LiveStore]:
    live = LiveStore.at(sqlite_url)
    live.price(NIFTY, 24_000.5, 1)
    live.chain(24_010.0, 70)
    yield live
    live.store.close()


@pytest.fixture
def server(live: LiveStore, tmp_path: Path) -> Iterator[Served]:
    with serving(stream_application(live.settings(tmp_path))) as server:
        yield server


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the older backend's client library, installed once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    # Beside the temporary folders of the workers.
    folder = tmp_path_factory.getbasetemp().parent / "socket.io-client"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "node_modules" / "socket.io-client").is_dir():
            folder.mkdir(exist_ok=True)
            done = subprocess.run(
                [npm, "install", "--no-audit", "--no-fund", "--prefix", folder, NODE_CLIENT],
                capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
            )  # fmt: skip
            if done.returncode:
                pytest.skip(f"npm cannot install {NODE_CLIENT}: {done.stderr[-200:]}")
    return folder / "node_modules"


def _with_websockets() -> list[str]:
    """The options that give Node a WebSocket: Node 22 has it, and from 20.10 on an option."""
    for options in ([], ["--experimental-websocket"]):
        look = ["node", *options, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"]
        try:
            found = subprocess.run(look, timeout=PATIENCE_SECONDS, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("node is not installed")
        if found.returncode == 0:
            return options
    pytest.skip("node has no WebSocket: it is older than 20.10")


def test_the_documented_calls_from_node(
    live: LiveStore, server: Served, node_modules: Path
) -> None:
    environment = {**os.environ, "SOCKET_URL": server.url, "NODE_PATH": str(node_modules)}
    process = subprocess.Popen(
        ["node", EXAMPLES / "socketio-client.js"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    expected = {
        "connected as", "subscribed to product:NIFTY", "subscribed to chain:NIFTY",
        "products: NIFTY", "price: NIFTY 24000.5", "summary: NIFTY", "chain: NIFTY",
        "heartbeat: market",
    }  # fmt: skip
    seen: list[str] = []
    try:
        assert process.stdout is not None
        while expected and (line := process.stdout.readline()):
            seen.append(line)
            expected = {each for each in expected if not line.startswith(each)}
        assert not expected, seen
        live.chain(24_050.0, 71)
        while "spot 24050" not in (line := process.stdout.readline()):
            assert line, seen
    finally:
        process.kill()
        process.communicate()


def test_the_javascript_client_comes_back_and_gets_what_it_missed(
    live: LiveStore, server: Served, tmp_path: Path
) -> None:
    program = ["node", *_with_websockets(), "-e", NODE_PROGRAM]

    async def story() -> None:
        async with Cable(int(server.url.rpartition(":")[2])) as cable:
            process = await asyncio.create_subprocess_exec(
                *program, str(EXAMPLES / "stream-client.js"), f"ws://127.0.0.1:{cable.port}/ws",
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdout is not None

            async def price(expected: float) -> list[str]:
                """The events up to that price of TCS."""
                assert process.stdout is not None
                events = []
                async for line in process.stdout:
                    event, data = orjson.loads(line)
                    events.append(event)
                    if data.get("product") == "TCS" and data.get("price") == expected:
                        return events
                raise AssertionError(f"it ended after {events}")

            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await asyncio.to_thread(live.price, TCS, 3_000.0, 2)
                    await price(3_000.0)
                    cable.cut()
                    await asyncio.to_thread(live.price, TCS, 3_001.0, 3)
                    # It missed a price and gets it, without a resync.
                    assert "resync" not in await price(3_001.0)

                    with serving(stream_application(live.settings(tmp_path))) as other:
                        cable.plug_into(int(other.url.rpartition(":")[2]))
                        cable.cut()
                        await asyncio.to_thread(live.price, TCS, 3_002.0, 4)
                        assert "resync" in await price(3_002.0)
                        cable.cut()
            finally:
                process.kill()
                await process.communicate()

    asyncio.run(story())


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser without a window."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        except Error as problem:
            pytest.skip(f"no browser: {problem.message.splitlines()[0]}")
        page = started.new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield page
        started.close()


def test_a_page_from_disk_shows_prices_and_chains_as_they_change(
    live: LiveStore, server: Served, page: Page
) -> None:
    errors: list[Any] = []
    page.on("pageerror", lambda error: errors.append(error))
    url = server.url.replace("http", "ws", 1)

    page.goto(f"file://{EXAMPLES / 'live.html'}?url={url}/ws")

    page.get_by_text("24000.50").wait_for()
    page.get_by_text("24010.00").wait_for()
    live.price(NIFTY, 24_001.25, 2)
    live.chain(24_060.0, 71)
    page.get_by_text("24001.25").wait_for()
    page.get_by_text("24060.00").wait_for()
    page.locator("#state").get_by_text("market").wait_for()
    assert not errors


def test_a_page_from_disk_uses_the_older_client_library(
    server: Served, node_modules: Path, page: Page, tmp_path: Path
) -> None:
    """Long-polling first, with the origin `null`, as the page of the older backend did."""
    library = node_modules / "socket.io-client" / "dist" / "socket.io.min.js"
    file = tmp_path / "older.html"
    file.write_text(
        f"""<pre id="seen"></pre><script src="file://{library}"></script><script>
        const socket = io("{server.url}");
        const show = (event, text) => document.getElementById("seen").textContent += event + text;
        socket.on("connect", () => socket.emit("subscribe", {{type: "chain", symbol: "NIFTY"}}));
        socket.on("connected", (data) => show("connected", data.client_id));
        socket.on("chain_update", (data) =>
            show("chain", data.strikes.length + data.pcr_oi.toFixed(2)));
        </script>"""
    )

    page.goto(f"file://{file}")

    page.get_by_text("chain11.25").wait_for()


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stream_client", EXAMPLES / "stream_client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cable:
    """Passes bytes between clients and a server, until it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Cable":
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def plug_into(self, port: int) -> None:
        self._port = port

    def cut(self) -> None:
        for each in self._pairs:
            each.transport.abort()
        self._pairs.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        self._pairs += [writer, ours]
        await asyncio.gather(_pass(reader, ours), _pass(theirs, writer), return_exceptions=True)


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    target.close()


def test_the_python_client_comes_back_and_gets_what_it_missed(
    live: LiveStore, server: Served, example: ModuleType, tmp_path: Path
) -> None:
    port = int(server.url.rpartition(":")[2])

    async def story() -> None:
        async with Cable(port) as cable:
            client = example.StreamClient(f"ws://127.0.0.1:{cable.port}/ws", ["product:TCS"])
            updates = client.updates()

            async def price(expected: float) -> list[str]:
                """The events up to that price of TCS."""
                events = []
                async for event, data in updates:
                    events.append(event)
                    if data.get("product") == "TCS" and data.get("price") == expected:
                        return events
                raise AssertionError

            await asyncio.to_thread(live.price, TCS, 3_000.0, 2)
            await price(3_000.0)
            cable.cut()
            await asyncio.to_thread(live.price, TCS, 3_001.0, 3)
            # It missed a price and gets it, without a resync.
            assert "resync" not in await price(3_001.0)

            with serving(stream_application(live.settings(tmp_path))) as other:
                cable.plug_into(int(other.url.rpartition(":")[2]))
                cable.cut()
                await asyncio.to_thread(live.price, TCS, 3_002.0, 4)
                assert "resync" in await price(3_002.0)
                cable.cut()
                await updates.aclose()

    asyncio.run(story())
