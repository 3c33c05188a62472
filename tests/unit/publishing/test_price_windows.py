"""Windows of prices as they come."""

from datetime import UTC, datetime, timedelta

from data_fetch.publishing.price_windows import PriceWindows

AT = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)


def test_a_window_has_the_prices_since_it_began() -> None:
    windows = PriceWindows()
    for second, price in enumerate((100.0, 103.0, 99.0, 101.0)):
        found = windows.add("TCS", price, AT + timedelta(seconds=20 * second))

    assert {minutes: (each["open"], each["high"], each["low"], each["close"], each["num_ticks"])
            for minutes, each in found.items()} == {
        1: (101.0, 101.0, 101.0, 101.0, 1),
        5: (100.0, 103.0, 99.0, 101.0, 4),
        15: (100.0, 103.0, 99.0, 101.0, 4),
    }  # fmt: skip
    assert (found[1]["start_time"], found[1]["end_time"]) == (
        AT + timedelta(minutes=1),
        AT + timedelta(minutes=2),
    )


def test_a_price_from_before_the_window_is_left_out() -> None:
    windows = PriceWindows()
    windows.add("TCS", 100.0, AT)
    found = windows.add("TCS", 50.0, AT - timedelta(seconds=1))
    assert {each["low"] for each in found.values()} == {100.0}
