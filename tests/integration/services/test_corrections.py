"""Candles that the provider corrects: every version is kept, and can be read as of any instant.

A script of corrections is played on a paper exchange. What it served is taken down at the
wire, beside the backfill; what the store says is compared with that.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import urllib3
from backfill_env import BackfillEnv, backfill_env, ist
from candle_shelf import candle_rows
from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import DatabaseCopies
from sqlalchemy import select

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.storage.candles.candles import revisions_on
from data_fetch.storage.database.tables import CandleRevision

EXAMPLES, EXAMPLES_ON_POSTGRES = times(25, 1000), times(5, 200)

DAY, NEXT_DAY = date(2026, 9, 15), date(2026, 9, 16)
FIRST_LOOK = ist(DAY, "15:50:00")
SYMBOL, OTHER = "TCS", "NIFTY"
OPEN = ist(DAY, "09:15:00")
# One minute is never served, so that the day is requested again with every retry.
LOST = OPEN + timedelta(minutes=200)

# Open, high, low, close, volume, open interest.
Values = tuple[float, float, float, float, int, int]
Served = Mapping[int, Values]


@dataclass(frozen=True)
class Correction:
    """From some hours after the last one, *minutes* bars from the *first* on differ by *factor*."""

    hours: int
    first: int
    minutes: int
    factor: float


corrections = st.lists(
    st.builds(
        Correction,
        hours=st.integers(1, 30),
        first=st.integers(0, 359),
        minutes=st.sampled_from([1, 3, 50, 360]),
        # With 1.0 the provider says again what it said first.
        factor=st.sampled_from([0.99, 1.0, 1.01, 1.02]),
    ),
    min_size=1,
    max_size=4,
)
# How far back a reader looks, as a fraction of the time since the first look.
looks_back = st.lists(st.floats(0, 1), min_size=1, max_size=4)


def served(env: BackfillEnv) -> Served:
    """What the exchange says of that day at this moment, by start in minutes since 1970."""
    key = quote(env.instrument(SYMBOL).instrument_key, safe="")
    today = env.clock.now().astimezone(OPEN.tzinfo).date() == DAY
    history = f"{key}/minutes/1/{DAY}/{DAY}"
    path = f"intraday/{key}/minutes/1" if today else history
    answer = urllib3.request("GET", f"{env.exchange.url}/v3/historical-candle/{path}")
    rows = orjson.loads(answer.data)["data"]["candles"]
    return {
        int(datetime.fromisoformat(stamp).timestamp()) // 60: tuple(values)
        for stamp, *values in rows
    }


def fault(env: BackfillEnv, kind: str, first: datetime, minutes: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "api": "candles",
        "instruments": [env.instrument(SYMBOL).instrument_key],
        "bars_from": first.isoformat(),
        "bars_until": (first + timedelta(minutes=minutes)).isoformat(),
    }


def stored(env: BackfillEnv, as_of: datetime | None) -> Served:
    key = env.instrument(SYMBOL).instrument_key
    minute = int(OPEN.timestamp()) // 60
    with env.store.reading() as connection:
        rows = candle_rows(
            connection, key, CandleInterval.MINUTE, minute - 600, minute + 900, as_of
        )
        return {
            int(row.timestamp.timestamp()) // 60: (
                row.open, row.high, row.low, row.close, row.volume, row.oi
            )
            for row in rows
        }  # fmt: skip


def play(database_url: str, folder: Path, script: list[Correction], fractions: list[float]) -> None:
    with backfill_env(database_url, folder, FIRST_LOOK, [SYMBOL, OTHER]) as env:
        served_at: list[tuple[datetime, Served]] = []
        lost = fault(env, "lost-minutes", LOST, 1)
        order = env.order(DAY, DAY, symbols=[SYMBOL], retry_failed=True)

        def look() -> None:
            served_at.append((env.clock.now(), served(env)))
            report = env.backfill(order)
            assert report.requests == 1

        env.faults(lost)
        look()
        for step in script:
            env.until(env.clock.now() + timedelta(hours=step.hours))
            corrected = fault(
                env, "corrected-candles", OPEN + timedelta(minutes=step.first), step.minutes
            )
            env.faults(lost, corrected | {"factor": step.factor})
            look()

        _every_instant_is_as_it_was(env, served_at, fractions)
        _revisions_are_one_by_one(env, served_at)


def _every_instant_is_as_it_was(
    env: BackfillEnv, served_at: list[tuple[datetime, Served]], fractions: list[float]
) -> None:
    first, last = served_at[0][0], served_at[-1][0]
    instants = [first + (last - first) * fraction for fraction in fractions]
    brink = timedelta(microseconds=1)
    for at, _ in served_at:
        instants += [at - brink, at, at + brink]
    for instant in instants:
        known: dict[int, Values] = {}
        for at, answer in served_at:
            if at <= instant:
                known.update(answer)
        assert stored(env, instant) == known, instant
    assert stored(env, None) == {**served_at[0][1], **served_at[-1][1]}


def _minute(of: Any) -> int:
    return int(of.timestamp.timestamp()) // 60


def _values(of: Any) -> Values:
    return (of.open, of.high, of.low, of.close, of.volume, of.oi)


def _revisions_are_one_by_one(env: BackfillEnv, served_at: list[tuple[datetime, Served]]) -> None:
    expected = [
        (minute, before[minute], at)
        for (_, before), (at, after) in pairwise(served_at)
        for minute in before
        if after[minute] != before[minute]
    ]
    query = select(CandleRevision).order_by(
        CandleRevision.timestamp, CandleRevision.superseded_at, CandleRevision.revision
    )
    with env.store.reading() as connection:
        rows = connection.execute(query).all()
        minute = int(OPEN.timestamp()) // 60
        diff = revisions_on(connection, "1minute", minute - 600, minute + 900, None)
    # The correction of its neighbours may show that an unchanged row is filled in, or an auction.
    other_kind = [each for each in diff if _values(each.old) == _values(each.new)]
    assert all(each.old.kind != each.new.kind for each in other_kind)
    expected += [(_minute(one), _values(one.old), one.superseded_at) for one in other_kind]
    found = [(_minute(row), _values(row), row.superseded_at.astimezone(UTC)) for row in rows]
    assert sorted(found) == sorted(expected)
    numbers: dict[int, list[int]] = {}
    for row in rows:
        numbers.setdefault(_minute(row), []).append(row.revision)
    assert all(each == list(range(1, len(each) + 1)) for each in numbers.values())
    assert len(diff) == len(expected)
    assert all(each.old != each.new for each in diff)


@settings(max_examples=EXAMPLES)
@given(script=corrections, fractions=looks_back)
def test_an_earlier_state_can_be_read(
    sqlite_template: Path, tmp_path: Path, script: list[Correction], fractions: list[float]
) -> None:
    file = tmp_path / "store.db"
    for leftover in tmp_path.iterdir():
        leftover.unlink()
    shutil.copyfile(sqlite_template, file)
    play(f"sqlite:///{file}", tmp_path, script, fractions)


@settings(max_examples=EXAMPLES_ON_POSTGRES)
@given(script=corrections, fractions=looks_back)
def test_an_earlier_state_can_be_read_from_postgres(
    postgres_copies: DatabaseCopies,
    tmp_path: Path,
    script: list[Correction],
    fractions: list[float],
) -> None:
    with postgres_copies.one() as url:
        play(url, tmp_path, script, fractions)
