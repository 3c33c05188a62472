"""The hub: who gets which update, in which order, and what a slow client costs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.publishing.outbox import Outbox
from data_fetch.publishing.stream_hub import (
    BEHIND_SECONDS,
    RING_SECONDS,
    TICK_ROOM_SECONDS,
    TOO_MUCH_WAITS,
    TOO_SLOW,
    Client,
    Since,
    StreamHub,
)
from data_fetch.publishing.stream_messages import (
    GENERAL,
    Update,
    chain_room,
    message,
    product_room,
    tick_room,
)
from data_fetch.publishing.stream_updates import (
    chain_update,
    option_tick_updates,
    price_update,
    summary_update,
    tick_updates,
)

AT = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
NIFTY, TCS = product_room("NIFTY"), product_room("TCS")
PRESENT = "2026-09-16T04:00:00.000Z"


def instant(second: float) -> str:
    return (AT + timedelta(seconds=second)).isoformat()


def price(product: str, value: float, second: float = 0) -> Update:
    return price_update({"product": product, "price": value, "timestamp": instant(second)})


def tick(product: str, value: float, second: float = 0) -> Update:
    made = {"product": product, "price": value, "received_at": instant(second)}
    [update] = tick_updates({"source": "paper", "world": "paper", "ticks": [made]})
    return update


def option_tick(name: str, value: float, second: float = 0) -> Update:
    made = {"symbol": name, "price": value, "received_at": instant(second)}
    [update] = option_tick_updates({"source": "paper", "world": "paper", "ticks": [made]})
    return update


def chain(number: int, second: float = 0, expiry: str = "2026-09-22") -> dict[str, Any]:
    figures = {
        "pcr_oi": 1.1,
        "pcr_volume": 0.9,
        "atm_straddle_price": 210.5,
        "max_pain_strike": 1.0,
    }
    named = {"product": "NIFTY", "expiry": expiry, "timestamp": instant(second), "world": "paper"}
    return {**named, "spot_price": float(number), **figures, "strikes": [1.0], "unknown": {}}


@dataclass
class Desk:
    """A hub, and clients that read when they are asked to."""

    hub: StreamHub = field(default_factory=lambda: StreamHub(lambda: PRESENT))
    closed: dict[str, int] = field(default_factory=dict)

    def client(self, *rooms: str, now: float = 0.0, **parts: Any) -> Client:
        closing: Callable[[int], None] = lambda code: self.closed.update({made.id: code})  # noqa: E731
        made = Client("test", lambda: None, closing, **parts)
        self.hub.connect(made, now)
        for room in rooms:
            self.hub.join(made, room, None, now)
        read(made)
        return made


@pytest.fixture
def desk() -> Desk:
    return Desk()


def read(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """What waits for *client*, taken as its connection takes it."""
    taken = client.outbox.take(1_000_000_000)
    return [(each.event, orjson.loads(each.body)) for each in taken]


def prices(client: Client) -> list[float]:
    return [data["price"] for event, data in read(client) if event == "underlying_update"]


def test_a_new_client_is_in_general_and_is_welcomed(desk: Desk) -> None:
    client = Client("test", lambda: None, lambda code: None)
    desk.hub.connect(client, 0)

    [(event, data)] = read(client)
    assert (event, data["rooms"], data["client_id"]) == ("connected", [GENERAL], client.id)
    assert desk.hub.rooms() == {GENERAL: 1}


def test_an_update_goes_to_its_room_with_number_and_instant(desk: Desk) -> None:
    member, other = desk.client(NIFTY), desk.client(TCS)

    desk.hub.publish(price("NIFTY", 24_000.5), 0)
    desk.hub.publish(price("NIFTY", 24_001.0, second=1), 1)

    [(_, newest)] = read(member)
    assert newest["price"] == 24_001.0
    assert (newest["seq"], newest["room"], newest["as_of"]) == (2, NIFTY, PRESENT)
    assert read(other) == []


def test_a_client_in_general_and_in_the_product_gets_each_price_once(desk: Desk) -> None:
    desk.hub.general = frozenset({"NIFTY"})
    both, general = desk.client(NIFTY), desk.client()
    seen: dict[str, list[float]] = {"both": [], "general": []}
    for second in range(3):
        desk.hub.publish(price("NIFTY", 100.0 + second, second), second)
        desk.hub.tick(second)
        seen["both"] += prices(both)
        seen["general"] += prices(general)

    assert seen == {"both": [100.0, 101.0, 102.0], "general": [100.0, 101.0, 102.0]}


def test_general_gets_a_product_once_a_second_and_the_newest_is_not_lost(desk: Desk) -> None:
    desk.hub.general = frozenset({"NIFTY"})
    both, general = desk.client(NIFTY), desk.client()
    seen: dict[str, list[float]] = {"both": [], "general": []}
    for tenth in range(16):
        now = tenth / 10
        if tenth < 5:
            desk.hub.publish(price("NIFTY", float(tenth + 1), now), now)
        desk.hub.tick(now)
        seen["both"] += prices(both)
        seen["general"] += prices(general)

    assert seen == {"both": [1.0, 2.0, 3.0, 4.0, 5.0], "general": [1.0, 5.0]}


def test_a_product_that_is_no_index_and_not_pinned_does_not_reach_general(desk: Desk) -> None:
    general = desk.client()
    desk.hub.publish(price("TCS", 3000.0), 0)
    assert read(general) == []


@pytest.mark.parametrize(
    ("change", "event"),
    [
        pytest.param({}, "chain_summary", id="all numbers are known"),
        pytest.param({"pcr_oi": None}, "chain_status", id="one is not"),
    ],
)
def test_a_summary_is_sent_when_its_numbers_are_known(
    desk: Desk, change: dict[str, Any], event: str
) -> None:
    general = desk.client()
    unknown = dict.fromkeys(change, "no_open_interest")

    desk.hub.publish(summary_update({**chain(1), **change, "unknown": unknown}), 0)

    [(sent, data)] = read(general)
    assert sent == event
    assert [each["code"] for each in data.get("reasons", [])] == list(unknown.values())


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(price("NIFTY", 1.0), id="the same"),
        pytest.param(price("NIFTY", 2.0, second=-1), id="an older one"),
    ],
)
def test_what_is_not_news_is_not_sent(desk: Desk, later: Update) -> None:
    member = desk.client(NIFTY)
    assert desk.hub.publish(price("NIFTY", 1.0), 0)
    assert not desk.hub.publish(later, 1)
    assert prices(member) == [1.0]


def test_a_corrected_value_of_the_same_instant_is_news(desk: Desk) -> None:
    member = desk.client(NIFTY)
    desk.hub.publish(price("NIFTY", 1.0), 0)
    desk.hub.publish(price("NIFTY", 1.5), 1)
    assert prices(member) == [1.5]


def test_the_newest_values_go_to_the_one_who_asks(desk: Desk) -> None:
    room = chain_room("NIFTY")
    first = desk.client(room)
    for number in range(3):
        desk.hub.publish(chain_update(chain(number, number)), number)
    desk.hub.publish(chain_update(chain(9, expiry="2026-09-29")), 3)
    read(first)

    second = Client("test", lambda: None, lambda code: None)
    desk.hub.connect(second, 4)
    read(second)
    desk.hub.join(second, room, None, 4)

    events = read(second)
    assert [event for event, _ in events] == ["subscribed", "chain_update", "chain_update"]
    assert [data["spot_price"] for _, data in events[1:]] == [2.0, 9.0]
    assert read(first) == []


@pytest.mark.parametrize(
    ("missed", "stream", "gap_seconds", "events"),
    [
        pytest.param(2, "same", 1, ["subscribed", "underlying_update", "underlying_update"],
                     id="what was missed"),
        pytest.param(0, "same", 1, ["subscribed"], id="nothing was missed"),
        pytest.param(2, "same", RING_SECONDS + 1, ["subscribed", "resync", "underlying_update"],
                     id="too long ago"),
        pytest.param(2, "other", 1, ["subscribed", "resync", "underlying_update"],
                     id="another server"),
        pytest.param(2, None, 1, ["subscribed", "resync", "underlying_update"],
                     id="without the stream"),
        pytest.param(-5, "same", 1, ["subscribed", "resync", "underlying_update"],
                     id="a number that was not yet"),
    ],
)  # fmt: skip
def test_a_client_that_comes_back_gets_what_it_missed_or_a_snapshot(
    desk: Desk, missed: int, stream: str | None, gap_seconds: float, events: list[str]
) -> None:
    for number in range(1, 6):
        desk.hub.publish(price("NIFTY", float(number), number), number)
    later = 5 + gap_seconds
    desk.hub.tick(later)
    back = desk.client(now=later)

    named = desk.hub.stream if stream == "same" else stream
    desk.hub.join(back, NIFTY, Since(5 - missed, named), later)

    found = read(back)
    assert [event for event, _ in found] == events
    if len(events) > 1:
        assert found[-1][1]["price"] == 5.0


def test_a_heartbeat_has_the_last_number_of_each_room_of_the_client(desk: Desk) -> None:
    desk.hub.general = frozenset({"NIFTY"})
    member, general = desk.client(TCS), desk.client()
    for number in range(1, 4):
        desk.hub.publish(price("TCS", float(number), number), number)
    desk.hub.publish(price("NIFTY", 1.0), 4)

    desk.hub.beat({"market": "open"}, 5)

    beats = [read(each)[-1] for each in (member, general)]
    assert [event for event, _ in beats] == ["heartbeat"] * 2
    assert [data["last_seq"] for _, data in beats] == [
        {GENERAL: 0, TCS: 3, NIFTY: 1},
        {GENERAL: 0, NIFTY: 1},
    ]
    assert beats[0][1]["market"] == "open"


def test_a_client_that_is_behind_is_disconnected_and_counted_and_the_others_are_not(
    desk: Desk,
) -> None:
    slow, healthy = desk.client(NIFTY), desk.client(NIFTY)
    for second in range(int(BEHIND_SECONDS) + 2):
        desk.hub.publish(price("NIFTY", 1.0 + second, second), second)
        read(healthy)
        desk.hub.tick(second)

    assert desk.closed == {slow.id: TOO_SLOW}
    assert desk.hub.closed == {"too_slow": 1}
    assert desk.hub.rooms() == {GENERAL: 1, NIFTY: 1}
    # While it was waiting, one value waited.
    assert desk.hub.conflated == BEHIND_SECONDS


def test_ticks_go_to_their_room_beside_the_prices_of_the_product(desk: Desk) -> None:
    desk.hub.general = frozenset({"NIFTY"})
    follower, member, general = desk.client(tick_room("NIFTY")), desk.client(NIFTY), desk.client()

    desk.hub.publish(tick("NIFTY", 24_000.5), 0)
    desk.hub.tick(1)

    [(event, data)] = read(follower)
    assert (event, data["price"], data["room"]) == ("tick_update", 24_000.5, "ticks:NIFTY")
    assert (data["source"], data["world"]) == ("paper", "paper")
    assert read(member) == read(general) == []


def test_a_client_that_does_not_read_has_one_tick_of_each_symbol_waiting(desk: Desk) -> None:
    mute = desk.client(*(tick_room(each) for each in "AB"))
    for number in range(1, 10_000):
        for each in "AB":
            desk.hub.publish(tick(each, float(number), number / 1_000), number / 1_000)
    assert [(data["product"], data["price"]) for _, data in read(mute)] == [
        ("A", 9_999.0),
        ("B", 9_999.0),
    ]


def test_ticks_of_options_have_a_room_each_and_one_of_each_waits(desk: Desk) -> None:
    names = ("NIFTY20260922C24000", "NIFTY20260922P24000")
    mute, other = desk.client(*map(tick_room, names)), desk.client(tick_room("NIFTY"))
    for number in range(1, 1_000):
        for name in names:
            desk.hub.publish(option_tick(name, float(number), number), number)

    assert [(event, data["symbol"], data["price"]) for event, data in read(mute)] == [
        ("option_tick_update", name, 999.0) for name in names
    ]
    assert read(other) == []


def test_a_room_of_ticks_ends_a_day_after_its_last_tick_and_member(desk: Desk) -> None:
    room = tick_room("NIFTY20260922C24000")
    member = desk.client(room)
    desk.hub.publish(option_tick("NIFTY20260922C24000", 1.0), 0)
    read(member)
    desk.hub.tick(2 * TICK_ROOM_SECONDS)
    assert room in desk.hub.sequences()
    desk.hub.disconnect(member)

    desk.hub.tick(3 * TICK_ROOM_SECONDS)
    assert room in desk.hub.sequences()
    desk.hub.tick(3 * TICK_ROOM_SECONDS + 1)
    assert room not in desk.hub.sequences()
    late = desk.client()
    desk.hub.join(late, room, Since(1, desk.hub.stream), 3 * TICK_ROOM_SECONDS + 2)
    assert [event for event, _ in read(late)] == ["subscribed", "resync"]


def test_a_heartbeat_has_no_numbers_of_ticks(desk: Desk) -> None:
    member = desk.client(tick_room("NIFTY"))
    desk.hub.publish(tick("NIFTY", 1.0, 1), 1)
    desk.hub.beat({}, 2)
    desk.hub.publish(tick("NIFTY", 2.0, 3), 3)

    # The second tick has replaced the first, and with it the number 1.
    [(_, beat), (_, newest)] = read(member)
    assert (beat["last_seq"], newest["seq"]) == ({GENERAL: 0}, 2)


def test_a_room_of_ticks_keeps_the_newest_one_for_those_who_come_or_come_back(desk: Desk) -> None:
    for number in range(1, 1_000):
        desk.hub.publish(tick("NIFTY", float(number), number), number)
    room = tick_room("NIFTY")
    for since, resync in ((None, []), (Since(3, desk.hub.stream), ["resync"])):
        late = desk.client(now=1_000)
        desk.hub.join(late, room, since, 1_000)
        events = read(late)
        assert [event for event, _ in events] == ["subscribed", *resync, "tick_update"]
        assert events[-1][1]["price"] == 999.0


@pytest.mark.parametrize(
    ("made", "name", "sent_as"),
    [
        pytest.param(tick, "NIFTY", "tick_update", id="of a product"),
        pytest.param(option_tick, "NIFTY20260922C24000", "option_tick_update", id="of an option"),
    ],
)
def test_only_ticks_for_a_client_are_made_messages_and_numbered(
    desk: Desk, made: Callable[..., Update], name: str, sent_as: str
) -> None:
    """A client that was away has the number of the last tick it got, and lacks one tick only: the
    newest."""
    room = tick_room(name)
    for second in range(1, 100):
        assert desk.hub.publish(made(name, 1.0, second), second)
    # Older, so it is no news in a room without members either.
    assert not desk.hub.publish(made(name, 2.0, 98), 100)
    assert room not in desk.hub.sequences()

    member = desk.client(now=100)
    desk.hub.join(member, room, None, 100)
    assert [(event, data["seq"]) for event, data in read(member)] == [
        ("subscribed", 1),
        (sent_as, 1),
    ]
    desk.hub.leave(member, room, 101)
    read(member)
    for second in (102, 103):
        desk.hub.publish(made(name, float(second), second), second)
    desk.hub.join(member, room, Since(1, desk.hub.stream), 104)
    [(_, subscribed), (_, missed)] = read(member)
    assert (subscribed["seq"], missed["seq"], missed["price"]) == (2, 2, 103.0)


def test_answers_that_are_never_read_do_not_pile_up(desk: Desk) -> None:
    client = desk.client(outbox=Outbox(most_messages=10))
    for number in range(20):
        desk.hub.send(client, message("error", {"code": number}), 0)

    assert desk.closed == {client.id: TOO_MUCH_WAITS}
    assert len(client.outbox) == 0


def test_the_chains_of_a_room_are_given_back_when_nobody_comes_back(desk: Desk) -> None:
    room = chain_room("NIFTY")
    desk.hub.open(room, 0)
    client = desk.client(room)
    desk.hub.publish(chain_update(chain(1)), 1)
    desk.hub.disconnect(client)

    desk.hub.tick(RING_SECONDS - 1)
    assert desk.hub.followed_chains() == {"NIFTY"}
    desk.hub.tick(RING_SECONDS + 1)
    assert desk.hub.followed_chains() == set()
    # Its numbers go on, and with the last one a client does not know what happened meanwhile.
    for since in (0, 1):
        back = desk.client()
        desk.hub.join(back, room, Since(since, desk.hub.stream), RING_SECONDS + 2)
        assert [event for event, _ in read(back)] == ["subscribed", "resync"]


def test_a_message_is_encoded_once_for_all_clients() -> None:
    made = []
    sent = message("products", {"products": []})

    def frame(of: Any) -> bytes:
        made.append(of.event)
        return b"frame"

    assert [sent.encoded(frame), sent.encoded(frame)] == [b"frame", b"frame"]
    assert made == ["products"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["A", "B", "C"]), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(1, 3), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_a_client_that_reads_ends_with_the_newest_value_of_each_expiry(
    steps: list[tuple[str, Any, int]],
) -> None:
    """However it reads: numbers only rise, what waits is one value of each key, and in the end
    it has what the hub has, up to the last number."""
    desk, room = Desk(), chain_room("NIFTY")
    client = desk.client(room)
    held: dict[str, float] = {}
    numbers: list[int] = []
    newest: dict[str, float] = {}

    def take(most: int) -> None:
        for _ in range(most):
            for each in client.outbox.take(1):
                data = orjson.loads(each.body)
                held[data["expiry"]] = data["spot_price"]
                numbers.append(data["seq"])

    for number, (kind, what, _) in enumerate(steps):
        if kind == "read":
            take(what)
            continue
        desk.hub.publish(chain_update(chain(number, number, what)), number)
        newest[what] = float(number)
        assert len(client.outbox) <= 3
    take(len(steps))

    assert held == newest
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[-1] == desk.hub.sequences()[room]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 50), st.booleans()), min_size=1, max_size=80
    )
)
def test_an_outbox_stays_within_its_bounds(puts: list[tuple[int, int, bool]]) -> None:
    outbox = Outbox(most_messages=6, most_bytes=120)
    for now, (name, size, keyed) in enumerate(puts):
        key = ("chain", str(name)) if keyed else None
        outbox.put(message("e", {"x": "y" * size}, key), now)
        assert len(outbox) <= 6
        assert outbox.bytes <= 120
        if name == 0:
            outbox.take(40)
    outbox.take(1_000_000)
    assert (len(outbox), outbox.bytes) == (0, 0)
