"""Figures and digest of a series of ticks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.feed.modes import Mode
from data_fetch.core.feed.tick_summary import TickSummary
from data_fetch.core.feed.ticks import BestPrices, Detail, Tick, ms_of_instant

AT = datetime(2026, 9, 16, 5, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DETAIL = Detail(12_000, None, 0.14, None, BestPrices(99.5, 10, None, None), None)


def tick(key: str, price: float, received_at: datetime = AT) -> Tick:
    return Tick(key, Mode.FULL, price, ms_of_instant(AT), 75, None, received_at, AT, DETAIL)


def summary(ticks: Sequence[Tick]) -> TickSummary:
    added = TickSummary()
    for each in ticks:
        added.add(each)
    return added


SERIES = st.lists(st.builds(tick, st.sampled_from("AB"), st.floats(1, 9), st.just(AT)), max_size=6)


def test_keys_are_counted_and_the_first_and_last_receipt_are_known() -> None:
    found = summary([tick("A", 1.0), tick("B", 2.0, AT + SECOND), tick("A", 3.0, AT + 2 * SECOND)])

    assert (found.ticks, found.by_key) == (3, {"A": 2, "B": 1})
    assert (found.first, found.last) == (AT, AT + 2 * SECOND)


def test_without_ticks_there_is_no_first_and_no_last() -> None:
    assert (summary([]).ticks, summary([]).first, summary([]).last) == (0, None, None)


@given(one=SERIES, other=SERIES)
def test_only_equal_series_have_equal_digests(one: list[Tick], other: list[Tick]) -> None:
    assert (summary(one).digest == summary(other).digest) is (one == other)


@given(series=SERIES, later=st.integers(0, 10**6))
def test_the_digest_does_not_depend_on_when_ticks_were_received(
    series: list[Tick], later: int
) -> None:
    shifted = [each._replace(received_at=AT + later * SECOND) for each in series]

    assert summary(shifted).digest == summary(series).digest


def test_the_digest_is_that_of_json_lines() -> None:
    line = (
        b'{"key":"A","mode":"full","last_price":1.5,"traded_ms":1789534800000,"ltq":75,'
        b'"prev_close":null,"server_time":"2026-09-16T05:00:00+00:00",'
        b'"detail":[12000,null,0.14,null,[99.5,10,null,null],null]}\n'
    )

    assert summary([tick("A", 1.5)] * 2).digest == sha256(line * 2).hexdigest()
