"""The messages of Upstox's market data feed V3, read with the generated module of its SDK.

Fields are taken directly: converting a message to a dictionary takes ten times as long. In this
encoding a number that is 0 is not sent; only whole sub-messages are known to be there or not.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from upstox_client.feeder.proto import MarketDataFeedV3_pb2

from data_fetch.core.errors import BadRecord
from data_fetch.core.feed.market_status import MarketStatus
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Request
from data_fetch.core.feed.ticks import (
    LARGEST_PRICE,
    BestPrices,
    Detail,
    Greeks,
    MinuteBar,
    Tick,
    TickBook,
    instant_of_ms,
)
from data_fetch.core.text import presentable
from data_fetch.sources.transport.numbers import LARGEST_QUANTITY

FeedResponse = MarketDataFeedV3_pb2.FeedResponse
SNAPSHOT, LIVE, MARKET_INFO = 0, 1, 2
KINDS = {SNAPSHOT, LIVE, MARKET_INFO}
MODES = {0: Mode.LTPC, 1: Mode.FULL, 2: Mode.OPTION_GREEKS, 3: Mode.FULL_D30}
STATUSES = dict(enumerate(MarketStatus))
MINUTE_BARS = "I1"
# The scale of `iv` on this wire is not documented: REST has percent in one place and a fraction in
# another. No option of the exchange has 400 %, nor 4 %: it lies between the two.
LARGEST_FRACTION = 4.0
LARGEST_PERCENT = 1e4
# 9999-12-31, the last instant that Python has.
LAST_MS = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """One message. *keys* have an entry in it, *ticks* are those entries that were taken.

    *live*: it has prices of now, and is no snapshot. *unknown_fields* and *unknown_words* are
    those that this version does not know.
    """

    keys: Collection[str]
    ticks: Mapping[str, Tick]
    statuses: Mapping[str, MarketStatus]
    live: bool
    unknown_fields: int
    unknown_words: int


def read_message(raw: bytes, received_at: datetime, book: TickBook) -> FeedMessage:
    """Read one binary message; its entries are taken into *book*. Raises BadRecord for bytes that
    are no message."""
    try:
        message = FeedResponse.FromString(raw)
    except DecodeError:
        raise BadRecord(f"{len(raw)} bytes that are no message of the feed") from None
    feeds = message.feeds
    server_ms = message.currentTs
    server_time = instant_of_ms(server_ms) if 0 < server_ms <= LAST_MS else None
    book.begin(received_at, server_time, repeats=message.type == SNAPSHOT)
    _take_all(feeds, book)
    statuses, unknown_statuses = _statuses(message)
    fields, words = _unknown(message)
    return FeedMessage(
        keys=feeds,
        ticks=book.end(),
        statuses=statuses,
        live=message.type != SNAPSHOT,
        unknown_fields=fields,
        unknown_words=words + unknown_statuses,
    )


def _take_all(feeds: Any, book: TickBook) -> None:
    take, ltpc_mode = book.take, Mode.LTPC
    for key in feeds:
        entry = feeds[key]
        ltpc = entry.ltpc
        price = ltpc.ltp
        # Nearly every entry of the cheapest mode. Of an absent sub-message all numbers are 0.
        if price:
            take(key, ltpc_mode, price, ltpc.ltt, ltpc.ltq, ltpc.cp, None)
        else:
            _take_other(key, entry, book)


def _take_other(key: str, entry: Any, book: TickBook) -> None:
    """An entry of a richer mode, or one without a price."""
    detail: Detail | None
    match entry.WhichOneof("FeedUnion"):
        case "fullFeed":
            inner = entry.fullFeed
            if inner.WhichOneof("FullFeedUnion") == "indexFF":
                whole, detail = inner.indexFF, _index_detail(inner.indexFF)
            else:
                whole, detail = inner.marketFF, _full_detail(inner.marketFF)
            mode = MODES.get(entry.requestMode, Mode.FULL)
        case "firstLevelWithGreeks":
            whole, mode = entry.firstLevelWithGreeks, Mode.OPTION_GREEKS
            detail = _first_level_detail(whole)
        case _:
            whole, detail, mode = entry, None, Mode.LTPC
    ltpc = whole.ltpc
    price = ltpc.ltp if whole.HasField("ltpc") else None
    book.take(key, mode, price, ltpc.ltt, ltpc.ltq, ltpc.cp, detail)


def _full_detail(full: Any) -> Detail:
    levels = full.marketLevel.bidAskQuote
    return Detail(
        volume=full.vtt if full.vtt > 0 else None,
        open_interest=_units(full.oi),
        iv=_fraction(full.iv),
        greeks=_greeks(full),
        best=_best(levels[0]) if levels else None,
        bars=_bars(full),
    )


def _index_detail(index: Any) -> Detail:
    return Detail(None, None, None, None, None, _bars(index))


def _first_level_detail(first: Any) -> Detail:
    return Detail(
        volume=first.vtt if first.vtt > 0 else None,
        open_interest=_units(first.oi),
        iv=_fraction(first.iv),
        greeks=_greeks(first),
        best=_best(first.firstDepth) if first.HasField("firstDepth") else None,
        bars=None,
    )


def _units(number: float) -> int | None:
    return int(number) if 0 < number <= LARGEST_QUANTITY else None


def _fraction(iv: float) -> float | None:
    if not 0 < iv <= LARGEST_PERCENT:
        return None
    return iv if iv <= LARGEST_FRACTION else iv / 100


def _greeks(whole: Any) -> Greeks | None:
    if not whole.HasField("optionGreeks"):
        return None
    sent = whole.optionGreeks
    greeks = Greeks(sent.delta, sent.theta, sent.gamma, sent.vega, sent.rho)
    return greeks if all(map(isfinite, greeks)) else None


def _best(level: Any) -> BestPrices:
    bid, ask = level.bidP, level.askP
    return BestPrices(
        bid if bid > 0 else None,
        level.bidQ if bid > 0 else None,
        ask if ask > 0 else None,
        level.askQ if ask > 0 else None,
    )


def _bars(whole: Any) -> tuple[MinuteBar, ...] | None:
    """The bars of minutes; one that cannot be is left out."""
    if not whole.HasField("marketOHLC"):
        return None
    bars = (
        MinuteBar(bar.ts, bar.open, bar.high, bar.low, bar.close, bar.vol)
        for bar in whole.marketOHLC.ohlc
        if bar.interval == MINUTE_BARS
    )
    return tuple(bar for bar in bars if _is_possible(bar))


def _is_possible(bar: MinuteBar) -> bool:
    return (
        0 < bar.start_ms <= LAST_MS
        and bar.volume >= 0
        and 0 < bar.low <= min(bar.open, bar.close)
        and max(bar.open, bar.close) <= bar.high <= LARGEST_PRICE
    )


def _statuses(message: Any) -> tuple[dict[str, MarketStatus], int]:
    """The known statuses of segments, and how many are unknown."""
    if not message.HasField("marketInfo"):
        return {}, 0
    sent = message.marketInfo.segmentStatus
    known = {segment: STATUSES[sent[segment]] for segment in sent if sent[segment] in STATUSES}
    return known, len(sent) - len(known)


def _unknown(message: Any) -> tuple[int, int]:
    """How many fields and words are unknown in *message* and in one of its entries.

    All entries of a message are made by one version: one of them shows what has changed.
    """
    words = int(message.type not in KINDS)
    fields = len(UnknownFieldSet(message))
    for key in message.feeds:
        entry = message.feeds[key]
        words += entry.requestMode not in MODES
        fields += sum(len(UnknownFieldSet(part)) for part in _parts(entry))
        break
    return fields, words


def _parts(entry: Any) -> list[Any]:
    """*entry* and the messages in it that have prices."""
    parts, part, union = [entry], entry, "FeedUnion"
    while name := part.WhichOneof(union):
        part = getattr(part, name)
        parts.append(part)
        if name != "fullFeed":
            break
        union = "FullFeedUnion"
    return parts


def refusal_in(text: str) -> str:
    """What a text message of the feed says, presentable: it sends one only to refuse a request."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return presentable(text)
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error
    return presentable(str(error or text))


def request_bytes(request: Request, guid: str) -> bytes:
    """*request* as the feed takes it: JSON, sent in a binary message."""
    data: dict[str, Any] = {"instrumentKeys": list(request.keys)}
    if request.mode is not None:
        data["mode"] = request.mode.value
    return orjson.dumps({"guid": guid, "method": request.method.value, "data": data})
