"""The feed against the paper exchange: prices of every mode, and each fault of its sockets."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
import urllib3
from exchange_client import ExchangeClient, ManualClock
from feed_folders import patient_recorder
from feed_stub import reaches, until
from upstox_stub import FreePacing, keeper

from data_fetch.archive.feed_recordings import read_recordings
from data_fetch.archive.recording_folder import recording_files
from data_fetch.core.clock import ScaledClock, VirtualClock
from data_fetch.core.feed.liveness import FeedState, LivenessRules, Sentinel
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.feed.recorder import MessageRecorder
from data_fetch.core.feed.ticks import Tick
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.reading.feed_recordings import replayed_recording
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.feed import HEARTBEAT, SENTINELS, UpstoxFeed
from data_fetch.sources.upstox.feed_doors import AuthorisedDoor, FeedDoor, RedirectDoor
from data_fetch.sources.upstox.feed_replay import EveryKey, replayed

NIFTY, BANK = "NSE_INDEX|Nifty 50", "NSE_INDEX|Nifty Bank"
# A Wednesday, 11:23:30 IST.
SESSION = datetime(2026, 9, 16, 5, 53, 30, tzinfo=UTC)
# On the same day, 15:14 IST: at 15:15 the closing auction of the stocks begins.
BEFORE_AUCTION = datetime(2026, 9, 16, 9, 44, tzinfo=UTC)
# Short, so that a test of silence is short; an index may miss two ticks of a second.
RULES = LivenessRules(
    mute_after=timedelta(seconds=2),
    dead_after=timedelta(seconds=4),
    honoured_within=timedelta(seconds=1),
)


class Exchange:
    """A paper exchange, and a feed of it with two indices, the future of one, and a stock."""

    def __init__(
        self,
        clock: ScaledClock | VirtualClock | None = None,
        *,
        redirected: bool = False,
        sent: Path | None = None,
        recorder: MessageRecorder | None = None,
        rules: LivenessRules = RULES,
        heartbeat: timedelta = timedelta(seconds=1),
    ) -> None:
        """Frames are recorded by the exchange into the folder *sent*, and by *recorder*."""
        self.clock = clock or ScaledClock(SESSION)
        self.server = PaperExchange(
            self.clock, symbols=("NIFTY", "BANKNIFTY", "TCS"), feed_recordings=sent
        ).start()
        market = self.server.market
        self.stock = next(each.key for each in market.listings.values() if each.symbol == "TCS")
        contracts = market.contracts.of(market.listings[NIFTY], date(2026, 9, 16))
        self.future = next(each.key for each in contracts if each.kind == "FUT")
        token, pacing = keeper("paper-analytics-test"), FreePacing()
        door: FeedDoor = AuthorisedDoor(
            UpstoxApi(
                base_url=self.server.url,
                token=token,
                pacing=pacing,
                clock=self.clock,
                world=World.PAPER,
            )
        )
        if redirected:
            door = RedirectDoor(
                base_url=self.server.url,
                token=token,
                pacing=pacing,
                clock=self.clock,
                world=World.PAPER,
            )
        self.feed = UpstoxFeed(
            door,
            base_url=self.server.url,
            clock=self.clock,
            calendar=MarketCalendar.reviewed,
            sentinels={**SENTINELS, self.future: Sentinel("Nifty's future", FUTURES_AND_OPTIONS)},
            rules=rules,
            heartbeat=heartbeat,
            random=Random(1),
            recorder=recorder,
        )
        self.follow(Mode.FULL)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({NIFTY, BANK, self.future, self.stock})

    def tick(self) -> Tick:
        """The newest tick of the stock."""
        return self.feed.board.latest()[self.stock]

    def follow(self, mode: Mode) -> None:
        self.feed.subscribe(Plan(dict.fromkeys(self.keys, mode)))

    def fault(self, **fault: Any) -> None:
        url, body = f"{self.server.url}/paper/faults", orjson.dumps(fault)
        assert urllib3.request("POST", url, body=body).status == 200

    def heal(self) -> None:
        urllib3.request("DELETE", f"{self.server.url}/paper/faults")

    def live(self) -> None:
        self.feed.start()
        reaches(self.feed, FeedState.LIVE)
        until(lambda: self.feed.board.latest().keys() == self.keys)

    def close(self) -> None:
        self.feed.stop()
        self.server.stop()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.close()


@pytest.mark.parametrize("redirected", [False, True], ids=["authorised", "redirected"])
def test_both_ways_lead_to_live_prices(redirected: bool) -> None:
    exchange = Exchange(redirected=redirected)
    try:
        exchange.live()
    finally:
        exchange.close()


@pytest.mark.parametrize("mode", [Mode.LTPC, Mode.OPTION_GREEKS, Mode.FULL])
def test_every_mode_has_the_price_of_the_rest_side(exchange: Exchange, mode: Mode) -> None:
    exchange.follow(mode)
    exchange.live()
    rest = ExchangeClient(exchange.server, ManualClock("2026-09-16 11:23:30"))

    # The clock runs: a trade may come between the two.
    until(
        lambda: exchange.tick().last_price == rest.ltp(exchange.stock)[exchange.stock]["last_price"]
    )

    assert exchange.tick().mode is mode
    assert (exchange.tick().detail is None) is (mode is Mode.LTPC)
    assert exchange.feed.status().counts.unknown_fields == 0
    assert exchange.feed.status().counts.unknown_words == 0


def test_a_full_packet_has_what_the_rest_side_has(exchange: Exchange) -> None:
    exchange.live()

    detail = exchange.tick().detail

    assert detail is not None
    assert detail.volume is not None
    assert detail.best is not None
    assert detail.best.bid is not None
    assert detail.bars is not None
    minutes = [bar.start for bar in detail.bars]
    assert minutes[1] - minutes[0] == timedelta(minutes=1)


LOST: dict[str, tuple[dict[str, Any], str]] = {
    "mute": ({"kind": "feed-mute"}, "no price of Nifty 50, "),
    "closed with 1000": ({"kind": "feed-close", "code": 1000}, "the server closed the connection"),
    "closed with 1001": ({"kind": "feed-close", "code": 1001}, "the server closed the connection"),
    "closed with 1012": ({"kind": "feed-close", "code": 1012}, "the server closed the connection"),
    "cut": ({"kind": "feed-cut"}, "the connection was cut"),
}


@pytest.mark.parametrize(("fault", "cause"), LOST.values(), ids=LOST)
def test_a_lost_connection_is_a_disconnect(
    fault: dict[str, Any], cause: str, exchange: Exchange
) -> None:
    exchange.live()

    exchange.fault(**fault)
    until(lambda: exchange.feed.status().disconnect)
    exchange.heal()
    until(lambda: exchange.feed.status().disconnect is None)
    reaches(exchange.feed, FeedState.LIVE)

    [disconnect] = exchange.feed.take_disconnects()
    assert disconnect.cause.startswith(cause)
    assert disconnect.keys == exchange.keys


REFUSED: dict[str, tuple[dict[str, Any], FeedState, str]] = {
    "a used code": ({"kind": "feed-used-code"}, FeedState.REFUSED, "(403)"),
    "nowhere": ({"kind": "feed-nowhere"}, FeedState.DEAD, "No connection to the feed"),
    "too many requests": (
        {"kind": "rate-limited", "api": "feed-authorize"},
        FeedState.REFUSED,
        "Upstox limits the request rate",
    ),
    "too many connections": (
        {"kind": "rate-limited", "api": "feed-connect"},
        FeedState.REFUSED,
        "The feed refuses the connection (429)",
    ),
    "a server error": (
        {"kind": "server-error", "api": "feed-connect"},
        FeedState.DEAD,
        "instead of a connection",
    ),
    "a page": (
        {"kind": "html-in-200", "api": "feed-authorize"},
        FeedState.DEAD,
        "Upstox returned 200",
    ),
}


@pytest.mark.parametrize(("fault", "state", "cause"), REFUSED.values(), ids=REFUSED)
def test_a_refused_connection_is_tried_again(
    fault: dict[str, Any], state: FeedState, cause: str, exchange: Exchange
) -> None:
    exchange.fault(**fault)
    exchange.feed.start()
    refused = reaches(exchange.feed, state)
    exchange.heal()
    reaches(exchange.feed, FeedState.LIVE)

    assert cause in refused.condition.cause


def test_an_expired_token_waits_for_another_one(exchange: Exchange) -> None:
    exchange.fault(kind="token-expired", api="feed-authorize")
    exchange.feed.start()

    refused = reaches(exchange.feed, FeedState.REFUSED)

    assert "Upstox rejects the access token (401 since" in refused.condition.cause


def test_a_key_without_a_snapshot_is_requested_again_and_reported(exchange: Exchange) -> None:
    """It is dead in live messages as well: else these would be the proof."""
    for kind in ("feed-snapshot-missing", "feed-half-mute"):
        exchange.fault(kind=kind, instruments=[exchange.stock])
    exchange.feed.start()

    until(lambda: exchange.feed.status().unhonoured)

    assert set(exchange.feed.status().unhonoured) == {exchange.stock}
    assert exchange.feed.status().condition.state is FeedState.LIVE


def test_an_end_of_a_subscription_that_is_ignored_is_counted(exchange: Exchange) -> None:
    exchange.live()
    exchange.fault(kind="feed-unsub-ignored")

    exchange.feed.subscribe(Plan(dict.fromkeys([NIFTY, BANK], Mode.FULL)))
    until(lambda: exchange.feed.status().ticks.unrequested)

    assert set(exchange.feed.board.latest()) == {NIFTY, BANK}


def test_a_snapshot_of_zeros_is_no_price(exchange: Exchange) -> None:
    exchange.fault(kind="feed-zero-first")
    exchange.feed.start()

    until(lambda: exchange.feed.status().ticks.zero_prices)
    reaches(exchange.feed, FeedState.LIVE)

    assert all(tick.last_price > 0 for tick in exchange.feed.board.latest().values())


def test_a_stall_is_mute_and_its_burst_is_read(exchange: Exchange) -> None:
    exchange.live()

    exchange.fault(kind="feed-stall", seconds=3, times=1)
    reaches(exchange.feed, FeedState.MUTE)
    reaches(exchange.feed, FeedState.LIVE)

    assert exchange.feed.status().counts.connections == 1


SURVIVED = {
    "partial packets": ("feed-partial", None),
    "late packets": ("feed-late-packets", "backwards"),
    "duplicates": ("feed-duplicates", "duplicates"),
    "unknown values": ("feed-unknown-values", "unknown_fields"),
    "a frame of 2 MB": ("feed-large-frame", "unknown_fields"),
    "cut frames": ("feed-cut-frame", "junk"),
    "junk": ("feed-junk", "junk"),
    "texts": ("feed-text-error", "refusals"),
}


@pytest.mark.parametrize(("kind", "counted"), SURVIVED.values(), ids=SURVIVED)
def test_a_damaged_message_is_counted_and_survived(
    kind: str, counted: str | None, exchange: Exchange
) -> None:
    exchange.live()
    before = exchange.feed.board.latest()[NIFTY]

    exchange.fault(kind=kind, api="feed-live", times=2)
    until(lambda: exchange.feed.board.latest()[NIFTY].traded_ms > before.traded_ms + 3000)

    status = exchange.feed.status()
    if counted is not None:
        counts = {**_named(status.counts), **_named(status.ticks)}
        assert counts[counted] > 0
    assert status.counts.connections == 1


def test_a_night_on_a_virtual_clock_has_no_alarm() -> None:
    """From 15:28 to 09:16 of the next day, as fast as the machine allows."""
    clock = VirtualClock(datetime(2026, 9, 15, 9, 58, tzinfo=UTC))
    hold = clock.hold()
    exchange = Exchange(clock, rules=LivenessRules(), heartbeat=HEARTBEAT)
    try:
        exchange.feed.start()
        until(lambda: exchange.feed.board.latest().keys() == exchange.keys)
        while clock.now() < datetime(2026, 9, 16, 3, 46, tzinfo=UTC):
            clock.sleep(timedelta(minutes=1))
        reaches(exchange.feed, FeedState.LIVE)
        states = {change.state for change in exchange.feed.take_changes()}
    finally:
        exchange.close()
        hold.release()

    assert not states & {FeedState.MUTE, FeedState.DEAD, FeedState.REFUSED}
    assert exchange.feed.take_disconnects() == []


def test_both_ends_of_a_connection_record_the_ticks_that_were_taken(tmp_path: Path) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    clock = VirtualClock(SESSION)
    hold = clock.hold()
    exchange = Exchange(
        clock,
        rules=LivenessRules(),
        heartbeat=HEARTBEAT,
        sent=sent,
        recorder=patient_recorder(received),
    )
    try:
        exchange.feed.start()
        until(lambda: exchange.feed.board.latest().keys() == exchange.keys)
        for kind in ("feed-partial", "feed-duplicates", "feed-junk", "feed-text-error"):
            exchange.fault(kind=kind, api="feed-live", times=3)
        # It ends between two ticks, so that every frame was read.
        clock.sleep(timedelta(minutes=5, seconds=0.5))
        frames = sent / "feed-1.jsonl"
        until(lambda: exchange.feed.status().counts.messages == frames.read_bytes().count(b"\n"))
        status, latest = exchange.feed.status(), exchange.feed.board.latest()
    finally:
        exchange.close()
        hold.release()
    settings = Settings.load({"DATA_SOURCE": "paper"}, tmp_path)

    first, second = (replayed_recording(settings, str(frames)) for _ in range(2))
    other_end = replayed_recording(settings, str(received))

    assert first == second
    assert first.digest == other_end.digest
    assert status.ticks.ticks > 90
    assert status.counts.junk == status.counts.refusals == 3
    for replayed_end in (first, other_end):
        assert replayed_end.ticks == status.ticks
        assert replayed_end.messages == replace(status.counts, attempts=0, connections=0)
        assert replayed_end.damaged == []
    again = replayed(read_recordings(recording_files(received)), EveryKey())
    assert {each.key: each for each in again} == latest


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("feed-mute", "no price of Nifty 50, Nifty Bank, Nifty's future since 11:24:00 IST"),
        ("feed-cut", "the connection was cut"),
        ("feed-close", "the server closed the connection (1000)"),
    ],
)
def test_on_a_virtual_clock_a_lost_connection_is_noticed_in_time(kind: str, cause: str) -> None:
    """Within ten seconds of the clock, though it leaps from minute to minute."""
    clock = VirtualClock(SESSION)
    hold = clock.hold()
    exchange = Exchange(clock, rules=LivenessRules(), heartbeat=HEARTBEAT)
    begins, ends = SESSION + timedelta(seconds=31), SESSION + timedelta(seconds=46)
    exchange.fault(
        kind=kind,
        **{"from": begins.isoformat(), "until": ends.isoformat()},
        **({} if kind == "feed-mute" else {"times": 1}),
        **({"code": 1000} if kind == "feed-close" else {}),
    )
    try:
        exchange.feed.start()
        until(lambda: exchange.feed.board.latest().keys() == exchange.keys)
        clock.sleep(timedelta(hours=1))
        [disconnect] = exchange.feed.take_disconnects()
        connections = exchange.feed.status().counts.connections
    finally:
        exchange.close()
        hold.release()

    assert disconnect.cause.startswith(cause)
    assert timedelta() <= begins - disconnect.began + timedelta(seconds=5) <= timedelta(seconds=10)
    assert disconnect.ended is not None
    assert disconnect.ended - begins <= timedelta(seconds=30)
    assert connections == 2


def test_while_the_stocks_are_in_the_closing_auction_a_future_shows_a_mute_connection() -> None:
    """Indices have no prices from 15:15 on; contracts are traded until 15:40."""
    clock = VirtualClock(BEFORE_AUCTION)
    hold = clock.hold()
    exchange = Exchange(clock, rules=LivenessRules(), heartbeat=HEARTBEAT)
    begins, ends = (BEFORE_AUCTION + timedelta(minutes=each) for each in (20, 21))
    exchange.fault(kind="feed-mute", **{"from": begins.isoformat(), "until": ends.isoformat()})
    try:
        exchange.feed.start()
        until(lambda: exchange.feed.board.latest().keys() == exchange.keys)
        clock.sleep(timedelta(minutes=19))
        healthy = exchange.feed.status().condition, exchange.feed.take_disconnects()
        clock.sleep(timedelta(minutes=15))
        disconnects = exchange.feed.take_disconnects()
        closed = exchange.feed.status().condition
    finally:
        exchange.close()
        hold.release()

    assert healthy[0].state is FeedState.LIVE
    assert healthy[1] == []
    [disconnect] = disconnects
    assert disconnect.cause == (
        "no price of Nifty's future since 15:33:55 IST, though the market is open"
    )
    assert disconnect.ended is not None
    assert ends <= disconnect.ended <= ends + timedelta(minutes=2)
    assert closed.state is FeedState.MARKET_CLOSED


def _named(counts: Any) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__slots__}
