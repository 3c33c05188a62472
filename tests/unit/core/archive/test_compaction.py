"""Which parts of a day are written, and when a day becomes one file."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.archive.compaction import Compaction, compaction
from data_fetch.core.archive.manifest import FileKind, ManifestFile
from data_fetch.core.clock import MINUTE

DAY = date(2026, 9, 16)
OPENS = datetime(2026, 9, 16, 3, 45, tzinfo=UTC)
MIDNIGHT = datetime(2026, 9, 15, 18, 30, tzinfo=UTC)
AFTERNOON, NEXT_DAY = OPENS + timedelta(hours=7), OPENS + timedelta(days=1)


def minutes(*numbers: int, state: str = "a") -> dict[datetime, str]:
    return {OPENS + number * MINUTE: state for number in numbers}


def entry(kind: FileKind, sources: str, window: datetime | None = None) -> ManifestFile:
    return ManifestFile(
        table="ltp_data",
        trading_date=DAY,
        kind=kind,
        path=f"{window}.{sources}",
        rows=1,
        size_bytes=1,
        sha256="",
        schema_version=1,
        window=window,
        sources=sources,
    )


def work(
    states: dict[datetime, str],
    published: Sequence[ManifestFile] = (),
    now: datetime = AFTERNOON,
    table: str = "ltp_data",
) -> Compaction:
    return compaction(table, DAY, states, published, now)


def followed(planned: Compaction) -> list[ManifestFile]:
    if planned.whole:
        return [entry(FileKind.DAY, planned.sources)]
    parts = [entry(FileKind.PART, plan.sources, plan.window) for plan in planned.parts]
    return sorted([*planned.kept, *parts], key=attrgetter("path"))


def windows(planned: Compaction) -> list[tuple[int, int]]:
    """Of each part to write: its first minute and how many it has."""
    return [((plan.window - OPENS) // MINUTE, len(plan.minutes)) for plan in planned.parts]


def test_five_minutes_make_a_part() -> None:
    assert windows(work(minutes(0, 1, 4, 5, 11))) == [(0, 3), (5, 1), (10, 1)]


@pytest.mark.parametrize(
    ("after", "parts"),
    [
        (timedelta(minutes=5, seconds=9), []),
        (timedelta(minutes=5, seconds=10), [(0, 2)]),
        (timedelta(minutes=9), [(0, 2)]),
    ],
)
def test_a_window_that_runs_is_not_written(after: timedelta, parts: list[tuple[int, int]]) -> None:
    assert windows(work(minutes(0, 1, 5), now=OPENS + after)) == parts


def test_a_day_of_candles_is_one_part() -> None:
    planned = work(minutes(0, 100, 300), table="candles")
    assert [(plan.window, len(plan.minutes)) for plan in planned.parts] == [(MIDNIGHT, 3)]


def test_what_is_published_is_not_written_again() -> None:
    published = followed(work(minutes(0, 5)))
    again = work(minutes(0, 5), published)
    assert again.parts == ()
    assert list(again.kept) == published


def test_a_minute_with_another_state_renews_its_window_only() -> None:
    published = followed(work(minutes(0, 5)))
    changed = {**minutes(0), **minutes(5, state="b")}
    assert windows(work(changed, published)) == [(5, 1)]


def test_a_window_whose_minutes_are_gone_is_not_kept() -> None:
    published = followed(work(minutes(0, 5)))
    assert [each.window for each in work(minutes(0), published).kept] == [OPENS]


def test_a_day_that_is_over_becomes_one_file_and_stays_it() -> None:
    published = followed(work(minutes(0, 5)))
    over = work(minutes(0, 5), published, NEXT_DAY)
    assert (over.whole, over.parts, list(over.kept)) == (True, (), published)

    one = followed(over)
    assert [each.kind for each in one] == [FileKind.DAY]
    assert followed(work(minutes(0, 5), one, NEXT_DAY)) == one


def test_late_rows_renew_a_day_that_is_one_file() -> None:
    one = followed(work(minutes(0, 5), (), NEXT_DAY))
    late = work({**minutes(0), **minutes(5, state="b")}, one, NEXT_DAY)
    assert (late.whole, windows(late)) == (True, [(0, 1), (5, 1)])
    assert late.sources != one[0].sources


@pytest.mark.parametrize("table", ["ltp_data", "candles"])
@pytest.mark.parametrize("set_back", [OPENS, OPENS - timedelta(days=30)], ids=["hours", "a month"])
@pytest.mark.parametrize("published_at", [AFTERNOON, NEXT_DAY], ids=["parts", "a day"])
def test_a_clock_that_is_set_back_takes_no_minute_out_of_sight(
    published_at: datetime, set_back: datetime, table: str
) -> None:
    published = followed(work(minutes(0, 5), (), published_at, table))
    assert followed(work(minutes(0, 5), published, set_back, table)) == published

    late = {**minutes(0), **minutes(5, state="b")}
    expected = followed(work(late, published, published_at, table))
    assert followed(work(late, published, set_back, table)) == expected


STATES = st.dictionaries(
    st.integers(0, 30).map(lambda n: OPENS + n * MINUTE), st.sampled_from("ab")
)


@given(
    before=STATES,
    after=STATES,
    hours=st.integers(0, 30),
    table=st.sampled_from(["ltp_data", "candles"]),
)
def test_work_that_was_done_is_not_done_again(
    before: dict[datetime, str], after: dict[datetime, str], hours: int, table: str
) -> None:
    now = OPENS + timedelta(hours=hours)
    published = followed(work(before, (), OPENS + timedelta(hours=1), table))
    done = followed(work(after, published, now, table))
    again = work(after, done, now, table)

    assert not again.whole
    assert again.parts == ()
    assert followed(again) == done
    # No minute is in two parts.
    assert len({each.window for each in done}) == len(done)


def test_the_digest_of_sources_knows_minutes_and_states() -> None:
    digests = {
        work(states, now=NEXT_DAY).sources
        for states in (minutes(0), minutes(1), minutes(0, 1), minutes(0, state="b"))
    }
    assert len(digests) == 4
