"""The check of a quote's volume against the quotes before it."""

from datetime import date

from data_fetch.core.quotes.quotes import Quote
from data_fetch.core.quotes.volume_guard import FALLS_TO_ACCEPT, VolumeGuard

TODAY, TOMORROW = date(2026, 9, 16), date(2026, 9, 17)


def traded(volume: int) -> Quote:
    return Quote(instrument_key="NSE_EQ|X", last_price=100.0, volume=volume)


def test_volume_may_grow_or_stay_equal_within_the_day() -> None:
    guard = VolumeGuard()

    assert [guard.rejection(TODAY, traded(v)) for v in (0, 10, 10, 25)] == [None] * 4


def test_a_lower_volume_within_the_day_is_rejected_and_not_stored() -> None:
    guard = VolumeGuard()
    guard.rejection(TODAY, traded(100))

    assert guard.rejection(TODAY, traded(40)) == "volume fell within the day, from 100 to 40"
    assert guard.rejection(TODAY, traded(101)) is None


def test_a_new_day_starts_from_nothing() -> None:
    guard = VolumeGuard()
    guard.rejection(TODAY, traded(100))

    assert guard.rejection(TOMORROW, traded(5)) is None


def test_stored_volumes_are_used_after_a_restart() -> None:
    guard = VolumeGuard([(TODAY, traded(100))])

    assert guard.rejection(TODAY, traded(99)) is not None


def test_after_several_lower_volumes_the_high_one_is_dropped() -> None:
    guard = VolumeGuard()
    guard.rejection(TODAY, traded(10**12))

    verdicts = [guard.rejection(TODAY, traded(50 + n)) for n in range(FALLS_TO_ACCEPT)]

    assert [verdict is None for verdict in verdicts] == [False] * (FALLS_TO_ACCEPT - 1) + [True]
    assert guard.rejection(TODAY, traded(60)) is None
