"""The intervals in which the feed was away."""

from datetime import UTC, datetime, timedelta

from data_fetch.core.feed.disconnects import Disconnect, DisconnectLog

START = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
LATER = START + timedelta(seconds=30)
KEYS = frozenset({"A", "B"})


def test_failed_attempts_prolong_a_disconnect_with_its_first_cause() -> None:
    log = DisconnectLog()
    log.lost(START, "cut", KEYS)
    log.lost(START + timedelta(seconds=5), "no network", KEYS)

    assert log.ended(LATER) == Disconnect(began=START, ended=LATER, cause="cut", keys=KEYS)
    assert log.present is None


def test_prices_without_a_disconnect_end_nothing() -> None:
    assert DisconnectLog().ended(LATER) is None


def test_a_disconnect_does_not_end_before_it_began() -> None:
    log = DisconnectLog()
    log.lost(LATER, "cut", KEYS)

    over = log.ended(START)

    assert over is not None
    assert over.ended == LATER
