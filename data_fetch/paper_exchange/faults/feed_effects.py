"""The effect of each kind of fault on a frame of the market data feed.

`MESSAGE_EFFECTS` change the packets of a frame, and then `WIRE_EFFECTS` what is sent for it: no
frame, another one, or several. Faults of the socket are in `feed.connection`, which owns it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from data_fetch.paper_exchange.faults.faults import Fault
from data_fetch.paper_exchange.market.seeded_random import generator

# Numbers that the provider's protobuf module has no names for.
UNKNOWN_VALUE, UNKNOWN_FIELD = 9, 99
LARGE_FRAME_BYTES = 2 * 1024 * 1024
JUNK_BYTES = 64
EARLIER_MS = 60_000

# A frame is bytes, or text as the provider sends it for an error.
Sent = bytes | str


@dataclass(frozen=True, slots=True)
class FeedFrame:
    """A frame to be sent: *message* is a `FeedResponse`; the last trade of *untraded* keys is one
    that this connection has already."""

    message: Any
    untraded: Collection[str] = ()


def _removed(fault: Fault, frame: FeedFrame) -> None:
    for key in [key for key in frame.message.feeds if fault.includes(key)]:
        del frame.message.feeds[key]


def _zero(fault: Fault, frame: FeedFrame) -> None:
    """Prices, times and quantities of the last trade are 0, which protobuf does not send."""
    for key, feed in frame.message.feeds.items():
        if fault.includes(key):
            last_trade(feed).Clear()


def _partial(fault: Fault, frame: FeedFrame) -> None:
    """Only the order book, where nothing was traded since the last packet."""
    for key in frame.untraded:
        full = frame.message.feeds[key].fullFeed
        if fault.includes(key) and full.HasField("marketFF"):
            for name in ("ltpc", "marketOHLC", "atp", "vtt", "oi"):
                full.marketFF.ClearField(name)


def _unknown(_: Fault, frame: FeedFrame) -> None:
    for feed in frame.message.feeds.values():
        feed.requestMode = UNKNOWN_VALUE
    status = frame.message.marketInfo.segmentStatus
    status.update(dict.fromkeys(list(status), UNKNOWN_VALUE))
    frame.message.MergeFromString(_field(UNKNOWN_FIELD, b"new"))


MESSAGE_EFFECTS: Mapping[str, Callable[[Fault, FeedFrame], None]] = {
    "feed-half-mute": _removed,
    "feed-snapshot-missing": _removed,
    "feed-zero-first": _zero,
    "feed-partial": _partial,
    "feed-unknown-values": _unknown,
}


def _with_late_packets(_: Fault, frame: FeedFrame, sent: list[Sent]) -> list[Sent]:
    """After the frame one whose trades were a minute earlier, at the previous close."""
    late = type(frame.message)()
    late.CopyFrom(frame.message)
    for feed in late.feeds.values():
        trade = last_trade(feed)
        trade.ltt -= EARLIER_MS
        trade.ltp = trade.cp
    return [*sent, _bytes_of(late)]


def _large(_: Fault, __: FeedFrame, sent: list[Sent]) -> list[Sent]:
    padding = _field(UNKNOWN_FIELD, bytes(LARGE_FRAME_BYTES))
    return [each + padding if isinstance(each, bytes) else each for each in sent]


def _cut(_: Fault, __: FeedFrame, sent: list[Sent]) -> list[Sent]:
    return [each[: len(each) // 2] for each in sent]


def _with_junk(_: Fault, frame: FeedFrame, sent: list[Sent]) -> list[Sent]:
    # The first byte is a field of number 0, which no message may have.
    return [b"\x00" + generator("junk", frame.message.currentTs).bytes(JUNK_BYTES), *sent]


def _with_text_error(_: Fault, __: FeedFrame, sent: list[Sent]) -> list[Sent]:
    return [text_error("sub", "Something went wrong"), *sent]


WIRE_EFFECTS: Mapping[str, Callable[[Fault, FeedFrame, list[Sent]], list[Sent]]] = {
    "feed-late-packets": _with_late_packets,
    "feed-duplicates": lambda _, __, sent: [each for each in sent for _ in range(2)],
    "feed-large-frame": _large,
    "feed-cut-frame": _cut,
    "feed-junk": _with_junk,
    "feed-text-error": _with_text_error,
    "feed-mute": lambda *_: [],
}


def frames_of(faults: Collection[Fault], frame: FeedFrame) -> list[Sent]:
    """What is sent for *frame*; nothing for packets that a fault has taken all out."""
    packets = len(frame.message.feeds)
    for kind, change in MESSAGE_EFFECTS.items():
        for fault in faults:
            if fault.kind == kind:
                change(fault, frame)
    if packets and not frame.message.feeds:
        return []
    sent: list[Sent] = [_bytes_of(frame.message)]
    for kind, resend in WIRE_EFFECTS.items():
        for fault in faults:
            if fault.kind == kind:
                sent = resend(fault, frame, sent)
    return sent


def last_trade(feed: Any) -> Any:
    """The last trade (`LTPC`) in a packet of any mode."""
    match feed.WhichOneof("FeedUnion"):
        case "ltpc":
            return feed.ltpc
        case "firstLevelWithGreeks":
            return feed.firstLevelWithGreeks.ltpc
        case _:
            full = feed.fullFeed
            return full.indexFF.ltpc if full.HasField("indexFF") else full.marketFF.ltpc


def text_error(method: str, reason: str) -> str:
    """The text frame of a failed request."""
    return orjson.dumps({"status": "failed", "method": method, "error": reason}).decode()


def _bytes_of(message: Any) -> bytes:
    """The same bytes in every process: maps are sorted."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))
