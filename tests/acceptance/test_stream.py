"""`data-fetch stream` as a process."""

import asyncio
import signal
from pathlib import Path

import orjson
import pytest
import urllib3
from effort import PATIENCE_SECONDS
from programs import Desk
from stream_clients import plain, socket_io


@pytest.mark.long
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_streams_until_it_is_stopped_even_with_clients(
    tmp_path: Path, stop: signal.Signals
) -> None:
    desk = Desk.at(tmp_path, DATA_SOURCE="paper")
    desk.json("chain", "collect", "--symbols", "NIFTY")
    server = desk.start("stream", "--port", "0", "--json")

    async def story(url: str) -> None:
        async with plain(url) as one, socket_io(url, transports=["polling"]) as other:
            for client in (one, other):
                await client.send("subscribe", {"type": "chain", "symbol": "NIFTY"})
                assert len((await client.next("chain_update"))["strikes"]) > 20
            health = await asyncio.to_thread(
                urllib3.request, "GET", f"{url}/health", timeout=PATIENCE_SECONDS
            )
            assert orjson.loads(health.data)["clients"] == 2
            server.send_signal(stop)
            await asyncio.to_thread(server.wait, PATIENCE_SECONDS)

    try:
        assert server.stdout is not None
        asyncio.run(story(orjson.loads(server.stdout.readline())["url"]))
        _, said = server.communicate(timeout=PATIENCE_SECONDS)
    finally:
        server.kill()

    assert (server.returncode, said) == (0, "The stream server has stopped.\n")
