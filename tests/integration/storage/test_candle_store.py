"""Candles in bulk: which version is current, where the others are, on both databases."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count, pairwise
from threading import Barrier
from typing import Any

import pytest
from candle_shelf import candle_rows, stock
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ClauseElement, select, text

from data_fetch.core.candles.candles import (
    CandleBlock,
    CandleInterval,
    InstrumentDays,
    Kind,
    Provenance,
)
from data_fetch.core.errors import BadRecord, StoreUnreachable
from data_fetch.core.market.calendar import MarketCalendar, group_of
from data_fetch.core.market.session import instant_of, midnight_number, minute_number
from data_fetch.core.world import World
from data_fetch.storage.candles.candles import (
    Within,
    Written,
    begin_candle_writing,
    candles,
    insert_candles,
    judge,
    merge_candles,
    number,
    of_instrument,
    revisions,
    revisions_on,
    save_old_versions,
)
from data_fetch.storage.candles.evidence import StandingFeed, StoredEvidence
from data_fetch.storage.database import binary_copy
from data_fetch.storage.database.store import Store, open_store

pytestmark = pytest.mark.layouts

KEY = "NSE_EQ|ZZP000000001"
STOCK = replace(stock("INKWELL"), instrument_key=KEY, live_key=KEY)
DAY = date(2026, 9, 16)
OPENS = midnight_number(DAY) + 9 * 60 + 15
AT = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
VALUES = ("open", "high", "low", "close", "volume", "oi", "kind")


@dataclass(frozen=True)
class Values:
    """The values of a candle. Two are equal when every field is."""

    open: float = 2990.05
    high: float = 2995.0
    low: float = 2989.0
    close: float = 2991.1
    volume: int = 12_000
    oi: int | None = 0
    kind: Kind = Kind.TRADED


SAME = Values()
OTHER = Values(close=2991.15)


def block(
    values: Mapping[int, Values],
    key: str = KEY,
    interval: CandleInterval = CandleInterval.MINUTE,
) -> CandleBlock:
    """A block of candles, given by minutes after the opening."""
    rows = [values[minute] for minute in sorted(values)]
    return CandleBlock(
        instrument_key=key,
        interval=interval,
        starts=[OPENS + minute for minute in sorted(values)],
        open=[row.open for row in rows],
        high=[row.high for row in rows],
        low=[row.low for row in rows],
        close=[row.close for row in rows],
        volume=[row.volume for row in rows],
        oi=[row.oi for row in rows],
        kinds=[row.kind for row in rows],
    )


def came(second: int, *, final: bool) -> Provenance:
    return Provenance(
        source="history" if final else "intraday",
        is_final=final,
        fetched_at=AT + timedelta(seconds=second),
        run_id=f"run {second}",
    )


def merged(store: Store, blocks: Sequence[CandleBlock], provenance: Provenance) -> Written:
    with store.writing() as connection:
        begin_candle_writing(connection)
        return merge_candles(connection, blocks, provenance)


def inserted(store: Store, blocks: Sequence[CandleBlock], provenance: Provenance) -> Written:
    with store.writing() as connection:
        begin_candle_writing(connection)
        return insert_candles(connection, blocks, provenance)


def read(store: Store, key: str = KEY, as_of: datetime | None = None) -> dict[int, Any]:
    """The known candle of each minute after the opening."""
    with store.reading() as connection:
        rows = candle_rows(connection, key, "1minute", OPENS, OPENS + 400, as_of)
    return {minute_number(row.timestamp) - OPENS: row for row in rows}


def closes(store: Store, key: str = KEY, as_of: datetime | None = None) -> dict[int, float]:
    return {minute: row.close for minute, row in read(store, key, as_of).items()}


def everything(store: Store) -> tuple[list[Any], list[Any]]:
    with store.reading() as connection:
        return (
            sorted(tuple(row) for row in connection.execute(select(candles))),
            sorted(tuple(row) for row in connection.execute(select(revisions))),
        )


@pytest.mark.parametrize("write", [inserted, merged])
def test_candles_come_back_exactly_as_they_were_offered(store: Store, write: Any) -> None:
    values = {
        0: Values(open=0.1 + 0.2, high=1e17 / 3, low=5e-324, close=2990.05),
        1: Values(volume=9_000_000_000, oi=2**62),
        7: Values(kind=Kind.CARRIED, volume=0),
        8: Values(kind=Kind.AUCTION),
    }
    keys = ("NSE_EQ|M&M", "NSE_INDEX|Nifty 50", "NSE_FO|क\t\\N'\"")

    written = write(store, [block(values, key) for key in keys], came(3, final=True))

    assert written == Written(inserted=12)
    for key in keys:
        rows = read(store, key)
        assert {minute: tuple(row[1:8]) for minute, row in rows.items()} == {
            minute: tuple(getattr(one, name) for name in VALUES) for minute, one in values.items()
        }
        assert {tuple(row[8:]) for row in rows.values()} == {
            ("history", True, AT + timedelta(seconds=3))
        }


# Which of two versions stays, and what becomes of the other. The stored one came at second 5.
SETTLED = {
    # offered values, final?, second; stored final?; then: written, close, final, since second
    "provisional, the same later": (SAME, False, 9, False, Written(), SAME, False, 5),
    "provisional, corrected later": (OTHER, False, 9, False, Written(revised=1), OTHER, False, 9),
    "provisional, corrected at once": (OTHER, False, 5, False, Written(revised=1), OTHER, False, 5),
    "provisional, older": (OTHER, False, 1, False, Written(), SAME, False, 5),
    "confirmed": (SAME, True, 9, False, Written(finalised=1), SAME, True, 5),
    "confirmed by an older answer": (SAME, True, 1, False, Written(finalised=1), SAME, True, 5),
    "history differs": (OTHER, True, 9, False, Written(revised=1), OTHER, True, 9),
    "older history differs": (OTHER, True, 1, False, Written(revised=1), OTHER, True, 1),
    "final, provisional the same": (SAME, False, 9, True, Written(), SAME, True, 5),
    "final, provisional differs": (OTHER, False, 9, True, Written(), SAME, True, 5),
    "final, the same again": (SAME, True, 9, True, Written(), SAME, True, 5),
    "final, corrected": (OTHER, True, 9, True, Written(revised=1), OTHER, True, 9),
    "final, older history differs": (OTHER, True, 1, True, Written(), SAME, True, 5),
}


@pytest.mark.parametrize(
    ("values", "final", "second", "was_final", "written", "stays", "is_final", "since"),
    SETTLED.values(),
    ids=SETTLED.keys(),
)
def test_final_replaces_provisional_then_newer_replaces_older(
    store: Store,
    values: Values,
    final: bool,
    second: int,
    was_final: bool,
    written: Written,
    stays: Values,
    is_final: bool,
    since: int,
) -> None:
    merged(store, [block({0: SAME})], came(5, final=was_final))
    _, before = everything(store)

    assert merged(store, [block({0: values})], came(second, final=final)) == written

    row = read(store)[0]
    assert (row.close, row.is_final) == (stays.close, is_final)
    assert row.fetched_at == AT + timedelta(seconds=since)
    _, old = everything(store)
    assert before == []
    assert len(old) == written.revised


@pytest.mark.parametrize("name", VALUES)
def test_a_difference_in_any_value_is_a_correction(store: Store, name: str) -> None:
    value: dict[str, Any] = {name: Kind.AUCTION if name == "kind" else 5}
    changed = replace(SAME, **value)
    merged(store, [block({0: SAME})], came(0, final=False))

    assert merged(store, [block({0: changed})], came(1, final=False)) == Written(revised=1)

    assert getattr(read(store)[0], name) == getattr(changed, name)


@pytest.mark.parametrize("write", [merged, inserted])
def test_an_unknown_open_interest_is_stored_and_known_later(store: Store, write: Any) -> None:
    unknown, known = replace(SAME, oi=None), replace(SAME, oi=5)
    assert write(store, [block({0: unknown, 1: SAME})], came(0, final=True)) == Written(inserted=2)
    assert [row.oi for row in read(store).values()] == [None, SAME.oi]

    assert merged(store, [block({0: unknown})], came(1, final=True)) == Written()
    assert merged(store, [block({0: known})], came(2, final=True)) == Written(revised=1)

    assert read(store)[0].oi == 5
    assert read(store, as_of=AT + timedelta(seconds=1))[0].oi is None


def test_a_confirmed_candle_has_the_source_of_the_history_and_its_first_arrival(
    store: Store,
) -> None:
    merged(store, [block({0: SAME})], came(0, final=False))
    merged(store, [block({0: SAME})], came(9, final=True))

    [[*_, source, is_final, fetched_at, run_id]], old = everything(store)

    assert (source, is_final, fetched_at, run_id) == ("history", True, AT, "run 9")
    assert old == []


def test_corrections_are_numbered_and_each_version_can_be_read_as_of_its_time(
    store: Store,
) -> None:
    prices = [10.0, 11.0, 12.0, 13.0]
    for second, price in enumerate(prices):
        merged(store, [block({0: Values(close=price), 1: SAME})], came(2 * second, final=True))

    with store.reading() as connection:
        found = revisions_on(connection, "1minute", OPENS, OPENS + 5, None)

    assert [(one.revision, one.old.close, one.new.close) for one in found] == [
        (1, 10.0, 11.0),
        (2, 11.0, 12.0),
        (3, 12.0, 13.0),
    ]
    assert [one.superseded_at for one in found] == [AT + timedelta(seconds=n) for n in (2, 4, 6)]
    assert [one.old.fetched_at for one in found] == [AT + timedelta(seconds=n) for n in (0, 2, 4)]
    known = [closes(store, as_of=AT + timedelta(seconds=second)).get(0) for second in range(-1, 8)]
    assert known == [None, 10.0, 10.0, 11.0, 11.0, 12.0, 12.0, 13.0, 13.0]
    # The candle that was never corrected stands beside it throughout.
    assert closes(store, as_of=AT)[1] == SAME.close


def test_corrections_can_be_selected_by_time_interval_and_instrument(store: Store) -> None:
    daily = CandleInterval.DAY
    for values in (SAME, OTHER):
        blocks = [block({0: values, 3: values}, key) for key in ("A", "B&C")]
        merged(store, [*blocks, block({0: values}, "A", daily)], came(0, final=True))

    def found(first: int, end: int, keys: list[str] | None, interval: str = "1minute") -> Any:
        with store.reading() as connection:
            corrected = revisions_on(connection, interval, OPENS + first, OPENS + end, keys)
        return [(one.instrument_key, minute_number(one.timestamp) - OPENS) for one in corrected]

    assert found(0, 9, None) == [("A", 0), ("A", 3), ("B&C", 0), ("B&C", 3)]
    assert found(0, 3, None) == [("A", 0), ("B&C", 0)]
    assert found(0, 9, ["B&C"]) == [("B&C", 0), ("B&C", 3)]
    assert found(0, 9, []) == []
    assert found(0, 9, None, "day") == [("A", 0)]


@pytest.mark.parametrize("final", [False, True])
def test_writing_the_same_again_writes_nothing(store: Store, final: bool) -> None:
    values = dict.fromkeys(range(375), SAME)
    merged(store, [block(values)], came(0, final=final))
    before = everything(store), _versions(store)

    assert merged(store, [block(values)], came(5, final=final)) == Written()
    assert inserted(store, [block(values)], came(6, final=final)) == Written()

    assert (everything(store), _versions(store)) == before


def _versions(store: Store) -> set[Any]:
    """PostgreSQL names the transaction that wrote a row."""
    if store.engine.dialect.name != "postgresql":
        return set()
    with store.reading() as connection:
        return set(connection.exec_driver_sql("SELECT xmin::text FROM candles").scalars())


def test_a_direct_insert_that_meets_stored_candles_merges_them(store: Store) -> None:
    merged(store, [block({1: SAME, 2: SAME})], came(0, final=False))

    with store.writing() as connection:
        begin_candle_writing(connection)
        merge_candles(connection, [block({0: SAME}, "BEFORE")], came(1, final=True))
        written = insert_candles(
            connection, [block({0: SAME, 1: SAME, 2: OTHER, 3: SAME})], came(1, final=True)
        )
        merge_candles(connection, [block({0: SAME}, "AFTER")], came(1, final=True))

    assert written == Written(inserted=2, revised=1, finalised=1)
    assert closes(store) == {0: SAME.close, 1: SAME.close, 2: OTHER.close, 3: SAME.close}
    assert closes(store, "BEFORE") == closes(store, "AFTER") == {0: SAME.close}


def test_a_transaction_that_fails_leaves_nothing_and_the_next_one_works(store: Store) -> None:
    merged(store, [block({0: SAME})], came(0, final=True))
    before = everything(store)

    def write_and_fail() -> None:
        with store.writing() as connection:
            begin_candle_writing(connection)
            merge_candles(connection, [block({0: OTHER, 1: SAME})], came(1, final=True))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    assert everything(store) == before
    again = merged(store, [block({0: OTHER, 1: SAME})], came(1, final=True))
    assert again == Written(inserted=1, revised=1)


@pytest.mark.parametrize("write", [inserted, merged])
def test_of_several_blocks_with_one_candle_the_last_counts(store: Store, write: Any) -> None:
    blocks = [
        block({0: SAME, 1: SAME}),
        block({0: SAME}, "ANOTHER"),
        block({1: OTHER, 2: OTHER}),
        block({}),
    ]

    assert write(store, blocks, came(0, final=True)) == Written(inserted=4)

    assert closes(store) == {0: SAME.close, 1: OTHER.close, 2: OTHER.close}
    assert everything(store)[1] == []


def test_two_merges_in_one_transaction_do_not_mix(store: Store) -> None:
    merged(store, [block({0: SAME, 1: SAME})], came(0, final=False))

    with store.writing() as connection:
        begin_candle_writing(connection)
        first = merge_candles(connection, [block({0: OTHER})], came(1, final=False))
        second = merge_candles(connection, [block({1: SAME})], came(2, final=True))

    assert (first, second) == (Written(revised=1), Written(finalised=1))


@pytest.mark.parametrize("write", [inserted, merged])
def test_nothing_offered_writes_nothing(store: Store, write: Any) -> None:
    assert write(store, [], came(0, final=True)) == Written()
    assert write(store, [block({})], came(0, final=True)) == Written()


@pytest.mark.parametrize("write", [inserted, merged])
def test_an_instant_without_a_time_zone_is_rejected(store: Store, write: Any) -> None:
    naive = Provenance(
        source="paper", is_final=True, fetched_at=AT.replace(tzinfo=None), run_id="r"
    )

    with pytest.raises(BadRecord, match="time zone"):
        write(store, [block({0: SAME})], naive)


def test_the_volume_of_a_session_is_the_sum_of_its_minutes(store: Store) -> None:
    session = MarketCalendar.reviewed().session(DAY, group_of(STOCK, DAY))
    large = Values(volume=3_000_000_000)
    merged(
        store,
        [
            block({-555: large, 0: large, 374: large, 24 * 60: large}),
            block({0: large}, "ANOTHER"),
            block({0: large}, interval=CandleInterval.DAY),
        ],
        came(0, final=True),
    )

    with store.reading() as connection:
        for of, volume in ((STOCK, 6_000_000_000), (replace(STOCK, instrument_key="NONE"), 0)):
            days = InstrumentDays(
                instrument=of, interval=CandleInterval.MINUTE, first=DAY, last=DAY
            )
            stored = StoredEvidence(connection, days, StandingFeed())
            assert stored.of_minutes(session) == volume


def test_reading_takes_one_instrument_one_interval_and_a_half_open_range(store: Store) -> None:
    merged(
        store,
        [
            block({minute: Values(close=minute) for minute in (0, 5, 9)}),
            block({5: SAME}, "ANOTHER"),
            block({5: SAME}, interval=CandleInterval.DAY),
        ],
        came(0, final=True),
    )

    with store.reading() as connection:
        rows = candle_rows(connection, KEY, "1minute", OPENS, OPENS + 9)

    assert [(row.timestamp, row.close) for row in rows] == [
        (instant_of(OPENS), 0.0),
        (instant_of(OPENS + 5), 5.0),
    ]


def test_a_final_and_a_provisional_writer_at_once_end_final(postgres_url: str) -> None:
    store = open_store(postgres_url, World.PAPER)
    both = Barrier(2)
    minutes = range(30)

    def write(final: bool) -> Written:
        values = SAME if final else OTHER
        written = Written()
        for minute in minutes:
            both.wait(timeout=300)
            written += merged(store, [block({minute: values})], came(9 - final, final=final))
        return written

    with ThreadPoolExecutor() as threads:
        provisional, final = threads.map(write, (False, True))
    rows, old = everything(store)
    store.close()

    assert {row[6] for row in rows} == {SAME.close}
    assert all(row[11] for row in rows)
    assert provisional.inserted + final.inserted == len(rows) == len(minutes)
    assert (provisional.revised, final.revised) == (0, len(old))
    assert final.revised == provisional.inserted


@pytest.mark.parametrize(
    "within",
    [
        pytest.param(lambda of: of.c.timestamp >= instant_of(OPENS), id="many instruments"),
        pytest.param(lambda of: of_instrument(of, KEY, "1minute", OPENS, OPENS + 3_000), id="one"),
    ],
)
@pytest.mark.parametrize("settle", [judge, number, save_old_versions])
def test_postgres_looks_up_stored_candles_and_never_scans_them(
    postgres_url: str, settle: Callable[[Within], ClauseElement], within: Within
) -> None:
    store = open_store(postgres_url, World.PAPER)
    merged(store, [block(dict.fromkeys(range(40_000), SAME))], came(0, final=True))
    with store.writing() as connection:
        connection.execute(text("ANALYZE candles"))
        begin_candle_writing(connection)
        offered = block(dict.fromkeys(range(3_000), OTHER))
        merge_candles(connection, [offered], came(1, final=True))
        statement = settle(within)
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {compiled}")))
    store.close()

    assert "on staged_candles" in plan
    assert "Seq Scan on candle" not in plan


def test_a_server_that_goes_away_while_candles_are_sent_is_unreachable(postgres_url: str) -> None:
    store = open_store(postgres_url, World.PAPER)
    cut_off = text("SELECT pg_terminate_backend(:pid, 5000)")

    def send_in_vain() -> None:
        with store.writing() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            with store.reading() as other:
                assert other.scalar(cut_off, {"pid": pid})
            rows = [[binary_copy.instants([OPENS])]]
            binary_copy.copy_in(connection, candles, ["timestamp"], rows)

    with pytest.raises(StoreUnreachable):
        send_in_vain()
    store.close()


@dataclass
class Model:
    """What a store is expected to hold, candle by candle: its versions, oldest first."""

    versions: dict[int, list[tuple[Values, bool, int]]] = field(default_factory=dict)

    def offer(self, candles: Mapping[int, Values], second: int, *, final: bool) -> Written:
        written = Written()
        for minute, values in candles.items():
            versions = self.versions.setdefault(minute, [])
            if not versions:
                versions.append((values, final, second))
                written += Written(inserted=1)
                continue
            known, was_final, since = versions[-1]
            if known == values and final and not was_final:
                versions[-1] = (known, True, since)
                written += Written(finalised=1)
            elif known != values and (final, second) >= (was_final, since):
                versions.append((values, final, second))
                written += Written(revised=1)
        return written

    def known(self, second: int) -> dict[int, float]:
        """The last version of each candle that had arrived."""
        arrived = {
            minute: [values for values, _, since in versions if since <= second]
            for minute, versions in self.versions.items()
        }
        return {minute: values[-1].close for minute, values in arrived.items() if values}


numbers = count()
offers = st.lists(
    st.tuples(
        st.dictionaries(
            st.integers(0, 4),
            st.builds(
                Values,
                close=st.sampled_from([1.0, 2.0]),
                oi=st.sampled_from([0, None]),
                kind=st.sampled_from([Kind.TRADED, Kind.CARRIED]),
            ),
        ),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=40)
@given(offers=offers)
def test_any_sequence_of_writes_ends_as_the_rule_requires(store: Store, offers: Any) -> None:
    key, model = f"KEY{next(numbers)}", Model()

    for turn, (values, second, final) in enumerate(offers):
        write = inserted if turn % 2 else merged
        written = write(store, [block(values, key)], came(second, final=final))
        assert written == model.offer(values, second, final=final)

    assert {
        minute: (row.close, row.kind, row.is_final, (row.fetched_at - AT).seconds)
        for minute, row in read(store, key).items()
    } == {
        minute: (values.close, values.kind, final, second)
        for minute, [*_, (values, final, second)] in model.versions.items()
    }
    with store.reading() as connection:
        corrected = revisions_on(connection, "1minute", OPENS, OPENS + 9, [key])
    assert [
        (minute_number(one.timestamp) - OPENS, one.revision, one.old.close, one.new.close)
        for one in corrected
    ] == [
        (minute, number, old.close, new.close)
        for minute, versions in sorted(model.versions.items())
        for number, ((old, *_), (new, *_)) in enumerate(pairwise(versions), 1)
    ]
    for second in range(-1, 7):
        as_of = AT + timedelta(seconds=second)
        assert closes(store, key, as_of) == model.known(second)
