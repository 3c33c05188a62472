"""When a ping is due, and when its answer is overdue."""

from data_fetch.core.feed.heartbeat import Heartbeat


def test_a_ping_is_due_each_time() -> None:
    heartbeat = Heartbeat(100.0, every=10, within=15)

    assert [at for at in range(100, 135) if heartbeat.is_due(at)] == [110, 120, 130]


def test_without_any_sign_of_life_it_is_dead() -> None:
    heartbeat = Heartbeat(100.0, every=10, within=15)

    assert [at for at in range(100, 118) if heartbeat.is_unanswered(at)] == [116, 117]


def test_anything_that_comes_is_a_sign_of_life() -> None:
    heartbeat = Heartbeat(100.0, every=10, within=15)
    heartbeat.received(112.0)

    assert not heartbeat.is_unanswered(127.0)
    assert heartbeat.is_unanswered(127.1)
