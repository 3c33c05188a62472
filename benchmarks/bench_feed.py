"""Messages of the feed, decoded and handed over, beside parsing them and taking their fields.

Processor time counts. The bare version takes every field of an entry, and keeps no state.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from statistics import median
from time import process_time
from typing import Any

from upstox_client.feeder.proto import MarketDataFeedV3_pb2

from benchmarks.figure import Figure
from data_fetch.core.feed.ticks import TickBook
from data_fetch.sources.transport.tick_board import TickBoard
from data_fetch.sources.upstox.feed_messages import FeedResponse, read_message

LTPC_KEYS, FULL_KEYS = 5000, 2000
# Different seconds: the same message again would be dropped as a repetition.
SECONDS, ROUNDS = 12, 5
START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)


def measure() -> Iterator[Figure]:
    messages = [_ltpc_message(second) for second in range(SECONDS)]
    ours, bare, ratio = _interleaved(messages, LTPC_KEYS, _bare_ltpc)
    detail = (
        f"us a key: ours {ours / LTPC_KEYS * 1e6:.2f}, bare {bare / LTPC_KEYS * 1e6:.2f}; "
        f"{len(messages[0]) // 1024} kB a second"
    )
    yield Figure("feed, 5,000 ltpc keys", ratio, "x bare", bound=1.5, detail=detail)

    messages = [_full_message(second) for second in range(SECONDS)]
    ours, bare, ratio = _interleaved(messages, FULL_KEYS, _bare_full)
    yield Figure(
        "feed, 2,000 full keys a second", ours, "of a core", bound=0.25,
        detail=f"us a key: ours {ours / FULL_KEYS * 1e6:.0f}; {ratio:.2f} x bare",
    )  # fmt: skip


def _interleaved(
    messages: list[bytes], keys: int, bare: Callable[[bytes], object]
) -> tuple[float, float, float]:
    """Median processor seconds for a message of both, and the median of the ratios."""
    book, board = TickBook(), TickBoard()
    book.request(FeedResponse.FromString(messages[0]).feeds.keys() | set())
    board.reader()
    seconds = cycle(range(SECONDS))
    pairs = []
    for _ in range(ROUNDS * SECONDS):
        second = next(seconds)
        if second == 0:
            # The day after: nothing is carried on, and no trade is late.
            book.begin(START + timedelta(days=len(pairs) + 1), None, repeats=False)
        raw = messages[second]
        received_at = START + timedelta(seconds=second)

        def ours(raw: bytes = raw, received_at: datetime = received_at) -> None:
            board.put(read_message(raw, received_at, book).ticks)

        pairs.append((_cost(ours), _cost(lambda raw=raw: bare(raw))))
    assert book.counts.ticks == keys * len(pairs)
    return (
        median(mine for mine, _ in pairs),
        median(theirs for _, theirs in pairs),
        median(mine / theirs for mine, theirs in pairs),
    )


def _cost(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return process_time() - began


def _bare_ltpc(raw: bytes) -> dict[str, tuple[Any, ...]]:
    message = FeedResponse.FromString(raw)
    feeds, taken = message.feeds, {}
    for key in feeds:
        entry = feeds[key]
        if entry.WhichOneof("FeedUnion") == "ltpc":
            ltpc = entry.ltpc
            iep = ltpc.iep.value if ltpc.HasField("iep") else None
            taken[key] = (entry.requestMode, ltpc.ltp, ltpc.ltt, ltpc.ltq, ltpc.cp, iep)
    return taken


def _bare_full(raw: bytes) -> dict[str, tuple[Any, ...]]:
    message = FeedResponse.FromString(raw)
    feeds, taken = message.feeds, {}
    for key in feeds:
        full = feeds[key].fullFeed.marketFF
        ltpc, greeks = full.ltpc, full.optionGreeks
        taken[key] = (
            (ltpc.ltp, ltpc.ltt, ltpc.ltq, ltpc.cp),
            [(q.bidQ, q.bidP, q.askQ, q.askP) for q in full.marketLevel.bidAskQuote],
            (greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho),
            [
                (b.interval, b.open, b.high, b.low, b.close, b.vol, b.ts)
                for b in full.marketOHLC.ohlc
            ],
            (full.atp, full.vtt, full.oi, full.iv, full.tbq, full.tsq),
        )
    return taken


pb = MarketDataFeedV3_pb2


def _trade(number: int, second: int) -> Any:
    traded_ms = START_MS + second * 1000 + number % 1000
    return pb.LTPC(ltp=100.05 + number + second, ltt=traded_ms, ltq=50, cp=99.5)


def _message(entries: dict[str, Any], second: int) -> bytes:
    server_ms = START_MS + second * 1000 + 999
    message = FeedResponse(type=1, feeds=entries, currentTs=server_ms)
    return bytes(message.SerializeToString())


def _ltpc_message(second: int) -> bytes:
    return _message(
        {f"NSE_FO|{40_000 + n}": pb.Feed(ltpc=_trade(n, second)) for n in range(LTPC_KEYS)}, second
    )


def _full_message(second: int) -> bytes:
    entries = {f"NSE_FO|{40_000 + n}": _full(n, second) for n in range(FULL_KEYS)}
    return _message(entries, second)


def _full(number: int, second: int) -> Any:
    price = 100.0 + number
    quotes = [
        pb.Quote(bidQ=50 + level, bidP=price - level, askQ=75, askP=price + 1 + level)
        for level in range(5)
    ]
    minute_ms = START_MS - START_MS % 60_000
    bars = [
        pb.OHLC(interval=name, open=price, high=price + 2, low=price - 2, close=price + 1, vol=9,
                ts=start)
        for name, start in (("1d", START_MS), ("I1", minute_ms - 60_000), ("I1", minute_ms))
    ]  # fmt: skip
    full = pb.MarketFullFeed(
        ltpc=_trade(number, second),
        marketLevel=pb.MarketLevel(bidAskQuote=quotes),
        optionGreeks=pb.OptionGreeks(delta=0.5, theta=-3.2, gamma=0.001, vega=9.1, rho=1.2),
        marketOHLC=pb.MarketOHLC(ohlc=bars),
        atp=price, vtt=1000 + second, oi=7500, iv=0.14, tbq=1000, tsq=2000,
    )  # fmt: skip
    return pb.Feed(fullFeed=pb.FullFeed(marketFF=full), requestMode=1)
