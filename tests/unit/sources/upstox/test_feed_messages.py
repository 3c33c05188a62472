"""The messages of the feed, as the SDK's generated module writes them."""

from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any

import orjson
import pytest
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb

from data_fetch.core.errors import BadRecord
from data_fetch.core.feed.market_status import MarketStatus
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Method, Request
from data_fetch.core.feed.ticks import BestPrices, Detail, Greeks, MinuteBar, TickBook
from data_fetch.sources.upstox.feed_messages import (
    FeedMessage,
    read_message,
    refusal_in,
    request_bytes,
)

RECEIVED = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
TRADED_MS = round(RECEIVED.timestamp() * 1000) - 500
MINUTE_MS = TRADED_MS // 60_000 * 60_000
KEY, INDEX_KEY = "NSE_FO|45450", "NSE_INDEX|Nifty 50"
TRADE = {"ltp": 100.5, "ltt": TRADED_MS, "ltq": 50, "cp": 99.0}


def read(feed: pb.Feed, *, kind: int = 1, key: str = KEY, book: TickBook | None = None) -> Any:
    """The message with one entry."""
    return read_raw(pb.FeedResponse(type=kind, feeds={key: feed}, currentTs=TRADED_MS), book)


def read_raw(sent: pb.FeedResponse | bytes, book: TickBook | None = None) -> FeedMessage:
    if book is None:
        book = TickBook()
        book.request({KEY, INDEX_KEY})
    raw = sent if isinstance(sent, bytes) else sent.SerializeToString()
    return read_message(raw, RECEIVED, book)


def bar(interval: str, start_ms: int, **prices: float) -> pb.OHLC:
    known = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, **prices}
    return pb.OHLC(interval=interval, vol=7, ts=start_ms, **known)


def full(**more: Any) -> pb.MarketFullFeed:
    known = {
        "ltpc": pb.LTPC(**TRADE),
        "marketLevel": pb.MarketLevel(
            bidAskQuote=[
                pb.Quote(bidQ=1, bidP=100.0, askQ=2, askP=101.0),
                pb.Quote(bidQ=3, bidP=99.0, askQ=4, askP=102.0),
            ]
        ),
        "optionGreeks": pb.OptionGreeks(delta=0.5, theta=-3.0, gamma=0.001, vega=9.0, rho=1.0),
        "marketOHLC": pb.MarketOHLC(
            ohlc=[bar("1d", 0), bar("I1", MINUTE_MS - 60_000), bar("I1", MINUTE_MS)]
        ),
        "vtt": 1000,
        "oi": 750.0,
        "iv": 0.1431,
    }
    return pb.MarketFullFeed(**{**known, **more})


def full_entry(**more: Any) -> pb.Feed:
    return pb.Feed(fullFeed=pb.FullFeed(marketFF=full(**more)), requestMode=1)


def detail_of(entry: pb.Feed) -> Detail:
    detail: Detail = read(entry).ticks[KEY].detail
    return detail


def test_the_cheapest_mode() -> None:
    message = read(pb.Feed(ltpc=pb.LTPC(**TRADE)))

    tick = message.ticks[KEY]
    assert (tick.mode, tick.last_price, tick.ltq, tick.prev_close) == (Mode.LTPC, 100.5, 50, 99.0)
    assert tick.traded_at == RECEIVED - timedelta(seconds=0.5)
    assert tick.server_time == RECEIVED - timedelta(seconds=0.5)
    assert tick.received_at == RECEIVED
    assert message.live


def test_the_full_mode() -> None:
    tick = read(full_entry()).ticks[KEY]

    assert tick.mode is Mode.FULL
    assert tick.last_price == 100.5
    assert tick.detail == Detail(
        volume=1000,
        open_interest=750,
        iv=0.1431,
        greeks=Greeks(0.5, -3.0, 0.001, 9.0, 1.0),
        best=BestPrices(100.0, 1, 101.0, 2),
        bars=(
            MinuteBar(MINUTE_MS - 60_000, 10.0, 12.0, 9.0, 11.0, 7),
            MinuteBar(MINUTE_MS, 10.0, 12.0, 9.0, 11.0, 7),
        ),
    )


def test_an_index_in_full() -> None:
    index = pb.IndexFullFeed(
        ltpc=pb.LTPC(**TRADE), marketOHLC=pb.MarketOHLC(ohlc=[bar("I1", MINUTE_MS)])
    )
    entry = pb.Feed(fullFeed=pb.FullFeed(indexFF=index), requestMode=1)

    tick = read(entry, key=INDEX_KEY).ticks[INDEX_KEY]

    assert tick.last_price == 100.5
    assert tick.detail.volume is None
    assert len(tick.detail.bars) == 1


def test_the_mode_with_greeks() -> None:
    first = pb.FirstLevelWithGreeks(
        ltpc=pb.LTPC(**TRADE),
        firstDepth=pb.Quote(bidQ=1, bidP=100.0),
        optionGreeks=pb.OptionGreeks(delta=0.5),
        vtt=10,
        oi=20,
        iv=14.31,
    )

    tick = read(pb.Feed(firstLevelWithGreeks=first, requestMode=2)).ticks[KEY]

    assert tick.mode is Mode.OPTION_GREEKS
    assert tick.detail == Detail(
        volume=10,
        open_interest=20,
        iv=pytest.approx(0.1431),
        greeks=Greeks(0.5, 0.0, 0.0, 0.0, 0.0),
        best=BestPrices(100.0, 1, None, None),
        bars=None,
    )


def test_thirty_levels_are_a_mode_of_their_own() -> None:
    entry = full_entry()
    entry.requestMode = 3

    assert read(entry).ticks[KEY].mode is Mode.FULL_D30


def test_a_partial_packet_has_what_it_lacks_from_the_one_before() -> None:
    book = TickBook()
    book.request({KEY})
    whole = read(full_entry(), book=book).ticks[KEY]
    book_only = pb.MarketFullFeed(
        marketLevel=pb.MarketLevel(bidAskQuote=[pb.Quote(bidQ=9, bidP=100.25)])
    )

    partial = read(
        pb.Feed(fullFeed=pb.FullFeed(marketFF=book_only), requestMode=1), book=book
    ).ticks[KEY]

    assert partial == whole._replace(
        detail=whole.detail._replace(best=BestPrices(100.25, 9, None, None))
    )


ABSENT = {
    "volume of 0": ({"vtt": 0}, "volume"),
    "open interest of 0": ({"oi": 0.0}, "open_interest"),
    "open interest that is no number": ({"oi": nan}, "open_interest"),
    "open interest without end": ({"oi": inf}, "open_interest"),
    "volatility of 0": ({"iv": 0.0}, "iv"),
    "volatility without end": ({"iv": inf}, "iv"),
    "no greeks": ({"optionGreeks": None}, "greeks"),
    "greeks that are no numbers": ({"optionGreeks": pb.OptionGreeks(delta=nan)}, "greeks"),
    "no book": ({"marketLevel": None}, "best"),
    "an empty book": ({"marketLevel": pb.MarketLevel()}, "best"),
    "no bars": ({"marketOHLC": None}, "bars"),
}


@pytest.mark.parametrize(("sent", "field"), ABSENT.values(), ids=ABSENT)
def test_what_is_absent_is_none(sent: dict[str, Any], field: str) -> None:
    assert getattr(detail_of(full_entry(**sent)), field) is None


BAD_BARS: dict[str, dict[str, float]] = {
    "a price of 0": {"low": 0.0},
    "a low above the close": {"low": 11.5},
    "a high below the open": {"high": 9.5},
    "no number": {"open": nan},
    "without end": {"high": inf},
}


@pytest.mark.parametrize("prices", BAD_BARS.values(), ids=BAD_BARS)
def test_a_bar_that_cannot_be_is_left_out(prices: dict[str, float]) -> None:
    bars = pb.MarketOHLC(ohlc=[bar("I1", MINUTE_MS, **prices), bar("I1", MINUTE_MS)])

    assert detail_of(full_entry(marketOHLC=bars)).bars == (
        MinuteBar(MINUTE_MS, 10.0, 12.0, 9.0, 11.0, 7),
    )


EMPTY_ENTRIES = {
    "nothing": pb.Feed(),
    "no trade": pb.Feed(ltpc=pb.LTPC()),
    "a price of 0": pb.Feed(ltpc=pb.LTPC(ltp=0.0, ltt=TRADED_MS)),
    "full without a trade": pb.Feed(fullFeed=pb.FullFeed(marketFF=pb.MarketFullFeed(vtt=1))),
}


@pytest.mark.parametrize("entry", EMPTY_ENTRIES.values(), ids=EMPTY_ENTRIES)
def test_a_first_entry_without_a_price_is_an_entry_and_no_tick(entry: pb.Feed) -> None:
    message = read(entry, kind=0)

    assert KEY in message.keys
    assert message.ticks == {}


def test_an_absent_kind_is_a_snapshot() -> None:
    assert not read(pb.Feed(ltpc=pb.LTPC(**TRADE)), kind=0).live


def test_the_status_of_segments() -> None:
    info = pb.MarketInfo(segmentStatus={"NSE_EQ": 0, "NSE_FO": 2, "NSE_INDEX": 3})

    message = read_raw(pb.FeedResponse(type=2, marketInfo=info, currentTs=TRADED_MS))

    assert message.statuses == {
        "NSE_EQ": MarketStatus.PRE_OPEN_START,
        "NSE_FO": MarketStatus.NORMAL_OPEN,
        "NSE_INDEX": MarketStatus.NORMAL_CLOSE,
    }
    assert message.unknown_words == 0


def field(number: int, inside: bytes = b"") -> bytes:
    """An unknown field as it is on the wire: a text of three letters."""
    return inside + bytes([number << 3 | 2, 3]) + b"new"


def entry_with(raw: bytes) -> pb.Feed:
    return pb.Feed.FromString(raw)


UNKNOWN_FIELDS = {
    "in the message": field(15, pb.FeedResponse(type=1).SerializeToString()),
    "in an entry": pb.FeedResponse(
        type=1,
        feeds={KEY: entry_with(field(15, pb.Feed(ltpc=pb.LTPC(**TRADE)).SerializeToString()))},
    ).SerializeToString(),
    "in a trade": pb.FeedResponse(
        type=1,
        feeds={
            KEY: pb.Feed(ltpc=pb.LTPC.FromString(field(15, pb.LTPC(**TRADE).SerializeToString())))
        },
    ).SerializeToString(),
    "in a full entry": pb.FeedResponse(
        type=1,
        feeds={
            KEY: pb.Feed(
                fullFeed=pb.FullFeed(
                    marketFF=pb.MarketFullFeed.FromString(field(15, full().SerializeToString()))
                )
            )
        },
    ).SerializeToString(),
}


@pytest.mark.parametrize("raw", UNKNOWN_FIELDS.values(), ids=UNKNOWN_FIELDS)
def test_an_unknown_field_is_counted(raw: bytes) -> None:
    assert read_raw(raw).unknown_fields == 1


UNKNOWN_WORDS = {
    "a kind": pb.FeedResponse(type=9, feeds={KEY: pb.Feed(ltpc=pb.LTPC(**TRADE))}),
    "a mode": pb.FeedResponse(type=1, feeds={KEY: pb.Feed(ltpc=pb.LTPC(**TRADE), requestMode=9)}),
    "a status": pb.FeedResponse(type=2, marketInfo=pb.MarketInfo(segmentStatus={"NSE_EQ": 9})),
}


@pytest.mark.parametrize("sent", UNKNOWN_WORDS.values(), ids=UNKNOWN_WORDS)
def test_an_unknown_word_is_counted_and_prices_are_taken(sent: pb.FeedResponse) -> None:
    message = read_raw(sent)

    assert message.unknown_words == 1
    assert len(message.ticks) == len(sent.feeds)


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a", b"<html></html>"])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRecord, match="no message of the feed"):
        read_raw(raw)


TEXTS = {
    '{"status":"failed","method":"sub","error":"too many keys"}': "too many keys",
    '{"error":{"code":"X","message":"Invalid mode"}}': "Invalid mode",
    '{"status":"failed"}': '{"status":"failed"}',
    "[1]": "[1]",
    "no JSON\x00": "no JSON",
    "x" * 500: "x" * 119 + "…",
}


@pytest.mark.parametrize(("text", "refusal"), TEXTS.items())
def test_a_text_is_a_refusal(text: str, refusal: str) -> None:
    assert refusal_in(text) == refusal


def test_a_request_is_json_in_bytes() -> None:
    request = Request(Method.SUBSCRIBE, Mode.FULL, (INDEX_KEY, KEY))

    assert orjson.loads(request_bytes(request, "guid")) == {
        "guid": "guid",
        "method": "sub",
        "data": {"mode": "full", "instrumentKeys": [INDEX_KEY, KEY]},
    }
    assert b"mode" not in request_bytes(Request(Method.UNSUBSCRIBE, None, (KEY,)), "guid")
