"""Each fault of the paper exchange's market data feed is seen on the wire.

One life of a connection is observed with the fault and without it: a subscription, a ping, three
ticks, the end of a subscription, a tick.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import websocket
from exchange_client import SYMBOLS, ExchangeClient, ManualClock
from feed_client import Closed, FeedClient, Frame, connected, packets, parsed, trade_in
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as proto

from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults.faults import KINDS

NIFTY = "NSE_INDEX|Nifty 50"
BEFORE, AFTER = "before the connection", "after the subscription"
OPENED, SUBSCRIBED = "11:23:31", "11:23:31"
TICKS = ("11:23:33", "11:23:50", "11:24:05")
AFTER_UNSUB = "11:24:20"
MEGABYTE = 1024 * 1024


@dataclass
class Seen:
    """What a client received: *ticks* are the frames of each tick."""

    tcs: str
    refused: tuple[int, str | None] | None = None
    lost: bool = False
    closed: Closed | None = None
    info: list[Frame] = field(default_factory=list)
    snapshot: list[Frame] = field(default_factory=list)
    ticks: list[list[Frame]] = field(default_factory=list)
    after_unsub: list[Frame] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    pings: int = 0

    @property
    def live(self) -> list[Frame]:
        return [frame for frames in self.ticks for frame in frames]


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock(f"2026-09-16 {OPENED}")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


def observe(client: ExchangeClient, fault: dict[str, Any] | None = None, when: str = AFTER) -> Seen:
    """One life of a connection."""
    client.advance(f"2026-09-16 {OPENED}")
    seen = Seen(client.key("TCS"))
    if fault and when is BEFORE:
        client.inject(**fault)
    try:
        with connected(client) as feed:
            _live(client, feed, seen, fault if when is AFTER else None)
    except websocket.WebSocketBadStatusException as refused:
        headers = refused.resp_headers or {}
        seen.refused = (refused.status_code, headers.get("retry-after"))
    except Closed as closed:
        seen.closed = closed
    except OSError:
        seen.lost = True
    return seen


def _live(
    client: ExchangeClient, feed: FeedClient, seen: Seen, fault: dict[str, Any] | None
) -> None:
    try:
        seen.info = feed.drain()
        seen.snapshot = feed.subscribe([NIFTY, seen.tcs], "full")
        if fault:
            client.inject(**fault)
        feed.pongs.clear()
        feed.socket.ping(b"are you there")
        feed.drain()
        for at in TICKS:
            client.advance(f"2026-09-16 {at}")
            seen.ticks.append(feed.drain())
        feed.send("unsub", [seen.tcs])
        feed.drain()
        client.advance(f"2026-09-16 {AFTER_UNSUB}")
        seen.after_unsub = feed.drain()
    finally:
        seen.pongs, seen.pings = feed.pongs, feed.pings


def keys_of(frames: list[Frame]) -> set[str]:
    return set(packets(frames))


def is_text_error(frame: Frame) -> bool:
    return isinstance(frame, str) and orjson.loads(frame)["status"] == "failed"


def is_unparsable(frame: Frame) -> bool:
    try:
        proto.FeedResponse.FromString(frame)
    except DecodeError:
        return True
    return False


def unknown_fields(message: Any) -> list[int]:
    return [each.field_number for each in UnknownFieldSet(message)]


def trades(seen: Seen, frames: list[Frame]) -> list[tuple[int, float]]:
    """Instant and price of the stock's trades, as they come."""
    found = [trade_in(each.feeds[seen.tcs]) for each in parsed(frames) if seen.tcs in each.feeds]
    return [(trade.ltt, trade.ltp) for trade in found]


def book_only(seen: Seen, good: Seen) -> bool:
    """Nothing but the book where nothing was traded; all of the packet where something was."""
    quiet, traded, _ = (packets(frames)[seen.tcs].fullFeed.marketFF for frames in seen.ticks)
    whole = packets(good.ticks[0])[seen.tcs].fullFeed.marketFF
    return (
        (quiet.HasField("ltpc"), quiet.HasField("marketOHLC"), quiet.vtt) == (False, False, 0)
        and quiet.marketLevel == whole.marketLevel
        and traded.HasField("ltpc")
    )


Shown = Callable[[Seen, Seen], object]

# fault, when it is injected, what is seen with it (and without it)
FAULTS: list[Any] = [
    # The handshake.
    pytest.param(
        {"kind": "token-expired", "api": "feed-connect"},
        BEFORE,
        lambda seen, _: seen.refused == (401, None),
        id="401",
    ),
    pytest.param(
        {"kind": "cloudflare-403", "api": "feed-connect"},
        BEFORE,
        lambda seen, _: seen.refused == (403, None),
        id="403",
    ),
    pytest.param(
        {"kind": "rate-limited", "api": "feed-connect"},
        BEFORE,
        lambda seen, _: seen.refused == (429, None),
        id="429",
    ),
    pytest.param(
        {"kind": "rate-limited", "api": "feed-connect", "retry_after": 7},
        BEFORE,
        lambda seen, _: seen.refused == (429, "7"),
        id="429 with Retry-After",
    ),
    pytest.param(
        {"kind": "feed-used-code"},
        BEFORE,
        lambda seen, _: seen.refused == (403, None),
        id="used code",
    ),
    pytest.param(
        {"kind": "feed-nowhere"}, BEFORE, lambda seen, _: seen.lost, id="redirect to nowhere"
    ),
    # The socket.
    *(
        pytest.param(
            {"kind": "feed-close", "code": code, "times": 1},
            AFTER,
            lambda seen, _, code=code: seen.closed and seen.closed.code == code,
            id=f"close {code}",
        )
        for code in (1000, 1001, 1012)
    ),
    pytest.param(
        {"kind": "feed-close"},
        BEFORE,
        lambda seen, _: seen.closed and seen.info == [],
        id="close right after opening",
    ),
    pytest.param(
        {"kind": "feed-cut"},
        AFTER,
        lambda seen, _: seen.closed and seen.closed.code is None,
        id="cut",
    ),
    pytest.param(
        {"kind": "feed-stall", "seconds": 30, "times": 1},
        AFTER,
        lambda seen, good: (
            seen.ticks[:2] == [[], []] and seen.ticks[2] == good.live and seen.pongs == good.pongs
        ),
        id="stall, then a burst",
    ),
    pytest.param(
        {"kind": "feed-no-pong", "times": 1},
        AFTER,
        lambda seen, good: b"are you there" in good.pongs and b"are you there" not in seen.pongs,
        id="no pong",
    ),
    pytest.param(
        {"kind": "feed-unsub-ignored"},
        AFTER,
        lambda seen, good: (
            seen.tcs in keys_of(seen.after_unsub) and seen.tcs not in keys_of(good.after_unsub)
        ),
        id="unsub not honoured",
    ),
    # Frames.
    pytest.param(
        {"kind": "feed-mute"},
        AFTER,
        lambda seen, good: (
            good.live and not seen.live and (seen.pongs, seen.pings) == (good.pongs, good.pings)
        ),
        id="mute, with pongs",
    ),
    pytest.param(
        {"kind": "feed-half-mute", "instruments": ["TCS"]},
        AFTER,
        lambda seen, good: keys_of(seen.live) == {NIFTY} and seen.tcs in keys_of(good.live),
        id="half mute",
    ),
    pytest.param(
        {"kind": "feed-snapshot-missing", "instruments": ["TCS"]},
        BEFORE,
        lambda seen, good: (
            keys_of(seen.snapshot) == {NIFTY}
            and seen.tcs in keys_of(good.snapshot)
            and seen.live == good.live
        ),
        id="snapshot without a key",
    ),
    pytest.param(
        {"kind": "feed-zero-first", "instruments": ["TCS"]},
        BEFORE,
        lambda seen, good: (
            trades(seen, seen.snapshot) == [(0, 0.0)]
            and packets(seen.snapshot)[NIFTY] == packets(good.snapshot)[NIFTY]
            and seen.live == good.live
        ),
        id="zero-valued first tick",
    ),
    pytest.param({"kind": "feed-partial"}, AFTER, book_only, id="partial packets"),
    pytest.param(
        {"kind": "feed-unknown-values"},
        BEFORE,
        lambda seen, _: (
            {feed.requestMode for feed in packets(seen.live).values()} == {9}
            and set(parsed(seen.info)[0].marketInfo.segmentStatus.values()) == {9}
            and {unknown_fields(each)[0] for each in parsed(seen.live)} == {99}
        ),
        id="unknown enum values and field",
    ),
    pytest.param(
        {"kind": "feed-late-packets", "times": 1},
        AFTER,
        lambda seen, good: (
            [at for at, _ in trades(seen, seen.ticks[0])]
            == [at - back for at, _ in trades(good, good.ticks[0]) for back in (0, 60_000)]
        ),
        id="ltt backwards",
    ),
    pytest.param(
        {"kind": "feed-duplicates"},
        AFTER,
        lambda seen, good: seen.live == [frame for frame in good.live for _ in range(2)],
        id="duplicates",
    ),
    pytest.param(
        {"kind": "feed-large-frame", "times": 1},
        AFTER,
        lambda seen, good: (
            len(seen.live[0]) > 2 * MEGABYTE and packets(seen.live) == packets(good.live)
        ),
        id="frame of 2 MB",
    ),
    pytest.param(
        {"kind": "feed-cut-frame", "times": 1},
        AFTER,
        lambda seen, good: is_unparsable(seen.live[0]) and seen.live[1:] == good.live[1:],
        id="cut protobuf",
    ),
    pytest.param(
        {"kind": "feed-junk", "times": 1},
        AFTER,
        lambda seen, good: is_unparsable(seen.live[0]) and seen.live[1:] == good.live,
        id="junk bytes",
    ),
    pytest.param(
        {"kind": "feed-text-error", "times": 1},
        AFTER,
        lambda seen, good: is_text_error(seen.live[0]) and seen.live[1:] == good.live,
        id="text error",
    ),
]


@pytest.mark.parametrize(("fault", "when", "shows"), FAULTS)
def test_a_fault_is_seen(
    client: ExchangeClient, fault: dict[str, Any], when: str, shows: Shown
) -> None:
    good = observe(client)
    if "instruments" in fault:
        fault = {**fault, "instruments": [client.key(symbol) for symbol in fault["instruments"]]}

    seen = observe(client, fault, when)

    assert good.closed is good.refused is None
    assert shows(seen, good)


def test_without_it_the_connection_is_whole_again(client: ExchangeClient) -> None:
    good = observe(client)
    for fault, when, _ in (each.values for each in FAULTS):
        observe(client, fault, when)
        client.request("/paper/faults", "DELETE")

    assert observe(client) == good


class TestTheEndOfATokenAt0330:
    @pytest.fixture
    def client(self) -> Iterator[ExchangeClient]:
        clock = ManualClock("2026-09-16 18:00:00")
        with PaperExchange(clock, symbols=SYMBOLS) as exchange:
            client = ExchangeClient(exchange, clock)
            client.token = "of-the-day"
            yield client

    def test_closes_the_connection(self, client: ExchangeClient) -> None:
        with connected(client) as feed:
            feed.subscribe([NIFTY])
            client.advance("2026-09-17 03:29:59")
            feed.drain()
            client.advance("2026-09-17 03:30:00")
            with pytest.raises(Closed) as closed:
                feed.drain()
        assert closed.value.code == 1001

    def test_may_leave_it_open_and_mute(self, client: ExchangeClient) -> None:
        client.inject(kind="feed-open-after-token")
        with connected(client) as feed:
            feed.subscribe([NIFTY])
            pings = feed.pings
            client.advance("2026-09-17 03:30:00")
            feed.drain()
            client.advance("2026-09-17 10:00:00")
            assert feed.drain() == []
            assert feed.pings == pings + 2

    def test_analytics_tokens_have_none(self, client: ExchangeClient) -> None:
        client.token = "paper-analytics"
        with connected(client) as feed:
            feed.subscribe([NIFTY])
            client.advance("2026-09-17 10:00:00")
            assert keys_of(feed.drain()) == {NIFTY}


def test_every_kind_is_in_the_table() -> None:
    shown = {each.values[0]["kind"] for each in FAULTS} | {"feed-open-after-token"}
    assert {kind for kind in KINDS if kind.startswith("feed-")} <= shown
