"""Opening the socket of the feed: what is verified, and what a refusal means."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from upstox_stub import START

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import BadResponse, DataFetchError, Unreachable
from data_fetch.sources.upstox.feed_doors import open_socket

CLOCK = VirtualClock(START)


async def opened(address: str, base_url: str) -> DataFetchError | None:
    """The error that opening the socket at *address* ends with."""
    async with aiohttp.ClientSession() as session:
        try:
            async with open_socket(session, address, CLOCK, base_url):
                return None
        except DataFetchError as problem:
            return problem


@asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[str]:
    """A socket whose certificate is signed by itself; the value is its address."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip

    async def socket(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        return answer

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    application = web.Application()
    application.router.add_get("/feeds", socket)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"wss://127.0.0.1:{runner.addresses[0][1]}/feeds"
    await runner.cleanup()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
def test_a_certificate_that_nothing_vouches_for_is_refused(tmp_path: Path) -> None:
    async def attempt() -> DataFetchError | None:
        async with tls_server(tmp_path) as address:
            return await opened(address, "https://api.upstox.com")

    problem = asyncio.run(attempt())

    assert isinstance(problem, Unreachable)
    assert problem.message == "The certificate of the feed cannot be verified"


BAD_ADDRESSES = {
    "without TLS": ("ws://elsewhere/feeds", "an address of the feed without TLS"),
    "no address": ("nowhere", "an address of the feed without TLS"),
    "no host": ("wss://", "an address of the feed that is none"),
}


@pytest.mark.parametrize(("address", "message"), BAD_ADDRESSES.values(), ids=BAD_ADDRESSES)
def test_an_address_that_cannot_be_is_refused(address: str, message: str) -> None:
    problem = asyncio.run(opened(address, "https://api.upstox.com"))

    assert isinstance(problem, BadResponse)
    assert problem.message == f"Upstox returned {message}"
