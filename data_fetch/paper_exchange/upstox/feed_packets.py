"""Packets of the market data feed V3, by the provider's protobuf module.

The market at an instant, as the REST side has it: `FeedInstant` makes the packet of an
instrument in a mode, and the status of the segments. Volatility is a fraction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as proto

from data_fetch.core.clock import IST
from data_fetch.core.market.calendar import F_AND_O_STOCK, FUTURES_AND_OPTIONS, OTHER_STOCK
from data_fetch.paper_exchange.market.contracts import Contract
from data_fetch.paper_exchange.market.days import (
    BETWEEN_TRADES,
    FIRST_TRADE,
    TRADES,
    Moment,
    epoch,
)
from data_fetch.paper_exchange.market.depth import Depth, Level, around, levels_behind
from data_fetch.paper_exchange.market.live import Auction, LiveDay, LiveDays
from data_fetch.paper_exchange.market.market import PaperMarket, Tradable, last_trade_of
from data_fetch.paper_exchange.upstox.feed_chains import FeedChains, Leg
from data_fetch.paper_exchange.upstox.market_times import MarketTimesApi
from data_fetch.paper_exchange.upstox.quotes import candle_of, day_candle

SEGMENTS = {
    "NSE_EQ": OTHER_STOCK,
    "NSE_INDEX": OTHER_STOCK,
    "NSE_FO": FUTURES_AND_OPTIONS,
}
LEVELS, MOST_LEVELS = 5, 30
# The levels of a stock's book are multiples of its usual trade.
SMALLEST_UNIT = 1


class Mode(StrEnum):
    """What a subscription asks for."""

    LTPC = "ltpc"
    OPTION_GREEKS = "option_greeks"
    FULL = "full"
    FULL_D30 = "full_d30"


REQUEST_MODES = {
    Mode.LTPC: proto.ltpc,
    Mode.OPTION_GREEKS: proto.option_greeks,
    Mode.FULL: proto.full_d5,
    Mode.FULL_D30: proto.full_d30,
}


@dataclass(frozen=True, slots=True)
class _State:
    """An instrument at the instant."""

    live: LiveDay
    row: int
    trades: int
    ltpc: Any
    volume: int
    oi: int
    auction: Auction | None


class FeedPackets:
    """What the packets of any instant are made from.

    A book without a new trade is worth a packet after *book_seconds* at the earliest. Those of
    futures on indices, which change all the time, are so when they have changed.
    """

    def __init__(self, market: PaperMarket, book_seconds: int) -> None:
        self.market = market
        self.book_seconds = book_seconds
        self.days = LiveDays(market)
        self.times = MarketTimesApi(market.days)
        self.chains = FeedChains(market)

    def at(self, now: Moment) -> "FeedInstant":
        return FeedInstant(self, now)


class FeedInstant:
    """The feed at one instant."""

    def __init__(self, packets: FeedPackets, now: Moment) -> None:
        self._parts = packets
        self._market = packets.market
        self._legs = packets.chains.at(now)
        self.now = now

    @property
    def _milliseconds(self) -> int:
        return round(self.now.seconds * 1000)

    def packet(self, key: str, mode: Mode) -> Any | None:
        """The packet (`Feed`) of an instrument; None when it is not listed."""
        tradable = self._market.find(key, self.now.day)
        if tradable is None:
            return None
        state = self._state(tradable)
        feed = proto.Feed(requestMode=REQUEST_MODES[mode])
        match mode:
            case Mode.LTPC:
                feed.ltpc.CopyFrom(state.ltpc)
            case Mode.OPTION_GREEKS:
                feed.firstLevelWithGreeks.CopyFrom(self._first_level(state))
            case Mode.FULL | Mode.FULL_D30:
                feed.fullFeed.CopyFrom(
                    self._full(state, MOST_LEVELS if mode is Mode.FULL_D30 else LEVELS)
                )
        return feed

    def may_have_changed(self, key: str, mode: Mode, since: float) -> bool:
        """Whether the packet may differ from the one at *since*, in epoch seconds."""
        if Moment.of_seconds(int(since)).day != self.now.day:
            return True
        tradable = self._market.find(key, self.now.day)
        if tradable is None:
            return False
        live = self._parts.days.at(tradable, self.now)
        if not live.is_during(since, self.now):
            return False
        if live.is_index:
            return True
        at = self.now.seconds
        traded = _count(at, FIRST_TRADE, BETWEEN_TRADES) != _count(
            since, FIRST_TRADE, BETWEEN_TRADES
        )
        if traded or (mode is Mode.LTPC and live.auction(self.now) is None):
            return traded
        every = live.book_seconds
        if live.auction(self.now) is None and not live.is_future_on_index:
            every = max(every, self._parts.book_seconds)
        return _count(at, 0, every) != _count(since, 0, every)

    def info(self) -> Any:
        """The frame (`FeedResponse`) with the status of every segment, and on its days of the
        closing auction."""
        return proto.FeedResponse(
            type=proto.market_info, currentTs=self._milliseconds, marketInfo=self._market_info()
        )

    def snapshot(self, packets: Mapping[str, Any]) -> Any:
        """The first frame of a subscription."""
        return self._frame(proto.initial_feed, packets)

    def live(self, packets: Mapping[str, Any]) -> Any:
        """A frame with what has changed."""
        return self._frame(proto.live_feed, packets)

    def _frame(self, kind: int, packets: Mapping[str, Any]) -> Any:
        frame = proto.FeedResponse(type=kind, currentTs=self._milliseconds)
        for key, packet in packets.items():
            frame.feeds[key].CopyFrom(packet)
        return frame

    def _market_info(self) -> Any:
        local = self.now.at.astimezone(IST)
        info = proto.MarketInfo()
        for segment, group in SEGMENTS.items():
            status, _ = self._parts.times.group_status(local, group)
            info.segmentStatus[segment] = proto.MarketStatus.Value(status)
        if self._market.days.has_auction(local.date(), F_AND_O_STOCK):
            status, since = self._parts.times.auction_status(local)
            info.casMarketStatus["NSE_EQ"].status = status
            info.casMarketStatus["NSE_EQ"].updatedTime = epoch(local.date(), since) * 1000
        return info

    def _state(self, tradable: Tradable) -> _State:
        live = self._parts.days.at(tradable, self.now)
        row, trades = live.position(self.now)
        last = last_trade_of(live.rows, row, trades)
        auction = live.auction(self.now)
        ltpc = proto.LTPC(
            ltp=last.price, ltt=self._traded_at(live, row, trades) * 1000, ltq=last.size, cp=last.cp
        )
        if auction is not None and auction.indicative:
            ltpc.iep.value = auction.indicative
        oi = self._parts.days.open_interest(live, row)
        return _State(live, row, trades, ltpc, last.volume, oi, auction)

    def _traded_at(self, live: LiveDay, row: int, trades: int) -> int:
        if live.is_index and row >= 0:
            return live.computed_at(self.now)
        traded_at = live.traded_at(row, trades)
        if traded_at is None:
            return self._parts.days.traded_before(live.tradable, self.now)
        return traded_at

    def _first_level(self, state: _State) -> Any:
        first = proto.FirstLevelWithGreeks(ltpc=state.ltpc, vtt=state.volume, oi=state.oi)
        if state.live.is_index:
            return first
        [best, *_] = self._depth(state).levels
        first.firstDepth.CopyFrom(_quote(best))
        leg = self._leg(state.live.tradable)
        if leg is not None:
            first.optionGreeks.CopyFrom(_greeks(leg))
            first.iv = leg.iv
        return first

    def _full(self, state: _State, levels: int) -> Any:
        ohlc = proto.MarketOHLC(ohlc=self._bars(state))
        if state.live.is_index:
            return proto.FullFeed(indexFF=proto.IndexFullFeed(ltpc=state.ltpc, marketOHLC=ohlc))
        return proto.FullFeed(marketFF=self._market_full(state, ohlc, levels))

    def _market_full(self, state: _State, ohlc: Any, count: int) -> Any:
        live, depth = state.live, self._depth(state)
        levels = levels_behind(
            depth.levels[0],
            live.tick,
            _unit(live),
            live.tradable.key,
            self._book_number(live),
            count,
        )
        full = proto.MarketFullFeed(
            ltpc=state.ltpc,
            marketLevel=proto.MarketLevel(bidAskQuote=[_quote(level) for level in levels]),
            marketOHLC=ohlc,
            atp=live.average(state.row, state.trades),
            vtt=state.volume,
            oi=state.oi,
            tbq=depth.total_bid,
            tsq=depth.total_ask,
        )
        leg = self._leg(live.tradable)
        if leg is not None:
            full.optionGreeks.CopyFrom(_greeks(leg))
            full.iv = leg.iv
        if state.auction is not None:
            full.casEligible = True
            full.rp, full.iep = state.auction.reference, state.auction.indicative
            full.ieq, full.iiqTotal = state.auction.quantity, state.auction.imbalance
            full.iiqM = state.auction.market_imbalance
        return full

    def _bars(self, state: _State) -> Iterator[Any]:
        """The day so far, and the last two minutes with a trade."""
        rows, row, trades = state.live.rows, state.row, state.trades
        yield _bar("1d", day_candle(rows, row, trades))
        for minute in state.live.minutes_with_trades(row):
            made = trades if minute == row else TRADES
            stamp = int(rows.hours.starts[minute]) * 1000
            yield _bar("I1", candle_of(rows, minute, minute, made, stamp))

    def _depth(self, state: _State) -> Depth:
        live = state.live
        leg = self._leg(live.tradable)
        if leg is not None:
            return leg.depth
        return around(
            state.ltpc.ltp, live.tick, _unit(live), live.tradable.key, self._book_number(live)
        )

    def _book_number(self, live: LiveDay) -> int:
        """The number of the order book's state: it is the last one after the close."""
        return min(int(self.now.seconds), live.ends) // live.book_seconds

    def _leg(self, tradable: Tradable) -> Leg | None:
        if not isinstance(tradable, Contract) or tradable.kind == "FUT":
            return None
        return self._legs.of(tradable)


def _greeks(leg: Leg) -> Any:
    return proto.OptionGreeks(
        delta=leg.delta, theta=leg.theta, gamma=leg.gamma, vega=leg.vega, rho=leg.rho
    )


def _quote(level: Level) -> Any:
    return proto.Quote(bidQ=level.bid_units, bidP=level.bid, askQ=level.ask_units, askP=level.ask)


def _bar(interval: str, candle: dict[str, Any]) -> Any:
    return proto.OHLC(
        interval=interval,
        open=candle["open"],
        high=candle["high"],
        low=candle["low"],
        close=candle["close"],
        vol=candle["volume"],
        ts=candle["ts"],
    )


def _unit(live: LiveDay) -> int:
    """The quantity of which a book's levels are multiples."""
    return max(live.rows.lot, live.rows.trade_size, SMALLEST_UNIT)


def _count(at: float, first: int, every: int) -> int:
    """How many instants *first*, *first* + *every*, .. there are up to *at*."""
    return int((at - first) // every)
