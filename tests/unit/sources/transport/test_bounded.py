"""A response ends within its time and its size, whatever the server sends."""

import gzip
import socket
from pathlib import Path
from threading import Event

import pytest
import urllib3
from raw_server import (
    Speech,
    endless_body,
    endless_chunks,
    endless_headers,
    endless_interim_responses,
    raw_server,
    trickling_body,
)
from upstox_stub import START, FreePacing, Scripted, Stub

from data_fetch.core.chains.chains import ChainError
from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import BadResponse, MasterUnavailable, Unreachable
from data_fetch.core.world import World
from data_fetch.sources.instruments import location
from data_fetch.sources.nse.site import NseSite
from data_fetch.sources.transport.bounded import TIMED_POOLS, BodyTooLarge, whole_body
from data_fetch.sources.upstox.sdk import UpstoxSdk

SMALL = 1_000_000


def get(url: str, largest: int = SMALL, seconds: float = 0.3) -> bytes:
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=seconds))
    pool.pool_classes_by_scheme = TIMED_POOLS
    with pool:
        return whole_body(pool.request("GET", url, preload_content=False), largest)


@pytest.mark.parametrize("speech", [endless_headers, endless_interim_responses, trickling_body])
def test_a_response_that_trickles_ends_with_its_time(speech: Speech) -> None:
    with raw_server(speech) as url, pytest.raises(urllib3.exceptions.TimeoutError):
        get(url)


@pytest.mark.parametrize("speech", [endless_body, endless_chunks])
def test_a_body_without_end_is_cancelled_at_its_size(speech: Speech) -> None:
    with raw_server(speech) as url, pytest.raises(BodyTooLarge, match="more than 1,000,000 bytes"):
        get(url, seconds=500)


def test_a_small_body_that_unpacks_to_a_large_one_is_cancelled() -> None:
    packed = gzip.compress(b"0" * 3 * SMALL)

    def speech(connection: socket.socket, _: Event) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + packed)

    with raw_server(speech) as url, pytest.raises(BodyTooLarge):
        get(url, seconds=500)


def test_a_connection_begins_each_request_with_its_whole_time() -> None:
    """The time that is left of one response is not that of the next one."""
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=500))
    pool.pool_classes_by_scheme = TIMED_POOLS
    with Stub() as stub, pool:
        stub.script = lambda _: Scripted(body=b"x" * 100)
        for _ in range(3):
            assert pool.request("GET", stub.url).data == b"x" * 100
        [only] = [pool.connection_from_url(stub.url)]
        assert only.num_connections == 1
        connection = only.pool.get()
        assert connection.sock.gettimeout() > 499


@pytest.mark.parametrize(
    ("speech", "error", "message"),
    [
        pytest.param(endless_headers, Unreachable, "ReadTimeoutError", id="headers"),
        pytest.param(endless_body, BadResponse, "a body of more than 1,000,000", id="body"),
    ],
)
def test_quotes_from_a_server_without_end(
    speech: Speech, error: type[Exception], message: str
) -> None:
    with raw_server(speech) as url:
        sdk = UpstoxSdk(url, VirtualClock(START), World.LIVE, largest_body=SMALL)
        with pytest.raises(error, match=message):
            sdk.get("MarketQuoteV3Api", "get_ltp", token="t", timeout=1, instrument_key="X")


@pytest.mark.parametrize(
    ("speech", "error", "message"),
    [
        pytest.param(endless_headers, Unreachable, "No response from NSE", id="headers"),
        pytest.param(endless_body, ChainError, "a body of more than 1,000,000", id="body"),
    ],
)
def test_chains_from_a_site_without_end(
    speech: Speech, error: type[Exception], message: str
) -> None:
    with raw_server(speech) as url:
        site = NseSite(
            pacing=FreePacing(),
            clock=VirtualClock(START),
            world=World.LIVE,
            base_url=url,
            timeout_seconds=1,
            largest_body=SMALL,
        )
        with pytest.raises(error, match=message):
            site.contract_info("NIFTY")


def test_an_instrument_master_from_a_server_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "TIMEOUT", urllib3.Timeout(total=0.3))
    with raw_server(endless_headers) as url, pytest.raises(MasterUnavailable):
        location.location_of(url, World.LIVE).fetch(tmp_path / "master")
