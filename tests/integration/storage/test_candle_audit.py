"""The audit of a store that was edited by hand: each edit is found by name, and mended."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from backfill_env import CALENDAR, BackfillEnv, backfill_env, ist
from sqlalchemy import Connection, and_, delete, insert, select, update

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.candles.findings import FindingKind
from data_fetch.core.clock import IST
from data_fetch.core.runs import Outcome
from data_fetch.storage.candles.audit import Recount, recount
from data_fetch.storage.candles.candles import candles
from data_fetch.storage.candles.coverage import coverage_table
from data_fetch.storage.candles.coverage_counts import CoverageQuery
from data_fetch.storage.candles.repair import repair

MINUTES, DAYS = CandleInterval.MINUTE, CandleInterval.DAY
FIRST, LAST = date(2026, 9, 7), date(2026, 9, 15)
DAY, SUNDAY = date(2026, 9, 10), date(2026, 9, 13)
# TCS has minutes that the source lacks.
SYMBOLS = ("NIFTY", "TCS", "RELIANCE")

K = FindingKind
Found = set[tuple[FindingKind, int]]
# Changes the rows of one instrument (its key is given).
EditRows = Callable[[Connection, str], object]


@pytest.fixture
def env(database_url: str, tmp_path: Path) -> Iterator[BackfillEnv]:
    """A store with six days of three names, all confirmed."""
    with backfill_env(database_url, tmp_path, ist("2026-09-16", "20:00:08"), SYMBOLS) as env:
        of_days = env.order(FIRST, LAST, DAYS, symbols=["NIFTY", "RELIANCE"])
        for order in (env.order(FIRST, LAST), of_days):
            assert env.backfill(order).outcome is Outcome.COMPLETED
        yield env


def recounted(env: BackfillEnv, interval: CandleInterval = MINUTES) -> Recount:
    with env.store.reading() as connection:
        return recount(connection, scope_of(env, interval))


def scope_of(env: BackfillEnv, interval: CandleInterval) -> CoverageQuery:
    return CoverageQuery(
        instruments=env.instruments,
        interval=interval,
        first=FIRST,
        last=LAST,
        expectation=Expectation(CALENDAR, env.clock.now()),
    )


def at(day: date, time: str) -> datetime:
    return ist(day, f"{time}:00")


def rows(first: str, last: str, *, day: date = DAY, interval: CandleInterval = MINUTES) -> Any:
    """The candles from one time of *day* to another, both included."""
    return and_(
        candles.c.interval == interval.value,
        candles.c.timestamp.between(at(day, first), at(day, last)),
    )


def of_kind(kind: Kind) -> Any:
    return and_(rows("09:15", "15:34"), candles.c.kind == kind.value)


def remove(where: Any) -> EditRows:
    return lambda db, key: db.execute(delete(candles).where(candles.c.instrument_key == key, where))


def change(where: Any, **values: Any) -> EditRows:
    return lambda db, key: db.execute(
        update(candles).where(candles.c.instrument_key == key, where).values(**values)
    )


def copy_row(when: datetime, interval: CandleInterval = MINUTES, start: str = "09:15") -> EditRows:
    """A row like the first one of the day, at another time."""

    def edit(db: Connection, key: str) -> None:
        query = select(candles).where(
            candles.c.instrument_key == key, rows(start, start, interval=interval)
        )
        row = db.execute(query).mappings().one()
        db.execute(insert(candles).values({**row, "timestamp": when}))

    return edit


def ledger(interval: CandleInterval = MINUTES, day: date = DAY, **values: Any) -> EditRows:
    """The columns of the ledger row with other values; one that is callable gets the old one."""

    def edit(db: Connection, key: str) -> None:
        row = and_(
            coverage_table.c.instrument_key == key,
            coverage_table.c.interval == interval.value,
            coverage_table.c.trading_date == day,
        )
        old = db.execute(select(coverage_table).where(row)).mappings().one()
        new = {
            name: value(old[name]) if callable(value) else value for name, value in values.items()
        }
        db.execute(update(coverage_table).where(row).values(**new))

    return edit


def forget_the_day(db: Connection, key: str) -> None:
    db.execute(
        delete(coverage_table).where(
            coverage_table.c.instrument_key == key,
            coverage_table.c.interval == MINUTES.value,
            coverage_table.c.trading_date == DAY,
        )
    )


def ledger_on_sunday(db: Connection, key: str) -> None:
    query = select(coverage_table).where(
        coverage_table.c.instrument_key == key,
        coverage_table.c.interval == MINUTES.value,
        coverage_table.c.trading_date == DAY,
    )
    row = db.execute(query).mappings().one()
    db.execute(insert(coverage_table).values({**row, "trading_date": SUNDAY}))


def each(change_one: Callable[[list[Any]], list[Any]]) -> Callable[[list[Any]], list[Any]]:
    """A change of every stretch: first minute of the day, end, state and perhaps a proof."""
    return lambda stretches: [change_one(one) for one in stretches]


def call_five_without_trade(stretches: list[Any]) -> list[Any]:
    ((first, end, state),) = stretches
    proof = ["the day's volume is all stored", "run", 0]
    return [[first, 600, state], [600, 605, "no_trade", *proof], [605, end, state]]


@dataclass(frozen=True)
class Damage:
    """An edit by hand and what the audit has to find; *refetched*: only history can mend it."""

    edit: EditRows
    found: Found
    samples: str
    symbol: str = "RELIANCE"
    interval: CandleInterval = MINUTES
    day: date = DAY
    refetched: bool = False


DAMAGES = {
    "candles gone": Damage(
        remove(rows("10:00", "10:06")), {(K.MINUTES, 7)}, "10:00-10:07", refetched=True
    ),
    "a whole day of candles gone": Damage(
        remove(rows("09:15", "15:34")), {(K.MINUTES, 360)}, "09:15-15:15", refetched=True
    ),
    "the ledger row gone": Damage(forget_the_day, {(K.MINUTES, 360)}, "09:15-15:15"),
    "present minutes called without trade": Damage(
        ledger(stretches=call_five_without_trade, present=355, no_trade=5),
        {(K.MINUTES, 5)},
        "10:00-10:05",
    ),
    "counts falsified": Damage(
        ledger(present=353, missed=7), {(K.COUNTS, 2)}, "present 353 for 360; missed 7 for 0"
    ),
    "the expected minutes falsified": Damage(
        ledger(expected=375), {(K.COUNTS, 1)}, "expected 375 for 360"
    ),
    "the count of provisional minutes falsified": Damage(
        ledger(provisional=360), {(K.COUNTS, 1)}, "provisional 360 for 0"
    ),
    "nothing is final any more": Damage(
        change(rows("09:15", "15:34"), is_final=False),
        {(K.FINALITY, 360)},
        "09:15-15:15",
        refetched=True,
    ),
    "one minute is not final any more": Damage(
        change(rows("11:11", "11:11"), is_final=False),
        {(K.FINALITY, 1)},
        "11:11-11:12",
        refetched=True,
    ),
    "final minutes called provisional": Damage(
        ledger(provisional_spans=[[600, 610]], provisional=10), {(K.FINALITY, 10)}, "10:00-10:10"
    ),
    "ten rows made carried": Damage(
        change(rows("12:00", "12:09"), kind="carried"),
        {(K.KINDS, 10)},
        "12:00 carried instead of traded; 12:01 carried instead of traded",
    ),
    "a trade made an auction": Damage(
        change(rows("12:00", "12:00"), kind="auction"), {(K.KINDS, 1)}, "12:00 auction"
    ),
    "a kind that does not exist": Damage(
        change(rows("12:00", "12:00"), kind="sold"), {(K.KINDS, 1)}, "12:00 sold instead of traded"
    ),
    "the auction made carried": Damage(
        change(of_kind(Kind.AUCTION), kind="carried"), {(K.KINDS, 1)}, "carried instead of auction"
    ),
    "a filled-in row made trading": Damage(
        change(rows("15:20", "15:20"), kind="traded"), {(K.KINDS, 1)}, "traded instead of carried"
    ),
    "a second auction": Damage(
        change(rows("15:20", "15:20"), kind="auction"),
        {(K.KINDS, 1), (K.AUCTION, 1)},
        "more than one auction row",
    ),
    "a second auction with a volume of its own": Damage(
        change(rows("15:20", "15:20"), kind="auction", volume=9),
        {(K.AUCTION, 1)},
        "more than one auction row",
        refetched=True,
    ),
    "the auction gone": Damage(
        remove(of_kind(Kind.AUCTION)), {(K.AUCTION, 1)}, "no auction row", refetched=True
    ),
    "the auction of an index gone": Damage(
        remove(of_kind(Kind.AUCTION)), {(K.AUCTION, 1)}, "no auction row", "NIFTY", refetched=True
    ),
    "all rows after trading gone": Damage(
        remove(rows("15:15", "15:34")), {(K.AUCTION, 1)}, "no auction row", refetched=True
    ),
    "a row on a Sunday": Damage(
        copy_row(at(SUNDAY, "10:00")), {(K.OUTSIDE, 1)}, "10:00", day=SUNDAY
    ),
    "a row before the open": Damage(copy_row(at(DAY, "09:07")), {(K.OUTSIDE, 1)}, "09:07"),
    "a row in the evening": Damage(copy_row(at(DAY, "18:30")), {(K.OUTSIDE, 1)}, "18:30"),
    "a ledger row on a Sunday": Damage(
        ledger_on_sunday, {(K.CONTRADICTION, 1)}, "360 present on a day without", day=SUNDAY
    ),
    "a proof removed": Damage(
        ledger(stretches=each(lambda one: one[:3])),
        {(K.CONTRADICTION, 1)},
        "a state and its proof do not belong together",
        "TCS",
        refetched=True,
    ),
    "a proof of what is present": Damage(
        ledger(stretches=each(lambda one: [*one[:3], "somebody", "run", 0])),
        {(K.CONTRADICTION, 1)},
        "a state and its proof do not belong together",
    ),
    "stretches that overlap": Damage(
        ledger(stretches=[[555, 700, "present"], [640, 855, "present"]]),
        {(K.CONTRADICTION, 1), (K.MINUTES, 360)},
        "stretches overlap",
    ),
    "an unknown state": Damage(
        ledger(stretches=[[555, 915, "lost"]]),
        {(K.CONTRADICTION, 1), (K.MINUTES, 360)},
        "the stretches cannot be read",
    ),
    "stretches of another form": Damage(
        ledger(stretches={"present": 360}),
        {(K.CONTRADICTION, 1), (K.MINUTES, 360)},
        "the stretches cannot be read",
    ),
    "provisional without a candle": Damage(
        ledger(provisional_spans=[[920, 925]], provisional=5),
        {(K.CONTRADICTION, 1)},
        "provisional minutes are not present",
    ),
    "settled without a response": Damage(
        ledger(confirmations=0),
        {(K.CONTRADICTION, 1)},
        "minutes are settled without a response",
        "TCS",
        refetched=True,
    ),
    "more responses than requests": Damage(
        ledger(attempts=0), {(K.CONTRADICTION, 1)}, "more responses than requests"
    ),
    "an error without a request": Damage(
        ledger(attempts=0, confirmations=0, last_error="quota"),
        {(K.CONTRADICTION, 1)},
        "an error without a request",
    ),
    "due before it was requested": Damage(
        ledger(next_attempt=at(FIRST, "10:00")),
        {(K.CONTRADICTION, 1)},
        "the next request is due before the last one",
    ),
    "day: a candle gone": Damage(
        remove(rows("00:00", "00:00", interval=DAYS)),
        {(K.MINUTES, 1)},
        "00:00-00:01",
        interval=DAYS,
        refetched=True,
    ),
    "day: not final any more": Damage(
        change(rows("00:00", "00:00", interval=DAYS), is_final=False),
        {(K.FINALITY, 1)},
        "00:00-00:01",
        interval=DAYS,
        refetched=True,
    ),
    "day: made carried": Damage(
        change(rows("00:00", "00:00", interval=DAYS), kind="carried"),
        {(K.KINDS, 1)},
        "00:00 carried instead of traded",
        interval=DAYS,
    ),
    "day: counts falsified": Damage(
        ledger(DAYS, present=0, missed=1), {(K.COUNTS, 2)}, "present 0 for 1", interval=DAYS
    ),
    "day: a candle on a Sunday": Damage(
        copy_row(at(SUNDAY, "00:00"), DAYS, "00:00"),
        {(K.OUTSIDE, 1)},
        "00:00",
        interval=DAYS,
        day=SUNDAY,
    ),
    "day: a candle at noon": Damage(
        copy_row(at(DAY, "12:00"), DAYS, "00:00"), {(K.OUTSIDE, 1)}, "12:00", interval=DAYS
    ),
}


def contents(env: BackfillEnv, interval: CandleInterval) -> Any:
    """The candles and the ledger's states, without who stored them and when."""
    kept = [
        candles.c[name] for name in ("instrument_key", "timestamp", "close", "kind", "is_final")
    ]
    with env.store.reading() as connection:
        query = select(*kept).where(candles.c.interval == interval.value)
        stored = {tuple(row) for row in connection.execute(query)}
    order = env.order(FIRST, LAST, interval)
    return stored, {
        key: (day.spans(State.PRESENT), day.spans(State.MISSED), day.provisional)
        for key, day in env.ledger(order).items()
    }


@pytest.mark.layouts
def test_a_store_that_nobody_touched_has_no_findings(env: BackfillEnv) -> None:
    for interval in (MINUTES, DAYS):
        found = recounted(env, interval)
        assert (found.findings, found.differences) == ([], [])
        assert found.days == 3 * 6


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_an_edit_by_hand_is_found_and_mended(env: BackfillEnv, damage: Damage) -> None:
    interval, instrument = damage.interval, env.instrument(damage.symbol)
    before = contents(env, interval)
    with env.store.writing() as connection:
        damage.edit(connection, instrument.instrument_key)

    found = recounted(env, interval).findings

    assert {(one.kind, one.count) for one in found} == damage.found
    assert {(one.instrument, one.day) for one in found} == {(instrument, damage.day)}
    assert damage.samples in "; ".join(text for one in found for text in one.samples)

    repaired = repair(env.store, scope_of(env, interval), found)
    assert repaired.days + repaired.deleted == 1 or damage.day == SUNDAY
    assert recounted(env, interval).findings == []
    report = env.backfill(env.order(FIRST, LAST, interval, symbols=[damage.symbol]))
    assert report.requests == int(damage.refetched)
    assert contents(env, interval) == before
    assert recounted(env, interval).findings == []


@pytest.mark.layouts
def test_all_findings_of_many_days_are_found_and_mended_at_once(env: BackfillEnv) -> None:
    key = env.instrument("RELIANCE").instrument_key
    days = [DAY, DAY + timedelta(days=1), LAST]
    with env.store.writing() as connection:
        remove(rows("10:00", "10:06", day=days[0]))(connection, key)
        change(rows("12:00", "12:09", day=days[1]), kind="carried")(connection, key)
        ledger(day=days[2], present=353)(connection, key)

    found = recounted(env).findings

    assert [(one.day, one.kind) for one in found] == list(
        zip(days, (K.MINUTES, K.KINDS, K.COUNTS), strict=True)
    )
    assert repair(env.store, scope_of(env, MINUTES), found).days == 3
    assert recounted(env).findings == []


def test_days_that_were_corrected_meanwhile_are_left_alone(env: BackfillEnv) -> None:
    key = env.instrument("RELIANCE").instrument_key
    with env.store.writing() as connection:
        ledger(present=353)(connection, key)
    found = recounted(env).findings
    with env.store.writing() as connection:
        ledger(present=360)(connection, key)

    assert repair(env.store, scope_of(env, MINUTES), found).days == 0


def test_a_running_day_is_no_finding(env: BackfillEnv) -> None:
    """Nothing of it is final, and an index has no auction before history tells."""
    today = date(2026, 9, 17)
    env.until(ist(today, "15:38:08"))
    env.backfill(env.order(today, today))
    scope = replace(scope_of(env, MINUTES), last=today)

    with env.store.reading() as connection:
        assert recount(connection, scope).findings == []


# --- candles of a day against its minutes -----------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        pytest.param({"volume": 1}, "volume 1 is below", id="less volume than in its minutes"),
        pytest.param({"high": 1.0, "low": 1.0}, "high 1 is below", id="a lower high"),
        pytest.param({"low": 99_999.0, "high": 99_999.0}, "low 99999 is above", id="a higher low"),
    ],
)
def test_a_day_candle_that_its_minutes_contradict_is_found_and_left(
    env: BackfillEnv, values: dict[str, Any], fault: str
) -> None:
    key = env.instrument("RELIANCE").instrument_key
    with env.store.writing() as connection:
        change(rows("00:00", "00:00", interval=DAYS), **values)(connection, key)

    [found] = recounted(env, DAYS).findings

    assert (found.kind, found.instrument.symbol, found.day) == (K.DAY_CANDLE, "RELIANCE", DAY)
    assert fault in found.samples[0]
    assert recounted(env).findings == []
    repair(env.store, scope_of(env, DAYS), [found])
    assert recounted(env, DAYS).findings == [found]


def test_day_candles_under_the_date_of_the_next_day_are_found(env: BackfillEnv) -> None:
    """As a provider once sent them, a whole month."""
    key = env.instrument("RELIANCE").instrument_key
    sent = sorted(env.candles("RELIANCE", DAYS).items())
    with env.store.writing() as connection:
        for (_, row), (start, _) in pairwise(sent):
            day = datetime.fromtimestamp(start, IST).date()
            values = {name: getattr(row, name) for name in ("open", "high", "low", "volume")}
            change(rows("00:00", "00:00", day=day, interval=DAYS), **values)(connection, key)

    found = recounted(env, DAYS).findings

    assert {one.kind for one in found} == {K.DAY_CANDLE}
    assert len(found) >= len(sent) // 2


def test_minutes_that_are_not_confirmed_contradict_nothing(env: BackfillEnv) -> None:
    key = env.instrument("RELIANCE").instrument_key
    with env.store.writing() as connection:
        change(rows("00:00", "00:00", interval=DAYS), volume=1)(connection, key)
        change(rows("09:15", "15:34"), is_final=False)(connection, key)

    assert recounted(env, DAYS).findings == []
