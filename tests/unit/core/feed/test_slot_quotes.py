"""When the newest tick of a key is the quote of a slot."""

from datetime import UTC, datetime, timedelta

import pytest

from data_fetch.core.feed.liveness import Condition, FeedState
from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.slot_quotes import SlotClose, closing_quote, was_live
from data_fetch.core.feed.ticks import Tick, ms_of_instant
from data_fetch.core.quotes.quotes import Quote

KEY, DATED = "NSE_EQ|INE002A01018", "NSE_EQ|INE002A01018"
# 10:00 IST of a Wednesday.
SLOT = datetime(2026, 9, 16, 4, 30, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return SLOT + timedelta(seconds=seconds)


def tick(traded: datetime | None, sent: datetime | None) -> Tick:
    return Tick(
        key=KEY,
        mode=Mode.FULL,
        last_price=1400.5,
        traded_ms=0 if traded is None else ms_of_instant(traded),
        ltq=7,
        prev_close=1390.0,
        received_at=after(59),
        server_time=sent,
        detail=None,
    )


@pytest.mark.parametrize(
    ("traded", "sent", "is_quote"),
    [
        pytest.param(after(30), after(59), True, id="traded and sent in the slot"),
        pytest.param(after(0), after(60), True, id="sent at its very end"),
        pytest.param(after(60), after(60), False, id="traded at its very end"),
        pytest.param(after(-1), after(59), False, id="traded before it"),
        pytest.param(after(30), after(61), False, id="sent after it"),
        pytest.param(None, after(59), False, id="without a time of the trade"),
        pytest.param(after(30), None, False, id="without a time of the message"),
    ],
)
def test_a_tick_is_a_quote_of_the_slot_in_which_it_was_traded_and_sent(
    traded: datetime | None, sent: datetime | None, is_quote: bool
) -> None:
    expected = Quote(instrument_key=DATED, last_price=1400.5, ltq=7, prev_close=1390.0)

    assert closing_quote(tick(traded, sent), DATED, SLOT) == (expected if is_quote else None)


BEFORE = tick(after(58), after(58.2))


@pytest.mark.parametrize(
    ("newest", "taken"),
    [
        pytest.param(tick(after(59), after(60)), 0, id="of the slot"),
        pytest.param(tick(after(60), after(60.1)), 1, id="traded in the next minute"),
        pytest.param(tick(after(59), after(60.1)), 1, id="sent in the next minute"),
        # It is no quote, and an older one would not be the last of the slot.
        pytest.param(tick(after(59), None), 0, id="of a message without a time"),
        pytest.param(tick(after(-30), after(59)), 0, id="traded before the slot"),
    ],
)
def test_a_tick_of_the_next_minute_hides_none_of_the_slot(newest: Tick, taken: int) -> None:
    ticks = [{KEY: newest}, {KEY: BEFORE, "OTHER": BEFORE}]
    close = SlotClose(SLOT, ticks)

    assert close.of(KEY) == ticks[taken][KEY]
    assert close.of("OTHER") == BEFORE
    assert close.of("NONE") is None


@pytest.mark.parametrize(
    ("state", "since", "connected", "live"),
    [
        pytest.param(FeedState.LIVE, after(0), after(-60), True, id="since its first second"),
        pytest.param(FeedState.LIVE, after(1), after(-60), False, id="live only later"),
        pytest.param(FeedState.LIVE, after(-60), after(5), False, id="on another connection"),
        pytest.param(FeedState.LIVE, after(-60), None, False, id="on none"),
        pytest.param(FeedState.MUTE, after(-60), after(-60), False, id="mute"),
        pytest.param(FeedState.MARKET_CLOSED, after(-60), after(-60), False, id="market closed"),
    ],
)
def test_a_feed_was_live_if_it_was_so_for_the_whole_slot_on_one_connection(
    state: FeedState, since: datetime, connected: datetime | None, live: bool
) -> None:
    condition = Condition(state=state, cause="", since=since, expected=True)

    assert was_live(condition, connected, SLOT) is live
