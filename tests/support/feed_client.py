"""A client of the paper exchange's market data feed, for tests: every frame as it comes."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson
import websocket
from exchange_client import ExchangeClient
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as proto
from websocket import ABNF

FEED = "/v3/feed/market-data-feed"
# Nothing takes so long: a test that waits for this has failed.
PATIENCE_SECONDS = 30.0

Frame = bytes | str


class Closed(Exception):
    """The connection has ended; *code* is None without a closing handshake."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


def socket_url(client: ExchangeClient, path: str = FEED) -> str:
    return client.exchange.url.replace("http", "ws", 1) + path


@dataclass
class FeedClient:
    """An open socket. *pings* counts those of the server, *pongs* has what it answered."""

    socket: websocket.WebSocket
    pings: int = 0
    pongs: list[bytes] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def send(self, method: str, keys: list[str], mode: str | None = None) -> None:
        data: dict[str, Any] = {"instrumentKeys": keys}
        if mode is not None:
            data["mode"] = mode
        request = {"guid": "test", "method": method, "data": data}
        self.socket.send(orjson.dumps(request), ABNF.OPCODE_BINARY)

    def subscribe(self, keys: list[str], mode: str | None = None) -> list[Frame]:
        """The frames up to the end of the snapshot."""
        self.send("sub", keys, mode)
        return self.drain()

    def drain(self) -> list[Frame]:
        """The frames that were sent up to now. Raises Closed."""
        token = str(next(self._numbers)).encode()
        self._attempt(lambda: self.socket.ping(token))
        frames: list[Frame] = []
        while True:
            code, content = self.receive()
            if code == ABNF.OPCODE_PONG and content == token:
                return frames
            if code == ABNF.OPCODE_TEXT:
                frames.append(content.decode())
            elif code == ABNF.OPCODE_BINARY:
                frames.append(content)

    def receive(self) -> tuple[int, bytes]:
        """The next frame of any kind. Raises Closed."""
        code, frame = self._attempt(lambda: self.socket.recv_data_frame(control_frame=True))
        if code == ABNF.OPCODE_CLOSE:
            raise Closed(int.from_bytes(frame.data[:2], "big") if frame.data else None)
        if code == ABNF.OPCODE_PING:
            self.pings += 1
        if code == ABNF.OPCODE_PONG:
            self.pongs.append(frame.data)
        return code, frame.data

    def _attempt(self, action: Any) -> Any:
        try:
            return action()
        except (websocket.WebSocketConnectionClosedException, ConnectionError) as gone:
            raise Closed(None) from gone


def connected(client: ExchangeClient, path: str = FEED) -> AbstractContextManager[FeedClient]:
    """A socket by the redirect, as the SDK opens it. Raises WebSocketBadStatusException."""
    return connected_to(socket_url(client, path), client.token)


@contextmanager
def connected_to(url: str, token: str | None) -> Iterator[FeedClient]:
    headers = [] if token is None else [f"Authorization: Bearer {token}"]
    socket = websocket.create_connection(url, header=headers, timeout=PATIENCE_SECONDS)
    try:
        yield FeedClient(socket)
    finally:
        socket.shutdown()


def parsed(frames: list[Frame]) -> list[Any]:
    """The binary frames as `FeedResponse`."""
    return [proto.FeedResponse.FromString(each) for each in frames if isinstance(each, bytes)]


def packets(frames: list[Frame]) -> dict[str, Any]:
    """The last packet of each key."""
    return {key: feed for frame in parsed(frames) for key, feed in frame.feeds.items()}


def trade_in(feed: Any) -> Any:
    """The last trade in a packet of any mode."""
    match feed.WhichOneof("FeedUnion"):
        case "ltpc":
            return feed.ltpc
        case "firstLevelWithGreeks":
            return feed.firstLevelWithGreeks.ltpc
        case _:
            full = feed.fullFeed
            return full.indexFF.ltpc if full.HasField("indexFF") else full.marketFF.ltpc
