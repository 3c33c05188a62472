"""The feed against a server that speaks its wire: what a user sees in each case."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from feed_folders import patient_recorder
from feed_stub import (
    BANK,
    EVENING,
    NEVER,
    NIFTY,
    NORMAL_CLOSE,
    NORMAL_OPEN,
    PATIENT,
    PLAN,
    RELIANCE,
    SESSION,
    FeedStub,
    Refusal,
    feed_of,
    live_prices,
    ltpc,
    market_info,
    message,
    reaches,
    snapshot,
    until,
)
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb
from upstox_stub import FreePacing, keeper

from data_fetch.archive.feed_recordings import read_recordings
from data_fetch.archive.recording_folder import recording_files
from data_fetch.core.clock import ScaledClock, VirtualClock
from data_fetch.core.feed.liveness import FeedState
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.plan import Plan
from data_fetch.core.feed.ticks import BestPrices
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.ports import Lane
from data_fetch.core.world import World
from data_fetch.sources.upstox.feed import UpstoxFeed
from data_fetch.sources.upstox.feed_replay import replayed

PRICES = {NIFTY: 25_000.5, BANK: 56_000.25, RELIANCE: 1_400.0}


@pytest.fixture
def stub() -> Iterator[FeedStub]:
    with FeedStub() as server:
        server.greeting = lambda: [market_info(NORMAL_OPEN)]
        server.answers = lambda request: [snapshot(PRICES, SESSION + timedelta(seconds=1))]
        yield server


@pytest.fixture
def feed(stub: FeedStub) -> Iterator[UpstoxFeed]:
    feed = feed_of(stub)
    yield feed
    feed.stop()


def later(seconds: float) -> dict[str, float]:
    return {key: price + seconds for key, price in PRICES.items()}


def tick(stub: FeedStub, second: int) -> None:
    """Send live prices of the session's *second*."""
    stub.send(live_prices(later(second), SESSION + timedelta(seconds=second)))


@pytest.mark.parametrize("redirected", [False, True], ids=["authorised", "redirected"])
def test_both_ways_lead_to_live_prices(stub: FeedStub, redirected: bool) -> None:
    feed = feed_of(stub, redirected=redirected)
    reader = feed.board.reader()
    feed.start()
    try:
        until(lambda: stub.requests)
        until(lambda: len(feed.board.latest()) == 3)
        tick(stub, 1)
        status = reaches(feed, FeedState.LIVE)
    finally:
        feed.stop()

    assert stub.subscribed() == dict.fromkeys(PLAN.modes, "ltpc")
    assert reader.take()[NIFTY].last_price == 25_001.5
    assert status.counts.connections == 1
    # The token is for the API only, and the host of the socket may be another one.
    assert stub.tokens == ["Bearer first-token"]
    assert "Authorization" not in stub.upgrade_headers[0]


def started(feed: UpstoxFeed, stub: FeedStub) -> None:
    """Start *feed* and return when it is live."""
    feed.start()
    until(lambda: len(feed.board.latest()) == 3)
    tick(stub, 1)
    reaches(feed, FeedState.LIVE)


def causes(feed: UpstoxFeed) -> list[str]:
    return [f"{change.state}: {change.cause}" for change in feed.take_changes()]


# Connections that end


@pytest.mark.parametrize("code", [1000, 1001, 1012])
def test_a_closed_connection_is_a_disconnect_whatever_its_code(
    code: int, stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)

    stub.close(code)
    until(lambda: len(stub.sockets) == 2)
    tick(stub, 2)
    reaches(feed, FeedState.LIVE)

    [disconnect] = feed.take_disconnects()
    assert disconnect.cause == f"the server closed the connection ({code}, maintenance)"
    assert disconnect.keys == PLAN.keys
    assert disconnect.ended is not None
    assert disconnect.began < disconnect.ended
    assert stub.subscribed() == dict.fromkeys(PLAN.modes, "ltpc")


def test_a_cut_connection_is_connected_again(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    stub.cut()
    dead = reaches(feed, FeedState.DEAD)
    until(lambda: len(stub.sockets) == 2)

    assert dead.condition.cause == "the connection was cut"
    assert dead.condition.expected
    assert dead.disconnect is not None


def test_a_mute_connection_is_given_up_though_it_answers_pings(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)
    feed.take_changes()

    until(lambda: len(stub.sockets) == 2)

    [*seen] = causes(feed)
    assert stub.pings > 0
    assert seen[0].startswith("mute: no price of Nifty 50, Nifty Bank since")
    assert seen[1].startswith("dead: no price of Nifty 50, Nifty Bank since")
    tick(stub, 2)
    reaches(feed, FeedState.LIVE)
    [disconnect] = feed.take_disconnects()
    assert disconnect.cause.startswith("no price of")


def test_a_snapshot_ends_no_disconnect_while_prices_are_expected(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)

    stub.cut()
    # The second connection brings its snapshot and is mute, and so it is given up.
    until(lambda: len(stub.sockets) == 3)
    assert feed.take_disconnects() == []
    tick(stub, 2)
    reaches(feed, FeedState.LIVE)

    [disconnect] = feed.take_disconnects()
    assert disconnect.cause == "the connection was cut"


def test_a_disconnect_ends_with_the_session_when_there_was_a_snapshot(stub: FeedStub) -> None:
    # Indices close at 15:15 on a day with a closing auction.
    clock = VirtualClock(datetime(2026, 9, 15, 9, 44, tzinfo=UTC))
    hold = clock.hold()
    feed = feed_of(stub, clock=clock, rules=PATIENT)
    stub.answers = lambda request: [snapshot(PRICES, clock.now())]
    feed.start()
    try:
        until(lambda: len(feed.board.latest()) == 3)
        stub.send(live_prices(later(1), clock.now()))
        reaches(feed, FeedState.LIVE)
        stub.cut()
        reaches(feed, FeedState.DEAD)
        clock.sleep(timedelta(seconds=10))
        # A status and a snapshot on each connection, and one live message.
        until(lambda: feed.status().counts.messages == 5)
        clock.sleep(timedelta(seconds=40))
        before_the_close = feed.take_disconnects()
        clock.sleep(timedelta(seconds=40))
        closed = reaches(feed, FeedState.MARKET_CLOSED)
        after_it = feed.take_disconnects()
    finally:
        feed.stop()
        hold.release()

    assert before_the_close == []
    assert closed.disconnect is None
    [disconnect] = after_it
    assert disconnect.cause == "the connection was cut"


@pytest.mark.parametrize("at", [EVENING, SESSION], ids=["by the calendar", "by its status"])
def test_with_a_closed_market_a_snapshot_ends_a_disconnect(at: datetime, stub: FeedStub) -> None:
    stub.greeting = list
    stub.answers = lambda request: [market_info(NORMAL_CLOSE), snapshot(PRICES, at)]
    feed = feed_of(stub, at)
    feed.start()
    try:
        until(lambda: len(feed.board.latest()) == 3)
        stub.cut()
        ended: list[str] = []
        until(lambda: ended.extend(each.cause for each in feed.take_disconnects()) or ended)
    finally:
        feed.stop()

    assert ended == ["the connection was cut"]


def test_a_connection_without_pongs_is_given_up_at_night_too(stub: FeedStub) -> None:
    stub.answers_pings = False
    stub.greeting = lambda: [market_info(NORMAL_CLOSE)]
    feed = feed_of(stub, EVENING)
    feed.start()
    try:
        until(lambda: len(stub.sockets) == 2)
        seen = causes(feed)
    finally:
        feed.stop()

    assert "dead: the connection has not answered since" in " ".join(seen)


def test_silence_at_night_is_normal(stub: FeedStub) -> None:
    stub.greeting = lambda: [market_info(NORMAL_CLOSE)]
    feed = feed_of(stub, EVENING)
    feed.start()
    try:
        # Far more pings than a mute connection gets in a session.
        until(lambda: stub.pings >= 4)
        seen, status = causes(feed), feed.status()
    finally:
        feed.stop()

    assert len(stub.sockets) == 1
    assert status.condition.state is FeedState.MARKET_CLOSED
    assert not status.condition.expected
    assert list(dict.fromkeys(each.partition(":")[0] for each in seen)) == [
        "stopped",
        "connecting",
        "market_closed",
    ]


def test_a_stall_is_mute_and_its_burst_is_conflated(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)
    reader = feed.board.reader()

    reaches(feed, FeedState.MUTE)
    for second in range(2, 12):
        tick(stub, second)
    reaches(feed, FeedState.LIVE)
    until(lambda: feed.board.latest()[NIFTY].last_price == PRICES[NIFTY] + 11)

    assert {tick.last_price for tick in reader.take().values()} == {
        price + 11 for price in PRICES.values()
    }
    assert reader.conflated == 27
    assert len(stub.sockets) == 1


def test_chosen_keys_that_are_dead_are_quiet_while_the_sentinels_live(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)

    for second in range(2, 5):
        stub.send(live_prices({NIFTY: 25_000.0 + second}, SESSION + timedelta(seconds=second)))
    until(lambda: feed.board.latest()[NIFTY].last_price == 25_004)

    assert feed.status().condition.state is FeedState.LIVE
    ticks = feed.board.latest()
    assert ticks[RELIANCE].received_at < ticks[NIFTY].received_at


# Connections that are refused


def test_a_rejected_token_waits_for_a_new_one(stub: FeedStub, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("UPSTOX_ACCESS_TOKEN=first-token\n")
    stub.authorising = [Refusal(401, "UDAPI100050")]
    feed = feed_of(stub, token=keeper(env_file=env_file))
    feed.start()
    try:
        refused = reaches(feed, FeedState.REFUSED)
        env_file.write_text("UPSTOX_ACCESS_TOKEN=second-token\n")
        until(lambda: len(feed.board.latest()) == 3)
    finally:
        feed.stop()

    assert "Upstox rejects the access token (401 since" in refused.condition.cause
    assert "data-fetch login" in refused.condition.cause
    assert refused.disconnect is not None
    assert refused.disconnect.keys == PLAN.keys
    assert stub.tokens == ["Bearer first-token", "Bearer second-token"]


@pytest.mark.parametrize("redirected", [False, True], ids=["authorised", "redirected"])
def test_a_token_that_stays_is_not_sent_again_and_again(stub: FeedStub, redirected: bool) -> None:
    stub.authorising = [Refusal(401, "UDAPI100050")] * 5
    pacing = FreePacing()
    feed = feed_of(stub, pacing=pacing, redirected=redirected)
    feed.start()
    reaches(feed, FeedState.REFUSED)
    feed.stop()

    assert pacing.granted == [("feed", Lane.LIVE)]
    assert len(stub.tokens) == 1


REFUSED_SOCKETS = {
    "403": (Refusal(403), FeedState.REFUSED, "refuses the connection (403)"),
    "429": (Refusal(429), FeedState.REFUSED, "refuses the connection (429)"),
    "used code": (Refusal(401), FeedState.DEAD, "refused the code of its address (401)"),
    "503": (Refusal(503), FeedState.DEAD, "returned 503 instead of a connection"),
    "200": (Refusal(200), FeedState.DEAD, "returned 200 instead of a connection"),
}


@pytest.mark.parametrize(
    ("refusal", "state", "cause"), REFUSED_SOCKETS.values(), ids=REFUSED_SOCKETS
)
def test_a_refused_socket_is_tried_again_later(
    refusal: Refusal, state: FeedState, cause: str, stub: FeedStub, feed: UpstoxFeed
) -> None:
    stub.upgrading = [refusal]

    feed.start()
    refused = reaches(feed, state)
    until(lambda: len(feed.board.latest()) == 3)

    assert cause in refused.condition.cause
    # The address of the second attempt is a new one.
    assert len(stub.tokens) == 2


REFUSED_REQUESTS = {
    "403": (Refusal(403, "UDAPI1149"), FeedState.REFUSED, "this needs the Upstox Plus plan"),
    "429": (Refusal(429), FeedState.REFUSED, "Upstox limits the request rate"),
    "500": (Refusal(500), FeedState.DEAD, "Upstox returned 500"),
    "200": (Refusal(200), FeedState.DEAD, "Upstox returned"),
}


@pytest.mark.parametrize("redirected", [False, True], ids=["authorised", "redirected"])
@pytest.mark.parametrize(
    ("refusal", "state", "cause"), REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS
)
def test_a_refused_request_for_the_address_is_sent_again_later(
    refusal: Refusal, state: FeedState, cause: str, redirected: bool, stub: FeedStub
) -> None:
    stub.authorising = [refusal]
    pacing = FreePacing()
    feed = feed_of(stub, pacing=pacing, redirected=redirected)
    feed.start()
    try:
        refused = reaches(feed, state)
        until(lambda: len(feed.board.latest()) == 3)
    finally:
        feed.stop()

    assert cause in refused.condition.cause
    assert pacing.granted == [("feed", Lane.LIVE)] * 2


@pytest.mark.parametrize("at", ["authorising", "upgrading"])
def test_a_required_pause_is_kept(at: str, stub: FeedStub, feed: UpstoxFeed) -> None:
    setattr(stub, at, [Refusal(429, headers={"Retry-After": "3"})])

    feed.start()
    until(lambda: len(stub.sockets) == 1)

    first, second = stub.authorised_at
    assert second - first >= 2.9


def test_an_address_that_leads_nowhere_is_a_failure_of_the_network(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    stub.redirect_to = "ws://127.0.0.1:9/feeds?code=a1B2c3"

    feed.start()
    dead = reaches(feed, FeedState.DEAD)

    assert dead.condition.cause.startswith("No connection to the feed (ClientConnectorError)")
    # Nothing shows the code.
    assert "a1B2c3" not in dead.condition.cause


def test_waits_grow_until_prices_come(stub: FeedStub, feed: UpstoxFeed) -> None:
    """A server that closes each connection after its snapshot is asked less and less."""
    stub.answers = lambda request: []
    feed.start()

    for opened in range(1, 4):
        until(lambda opened=opened: len(stub.sockets) == opened)
        stub.close(1001)
    until(lambda: len(stub.sockets) == 4)

    gaps = [b - a for a, b in pairwise(stub.authorised_at)]
    assert gaps[0] >= 0.5
    assert gaps[1] >= 1.0
    assert gaps[2] >= 2.0


def test_on_a_virtual_clock_waits_take_its_time(stub: FeedStub) -> None:
    clock = VirtualClock(SESSION)
    stub.upgrading = [Refusal(503)] * 5
    feed = feed_of(stub, clock=clock)
    feed.start()
    try:
        until(lambda: len(feed.board.latest()) == 3)
        [opened, *_] = [
            change.since
            for change in feed.take_changes()
            if change.cause == "connected, and no live price has come yet"
        ]
    finally:
        feed.stop()

    # 1, 2, 4, 8 and 16 s, each shortened by up to a half.
    assert timedelta(seconds=15.5) <= opened - SESSION <= timedelta(seconds=31)


# Messages


def test_junk_is_counted_and_survived(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    whole = live_prices(later(2))
    stub.send(b"\xff\xff\xff junk", whole[: len(whole) // 2], b"\x0a")
    tick(stub, 3)
    until(lambda: feed.board.latest()[NIFTY].last_price == PRICES[NIFTY] + 3)

    until(lambda: feed.status().counts.junk == 3)
    assert len(stub.sockets) == 1


def test_a_refusal_in_text_is_shown(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    stub.send('{"status":"failed","method":"sub","error":"too many keys"}')
    until(lambda: feed.status().refusal)
    tick(stub, 2)
    until(lambda: feed.board.latest()[NIFTY].last_price == PRICES[NIFTY] + 2)

    assert feed.status().refusal == "too many keys"
    assert feed.status().counts.refusals == 1


def test_a_message_of_two_megabytes_is_read(stub: FeedStub) -> None:
    keys = {f"NSE_FO|{number}": 100.0 + number for number in range(45_000)}
    large = live_prices(keys)
    feed = feed_of(stub, rules=PATIENT, heartbeat=NEVER)
    feed.subscribe(Plan(dict.fromkeys([*PLAN.modes, *keys], Mode.LTPC)))
    stub.answers = lambda request: []
    feed.start()
    try:
        until(lambda: stub.sockets)
        stub.send(large)
        until(lambda: len(feed.board.latest()) == 45_000)
    finally:
        feed.stop()

    assert len(large) > 2_000_000


def test_a_subscription_that_is_not_honoured_is_sent_again_and_then_reported(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    stub.answers = lambda request: [snapshot({NIFTY: 25_000.0, BANK: 56_000.0})]
    feed.start()
    until(lambda: len(feed.board.latest()) == 2)

    prices = ({NIFTY: 25_000.0 + number} for number in count(1))
    until(lambda: stub.send(live_prices(next(prices))) or feed.status().unhonoured)

    assert feed.status().unhonoured == {
        RELIANCE: "the feed has sent nothing for it, after two requests"
    }
    assert [request["data"]["instrumentKeys"] for request in stub.requests] == [
        [NIFTY, BANK, RELIANCE],
        [RELIANCE],
    ]


def test_a_changed_plan_needs_no_new_connection(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    feed.subscribe(Plan({NIFTY: Mode.LTPC, BANK: Mode.FULL}))
    until(lambda: stub.subscribed() == {NIFTY: "ltpc", BANK: "full"})
    # The server goes on with a key that is not wanted any more.
    tick(stub, 2)
    until(lambda: feed.status().ticks.unrequested)

    assert set(feed.board.latest()) == {NIFTY, BANK}
    assert len(stub.sockets) == 1
    assert [request["method"] for request in stub.requests] == ["sub", "unsub", "change_mode"]


def test_a_change_of_mode_that_is_not_honoured_is_sent_again_and_then_reported(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)
    feed.subscribe(Plan({**PLAN.modes, RELIANCE: Mode.FULL}))

    seconds = count(2)
    until(lambda: tick(stub, next(seconds)) or feed.status().unhonoured)

    assert feed.status().unhonoured == {
        RELIANCE: "the feed goes on in mode ltpc, after two requests for full"
    }
    assert [
        (request["method"], request["data"]["instrumentKeys"]) for request in stub.requests
    ] == [
        ("sub", [NIFTY, BANK, RELIANCE]),
        ("change_mode", [RELIANCE]),
        ("change_mode", [RELIANCE]),
    ]


def test_a_feed_can_be_stopped_and_started_again(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    feed.stop()
    stopped = feed.status()
    feed.stop()
    feed.start()
    until(lambda: len(stub.sockets) == 2)

    assert stopped.condition.state is FeedState.STOPPED
    assert stopped.condition.cause == "the feed was stopped"


def test_drift_of_the_wire_is_counted_and_prices_go_on(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    at = SESSION + timedelta(seconds=2)
    unknown_kind = pb.FeedResponse(type=9, feeds={NIFTY: ltpc(25_100.0, at)}).SerializeToString()
    # Field 15, a text.
    stub.send(unknown_kind + b"\x7a\x03new")
    until(lambda: feed.status().counts.unknown_words == 1)

    assert feed.status().counts.unknown_fields == 1
    assert feed.board.latest()[NIFTY].last_price == 25_100.0


DROPPED = {
    "an earlier trade": (ltpc(1.0, SESSION - timedelta(seconds=1)), "backwards"),
    "a duplicate": (ltpc(PRICES[NIFTY] + 1, SESSION + timedelta(seconds=1)), "duplicates"),
    "a price of 0": (ltpc(0.0), "zero_prices"),
    "a price that is no number": (ltpc(float("nan")), "impossible"),
}


@pytest.mark.parametrize(("entry", "counted"), DROPPED.values(), ids=DROPPED)
def test_what_is_dropped_is_counted_and_changes_no_price(
    entry: pb.Feed, counted: str, stub: FeedStub, feed: UpstoxFeed
) -> None:
    started(feed, stub)
    known = feed.board.latest()

    stub.send(message(1, {NIFTY: entry}))
    until(lambda: getattr(feed.status().ticks, counted))

    assert feed.board.latest()[NIFTY].last_price == known[NIFTY].last_price


def test_a_partial_packet_keeps_the_price(stub: FeedStub, feed: UpstoxFeed) -> None:
    started(feed, stub)

    book = pb.MarketFullFeed(marketLevel=pb.MarketLevel(bidAskQuote=[pb.Quote(bidQ=9, bidP=1399)]))
    stub.send(message(1, {RELIANCE: pb.Feed(fullFeed=pb.FullFeed(marketFF=book), requestMode=1)}))
    until(lambda: feed.board.latest()[RELIANCE].detail)

    tick = feed.board.latest()[RELIANCE]
    assert tick.last_price == 1_401.0
    assert tick.detail is not None
    assert tick.detail.best == BestPrices(1399.0, 9, None, None)


# The end of daily tokens


def test_a_connection_of_yesterday_is_renewed_ahead_of_the_session(stub: FeedStub) -> None:
    """A socket that stands since before 03:30 IST may carry nothing after it."""
    stub.greeting = lambda: [market_info(NORMAL_CLOSE)]
    yesterday = datetime(2026, 9, 15, 15, 0, tzinfo=UTC)
    clock = ScaledClock(yesterday)
    feed = feed_of(stub, clock=clock)
    feed.start()
    try:
        reaches(feed, FeedState.MARKET_CLOSED)
        clock.set(datetime(2026, 9, 16, 3, 20, tzinfo=UTC))
        until(lambda: len(stub.sockets) == 2)
        reaches(feed, FeedState.MARKET_CLOSED)
        changes, disconnects = causes(feed), feed.take_disconnects()
    finally:
        feed.stop()

    assert "connecting: the connection is renewed ahead of the session" in changes
    assert disconnects == []
    assert len(stub.tokens) == 2


def test_a_feed_that_nothing_reads_grows_with_its_keys_only(
    stub: FeedStub, feed: UpstoxFeed
) -> None:
    reader = feed.board.reader()
    started(feed, stub)

    for second in range(2, 200):
        tick(stub, second)
    until(lambda: feed.board.latest()[NIFTY].last_price == PRICES[NIFTY] + 199)

    assert len(reader.take()) == 3
    assert reader.conflated >= 3 * 198


def test_the_other_world_is_refused(stub: FeedStub) -> None:
    feed = feed_of(stub, world=World.PAPER)
    feed.start()
    try:
        refused = reaches(feed, FeedState.REFUSED)
    finally:
        feed.stop()

    assert "is no paper exchange of this version" in refused.condition.cause
    assert stub.sockets == []


def test_what_was_recorded_has_the_ticks_of_the_board(stub: FeedStub, tmp_path: Path) -> None:
    feed = feed_of(stub, recorder=patient_recorder(tmp_path))
    started(feed, stub)
    stub.send(b"\xff junk", '{"error":"a text"}')
    for second in range(2, 5):
        tick(stub, second)
    until(lambda: feed.board.latest()[NIFTY].last_price == PRICES[NIFTY] + 4)
    feed.stop()

    ticks = replayed(read_recordings(recording_files(tmp_path)), PLAN.keys)

    assert {each.key: each for each in ticks} == feed.board.latest()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_the_feed_is_seen_as_its_end(stub: FeedStub) -> None:
    calendars = iter([MarketCalendar.reviewed()] * 3)
    feed = feed_of(stub, calendar=lambda: next(calendars))
    feed.start()

    until(lambda: feed.status().counts.attempts)
    stopped = reaches(feed, FeedState.STOPPED)
    feed.stop()

    assert stopped.condition.cause == "the feed ended by an error of its own: see the log"
