"""`data-fetch coverage`, `gaps` and `audit`: what they print, and how they end."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from data_fetch.cli.main import main
from data_fetch.core.candles.candles import CandleBlock, CandleInterval, Kind, Provenance
from data_fetch.core.candles.coverage import CoverageInterval, DayCoverage, Proof, State
from data_fetch.core.clock import IST, ScaledClock
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.session import midnight_number
from data_fetch.core.world import World
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.storage.candles.candles import begin_candle_writing, candles, insert_candles
from data_fetch.storage.candles.coverage import coverage_table, save_days
from data_fetch.storage.database.store import Store
from data_fetch.storage.instruments.instruments import save_master
from data_fetch.storage.runs import recent_runs

# A Wednesday on which stocks with options trade from 09:15 to 15:15, an hour and a quarter in.
TODAY = date(2026, 9, 16)
NOW = datetime(2026, 9, 16, 10, 30, tzinfo=IST)
MONDAY, TUESDAY, WEDNESDAY = date(2025, 6, 9), date(2025, 6, 10), date(2025, 6, 11)
AT = datetime(2025, 6, 12, 3, 30, tzinfo=UTC)
ANSWER = Proof("historical response", "1a2b3c4d", AT)
STILL = Proof("volume stood still between quotes", "5e6f7a8b", datetime(2025, 6, 9, 7, tzinfo=UTC))
RELIANCE = Instrument(
    instrument_key="NSE_EQ|INE002A01018",
    live_key="NSE_EQ|INE002A01018",
    symbol="RELIANCE",
    segment="NSE_EQ",
    instrument_type="EQ",
    name="RELIANCE INDUSTRIES LTD",
    isin="INE002A01018",
    cas_eligible=True,
)
TCS = replace(
    RELIANCE,
    instrument_key="NSE_EQ|INE467B01029",
    live_key="NSE_EQ|INE467B01029",
    symbol="TCS",
    name="TATA CONSULTANCY SERV LT",
    isin="INE467B01029",
)
FULL = [("09:15", "15:30", State.PRESENT)]
EMPTY_COUNTS = {
    "expected": 0,
    "present": 0,
    "no_trade": 0,
    "source_empty": 0,
    "unknown_instrument": 0,
    "missed": 0,
    "pending": 0,
    "not_expected": 0,
    "provisional": 0,
}


@dataclass(frozen=True)
class Ended:
    status: int
    printed: str
    noted: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.printed)
        return document

    @property
    def gaps(self) -> list[dict[str, Any]]:
        gaps: list[dict[str, Any]] = self.document["gaps"]
        return gaps


Run = Callable[..., Ended]
Piece = Sequence[Any]


@pytest.fixture(scope="module")
def exchange() -> Iterator[str]:
    """Gives the commands their time; it gets no other request."""
    with PaperExchange(ScaledClock(NOW, speed=1e-6), symbols=("RELIANCE",)) as running:
        yield running.url


@pytest.fixture
def run(
    exchange: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command in a folder of its own, on the paper market's time."""
    for name in ("UPSTOX_ACCESS_TOKEN", "FNO_SYMBOLS_FILE", "CALENDAR_OVERRIDE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("UPSTOX_BASE_URL", exchange)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    return command


@pytest.fixture
def held(store: Store) -> Store:
    """A store that knows two stocks and has no candles."""
    save_master(store, [RELIANCE, TCS], TODAY, NOW)
    return store


def minute(day: date, clock: str) -> int:
    hours, minutes = clock.split(":")
    return midnight_number(day) + 60 * int(hours) + int(minutes)


def a_day(
    day: date, pieces: Sequence[Piece], instrument: Instrument = RELIANCE, **facts: Any
) -> DayCoverage:
    """A day of the ledger: from, to, state and perhaps the proof of each piece."""
    return DayCoverage(
        instrument_key=instrument.instrument_key,
        interval=CandleInterval.MINUTE,
        day=day,
        intervals=tuple(
            CoverageInterval(minute(day, first), minute(day, end), *proof)
            for first, end, *proof in pieces
        ),
        **facts,
    )


def save(store: Store, *days: DayCoverage) -> None:
    with store.writing() as connection:
        save_days(connection, days, "run-1", AT)


def trade(
    store: Store,
    day: date,
    *spans: tuple[str, str],
    instrument: Instrument = RELIANCE,
    final: bool = True,
    kind: Kind = Kind.TRADED,
) -> None:
    """Store candles of the minutes in *spans*; only traded ones and auctions have a volume."""
    starts = [
        start for first, end in spans for start in range(minute(day, first), minute(day, end))
    ]
    prices, whole = [100.0] * len(starts), [10] * len(starts)
    block = CandleBlock(
        instrument_key=instrument.instrument_key,
        interval=CandleInterval.MINUTE,
        starts=starts,
        open=prices,
        high=prices,
        low=prices,
        close=prices,
        volume=[0] * len(starts) if kind is Kind.CARRIED else whole,
        oi=whole,
        kinds=[kind] * len(starts),
    )
    provenance = Provenance(source="paper", is_final=final, fetched_at=AT, run_id="run-1")
    with store.writing() as connection:
        begin_candle_writing(connection)
        insert_candles(connection, [block], provenance)


def gap(day: date, first: str, end: str, cause: str, **more: Any) -> dict[str, Any]:
    return {
        "symbol": "RELIANCE",
        "instrument_key": "NSE_EQ|INE002A01018",
        "interval": "1minute",
        "trading_date": day.isoformat(),
        "from": first,
        "to": end,
        "cause": cause,
        "proof": None,
        "attempts": 0,
        "next_attempt": None,
    } | more


def options(first: date, last: date, *more: str, symbols: str = "RELIANCE") -> list[str]:
    return ["--symbols", symbols, "--from", str(first), "--to", str(last), *more]


# --- gaps -------------------------------------------------------------------------------------


def mixed(store: Store) -> None:
    """Monday: lacking at the source and without trades; Tuesday unknown; Wednesday refused."""
    monday = [
        ("09:15", "10:00", State.PRESENT),
        ("10:00", "10:07", State.SOURCE_EMPTY, ANSWER),
        ("10:07", "12:00", State.PRESENT),
        ("12:00", "12:01", State.NO_TRADE, STILL),
        ("12:01", "15:30", State.PRESENT),
    ]
    wednesday = [("09:15", "15:25", State.PRESENT), ("15:25", "15:30", State.MISSED)]
    save(
        store,
        a_day(MONDAY, monday, attempts=1, confirmations=1, next_attempt=AT.replace(day=13)),
        a_day(
            WEDNESDAY,
            wednesday,
            attempts=2,
            last_error="quota",
            last_attempt=AT,
            next_attempt=AT.replace(hour=4),
        ),
    )


MIXED = [
    gap(
        MONDAY,
        "10:00",
        "10:07",
        "source_empty",
        proof="historical response, run 1a2b3c4d, 2025-06-12T09:00:00+05:30",
        attempts=1,
        next_attempt="2025-06-13T09:00:00+05:30",
    ),
    gap(
        MONDAY,
        "12:00",
        "12:01",
        "no_trade",
        proof="volume stood still between quotes, run 5e6f7a8b, 2025-06-09T12:30:00+05:30",
        attempts=1,
    ),
    gap(TUESDAY, "09:15", "15:30", "missed"),
    gap(
        WEDNESDAY,
        "15:25",
        "15:30",
        "missed",
        attempts=2,
        next_attempt="2025-06-12T10:00:00+05:30",
    ),
]


def test_every_gap_of_a_past_range(run: Run, held: Store) -> None:
    mixed(held)

    ended = run("gaps", *options(MONDAY, WEDNESDAY, "--json"))

    assert list(ended.document) == ["gaps", "before_first_bar", "provisional_sessions"]
    assert ended.gaps == MIXED
    assert [list(one) for one in ended.gaps] == [list(MIXED[0])] * 4
    assert ended.status == 3


def test_days_before_the_first_candle_are_named_and_no_gaps(run: Run, held: Store) -> None:
    unlisted = [("09:15", "15:30", State.NOT_EXPECTED, ANSWER)]
    requested = {"attempts": 1, "confirmations": 1, "last_attempt": AT}
    save(
        held,
        a_day(MONDAY, unlisted, **requested, next_attempt=AT.replace(day=14)),
        a_day(TUESDAY, unlisted, **requested, next_attempt=AT.replace(day=13)),
        a_day(WEDNESDAY, FULL),
    )

    ended = run("gaps", *options(MONDAY, WEDNESDAY))
    document = run("gaps", *options(MONDAY, WEDNESDAY, "--json")).document

    assert ended.status == 0
    assert ended.printed.splitlines() == [
        "RELIANCE     2025-06-09 to 2025-06-10: 2 whole days before the first bar; "
        "last requested 2025-06-12 09:00; next attempt 2025-06-13 09:00",
        "1 instrument, 2025-06-09 to 2025-06-11: no gaps.",
    ]
    assert document == {
        "gaps": [],
        "before_first_bar": [
            {
                "symbol": "RELIANCE",
                "instrument_key": "NSE_EQ|INE002A01018",
                "from": "2025-06-09",
                "to": "2025-06-10",
                "days": 2,
                "last_attempt": "2025-06-12T09:00:00+05:30",
                "next_attempt": "2025-06-13T09:00:00+05:30",
            }
        ],
        "provisional_sessions": [],
    }


@pytest.mark.parametrize(
    ("causes", "listed", "status"),
    [
        pytest.param(["--cause", "missed"], MIXED[2:], 3, id="one"),
        pytest.param(["--cause", "missed,no_trade"], MIXED[1:], 3, id="two by comma"),
        pytest.param(
            ["--cause", "no_trade", "--cause", "source_empty"], MIXED[:2], 3, id="two by repeating"
        ),
        pytest.param(["--cause", "pending"], [], 3, id="missed counts although it is not listed"),
    ],
)
def test_causes(
    run: Run, held: Store, causes: list[str], listed: list[dict[str, Any]], status: int
) -> None:
    mixed(held)

    ended = run("gaps", *options(MONDAY, WEDNESDAY, *causes, "--json"))

    assert ended.gaps == listed
    assert ended.status == status


def test_what_is_proved_is_no_reason_for_an_alarm(run: Run, held: Store) -> None:
    mixed(held)

    ended = run("gaps", *options(MONDAY, MONDAY, "--json"))

    assert ended.gaps == MIXED[:2]
    assert ended.status == 0


def test_a_running_day_has_missed_and_pending_minutes(run: Run, held: Store) -> None:
    ended = run("gaps", *options(TODAY, TODAY, "--json"))

    assert ended.gaps == [
        gap(TODAY, "09:15", "10:29", "missed"),
        gap(TODAY, "10:29", "15:15", "pending"),
    ]


def test_what_was_pending_is_missed_once_it_is_due(run: Run, held: Store) -> None:
    save(held, a_day(TODAY, [("09:15", "09:40", State.PRESENT), ("09:40", "15:15", State.PENDING)]))

    ended = run("gaps", *options(TODAY, TODAY, "--cause", "missed", "--json"))

    assert ended.gaps == [gap(TODAY, "09:40", "10:29", "missed")]


def test_neighbours_of_one_cause_are_one_gap_with_the_newest_proof(run: Run, held: Store) -> None:
    older = replace(ANSWER, run_id="0", at=AT.replace(day=11))
    pieces = [
        ("09:15", "10:00", State.SOURCE_EMPTY, older),
        ("10:00", "11:00", State.SOURCE_EMPTY, ANSWER),
        ("11:00", "12:00", State.SOURCE_EMPTY, older),
        ("12:00", "15:30", State.PRESENT),
    ]
    save(held, a_day(TUESDAY, pieces))

    (found,) = run("gaps", *options(TUESDAY, TUESDAY, "--json")).gaps

    assert (found["from"], found["to"]) == ("09:15", "12:00")
    assert "1a2b3c4d" in found["proof"]


def test_an_interrupted_day_that_is_wholly_missing_is_one_gap(run: Run, held: Store) -> None:
    outage = date(2021, 2, 24)

    ended = run("gaps", *options(outage, outage, "--json"))

    assert ended.gaps == [gap(outage, "09:15", "17:00", "missed")]
    first, total = run("gaps", *options(outage, outage)).printed.splitlines()
    assert "2021-02-24 09:15-17:00 (whole day)" in first
    assert total == "1 instrument, 2021-02-24 to 2021-02-24: 220 missed (minutes)."


def test_an_interrupted_day_has_a_gap_in_each_window(run: Run, held: Store) -> None:
    outage = date(2021, 2, 24)
    pieces = [
        ("09:15", "11:00", State.PRESENT),
        ("11:00", "11:40", State.MISSED),
        ("15:45", "17:00", State.MISSED),
    ]
    save(held, a_day(outage, pieces))

    ended = run("gaps", *options(outage, outage, "--json"))

    assert ended.gaps == [
        gap(outage, "11:00", "11:40", "missed"),
        gap(outage, "15:45", "17:00", "missed"),
    ]


def test_a_missing_day_candle_lacks_from_open_to_close(run: Run, held: Store) -> None:
    ended = run("gaps", *options(TUESDAY, TUESDAY, "--interval", "day", "--json"))

    assert ended.gaps == [gap(TUESDAY, "09:15", "15:30", "missed", interval="day")]


def test_nothing_is_lacking_when_the_exchange_is_closed(run: Run, held: Store) -> None:
    ended = run("gaps", *options(date(2025, 6, 7), date(2025, 6, 8), "--json"))

    assert ended.gaps == []
    assert ended.status == 0


def test_gaps_for_people(run: Run, held: Store) -> None:
    mixed(held)
    for day in (16, 17):
        lost = [("09:15", "15:30", State.SOURCE_EMPTY, ANSWER)]
        save(held, a_day(date(2025, 6, day), lost, attempts=1))

    ended = run("gaps", *options(MONDAY, date(2025, 6, 17)))

    assert ended.printed.splitlines() == [
        "RELIANCE     2025-06-09 10:00-10:07                 the source has none; historical "
        "response, 2025-06-12 09:00",
        "RELIANCE     2025-06-09 12:00-12:01                 no trade; volume stood still between "
        "quotes, 2025-06-09 12:30",
        "RELIANCE     2025-06-10 09:15-15:30 (whole day)     missed; never requested",
        "RELIANCE     2025-06-11 15:25-15:30                 missed; 2 attempts; quota",
        "RELIANCE     2025-06-12 to 2025-06-13: 2 whole days missed; never requested",
        "RELIANCE     2025-06-16 to 2025-06-17: 2 whole days the source has none; historical "
        "response, 2025-06-12 09:00",
        "1 instrument, 2025-06-09 to 2025-06-17: 1 no trade, 757 the source has none, "
        "1,130 missed (minutes).",
    ]
    assert "data-fetch backfill --symbols RELIANCE --from 2025-06-10 --to 2025-06-13" in ended.noted
    assert ended.status == 3


def test_a_day_that_is_there_parts_two_runs_of_whole_days(run: Run, held: Store) -> None:
    save(held, a_day(TUESDAY, FULL))

    printed = run("gaps", *options(MONDAY, date(2025, 6, 12))).printed

    assert "2025-06-09 09:15-15:30 (whole day)" in printed
    assert "2025-06-11 to 2025-06-12: 2 whole days" in printed


def test_pending_minutes_are_counted_and_listed_only_when_asked_for(run: Run, held: Store) -> None:
    plain = run("gaps", *options(TODAY, TODAY))
    arguments = run("gaps", *options(TODAY, TODAY, "--cause", "pending"))

    assert "10:29-15:15" not in plain.printed
    assert "74 missed, 286 pending (minutes)" in plain.printed
    assert "2026-09-16 10:29-15:15" in arguments.printed


def test_long_lists_are_cut(run: Run, held: Store) -> None:
    every_other = [
        (f"{hour}:{n:02}", f"{hour}:{n + 1:02}", State.MISSED if n % 2 else State.PRESENT)
        for hour in (10, 11)
        for n in range(59)
    ]
    pieces = [("09:15", "10:00", State.PRESENT), *every_other, ("11:59", "15:30", State.PRESENT)]
    pieces.insert(60, ("10:59", "11:00", State.PRESENT))
    save(held, a_day(TUESDAY, pieces))

    printed = run("gaps", *options(TUESDAY, TUESDAY)).printed

    assert len(printed.splitlines()) == 42
    assert "and 18 more" in printed


# --- coverage ---------------------------------------------------------------------------------


def counts(state: str, **more: int) -> dict[str, Any]:
    return {"state": state, **EMPTY_COUNTS, **more}


def test_the_grid(run: Run, held: Store) -> None:
    mixed(held)
    save(held, *(a_day(day, FULL, TCS) for day in (MONDAY, TUESDAY, WEDNESDAY)))

    ended = run("coverage", *options(MONDAY, WEDNESDAY, "--json", symbols="RELIANCE,TCS"))

    full = counts("present", expected=375, present=375)
    monday = counts("source_empty", expected=375, present=367, no_trade=1, source_empty=7)
    days = {
        "RELIANCE": [
            {"date": "2025-06-09", **monday},
            {"date": "2025-06-10", **counts("missed", expected=375, missed=375)},
            {"date": "2025-06-11", **counts("missed", expected=375, present=370, missed=5)},
        ],
        "TCS": [{"date": f"2025-06-{day:02}", **full} for day in (9, 10, 11)],
    }
    assert ended.document == {
        "interval": "1minute",
        "from": "2025-06-09",
        "to": "2025-06-11",
        "instruments": [
            {
                "symbol": symbol,
                "instrument_key": key,
                "days": [{**day, "instrument_key": key} for day in days[symbol]],
            }
            for symbol, key in [
                ("RELIANCE", "NSE_EQ|INE002A01018"),
                ("TCS", "NSE_EQ|INE467B01029"),
            ]
        ],
        "provisional_sessions": [],
        "totals": {
            **EMPTY_COUNTS,
            "expected": 2250,
            "present": 1862,
            "no_trade": 1,
            "source_empty": 7,
            "missed": 380,
            "days": {
                "present": 3,
                "missed": 2,
                "source_empty": 1,
                "unknown_instrument": 0,
                "pending": 0,
                "not_expected": 0,
            },
        },
    }
    assert ended.status == 3


@pytest.mark.parametrize(
    ("pieces", "state", "mark"),
    [
        pytest.param({"15:30": State.PRESENT}, "present", ".", id="full"),
        pytest.param(
            {"10:00": State.PRESENT, "15:30": State.NO_TRADE}, "present", ".", id="no trade"
        ),
        pytest.param(
            {"10:00": State.NO_TRADE, "15:30": State.SOURCE_EMPTY},
            "source_empty",
            "o",
            id="the source's gap",
        ),
        pytest.param(
            {"10:00": State.SOURCE_EMPTY, "15:30": State.MISSED}, "missed", "X", id="missed"
        ),
        pytest.param({"15:30": State.NOT_EXPECTED}, "not_expected", "-", id="not expected"),
    ],
)
def test_the_state_of_a_day(
    run: Run, held: Store, pieces: Mapping[str, State], state: str, mark: str
) -> None:
    begins = ["09:15", *pieces][:-1]
    save(
        held,
        a_day(
            TUESDAY,
            [(first, *piece) for first, piece in zip(begins, pieces.items(), strict=True)],
        ),
    )

    arguments = options(TUESDAY, TUESDAY)

    document = run("coverage", *arguments, "--json").document
    assert document["instruments"][0]["days"][0]["state"] == state
    assert f"RELIANCE      {mark}\n" in run("coverage", *arguments).printed


def test_a_day_to_come_is_pending(run: Run, held: Store) -> None:
    save(held, a_day(TODAY, [("09:15", "10:29", State.PRESENT), ("10:29", "15:15", State.PENDING)]))

    ended = run("coverage", *options(TODAY, TODAY, "--json"))

    assert ended.document["totals"]["days"]["pending"] == 1
    assert ended.status == 0


def test_rows_that_time_has_changed_are_counted_as_of_now(run: Run, held: Store) -> None:
    save(held, a_day(TODAY, [("09:15", "10:00", State.PRESENT), ("10:00", "15:15", State.PENDING)]))

    (day,) = run("coverage", *options(TODAY, TODAY, "--json")).document["instruments"][0]["days"]

    assert (day["present"], day["missed"], day["pending"]) == (45, 29, 286)


def test_rows_that_the_calendar_has_changed_are_counted_as_of_now(run: Run, held: Store) -> None:
    save(held, a_day(TUESDAY, [("09:15", "15:20", State.PRESENT)]))

    (day,) = run("coverage", *options(TUESDAY, TUESDAY, "--json")).document["instruments"][0][
        "days"
    ]

    assert (day["present"], day["missed"]) == (365, 10)


def test_settled_rows_are_answered_from_their_counts(run: Run, held: Store) -> None:
    mixed(held)
    arguments = ["coverage", *options(MONDAY, WEDNESDAY, "--json")]
    before = run(*arguments).document
    with held.writing() as connection:
        connection.execute(update(coverage_table).values(stretches=["unreadable"]))

    assert run(*arguments).document == before


def test_provisional_minutes_are_present_and_counted(run: Run, held: Store) -> None:
    provisional = ((minute(TUESDAY, "15:00"), minute(TUESDAY, "15:30")),)
    save(held, a_day(TUESDAY, FULL, provisional=provisional))

    totals = run("coverage", *options(TUESDAY, TUESDAY, "--json")).document["totals"]

    assert (totals["present"], totals["provisional"]) == (375, 30)


def test_the_grid_for_people(run: Run, held: Store) -> None:
    mixed(held)
    save(held, *(a_day(day, FULL, TCS) for day in (MONDAY, TUESDAY, WEDNESDAY)))

    ended = run("coverage", *options(date(2025, 5, 29), WEDNESDAY, symbols="RELIANCE,TCS"))

    assert ended.printed.splitlines() == [
        "                Jun",
        "              2300000011",
        "              9023456901",
        "RELIANCE      XXXXXXXoXX",
        "TCS           XXXXXXX...",
        "",
        ". complete   X missed   o the source lacks some   ~ pending   - nothing expected",
        "2025-05-29 to 2025-06-11: 7,500 minutes expected, 1,862 present (24.83 %), 1 no trade, "
        "7 not at the source, 5,630 missed.",
        "Instrument-days: 3 present, 16 missed, 1 source empty.",
    ]
    assert "data-fetch gaps --symbols RELIANCE,TCS --from 2025-05-29 --to 2025-06-11" in ended.noted
    assert (
        "data-fetch backfill --symbols RELIANCE,TCS --from 2025-05-29 --to 2025-06-11"
        in ended.noted
    )


def test_wide_ranges_wrap(run: Run, held: Store) -> None:
    ended = run("coverage", *options(date(2025, 1, 1), date(2025, 6, 30)))

    rows = [line for line in ended.printed.splitlines() if line.startswith("RELIANCE")]
    assert [len(row) for row in rows] == [80, 14 + 123 - 66]
    assert max(len(line) for line in ended.printed.splitlines()[:-2]) == 80
    assert "--from" in ended.noted


# --- audit ------------------------------------------------------------------------------------


def difference(**more: Any) -> dict[str, Any]:
    return {
        "symbol": "RELIANCE",
        "instrument_key": "NSE_EQ|INE002A01018",
        "interval": "1minute",
        "trading_date": "2025-06-10",
        "ledger_present": 375,
        "candles_present": 375,
        "only_in_ledger": [],
        "only_in_candles": [],
    } | more


SHORT = [
    ("09:15", "10:00", State.PRESENT),
    ("10:00", "10:07", State.SOURCE_EMPTY, ANSWER),
    ("10:07", "15:30", State.PRESENT),
]


@pytest.mark.parametrize(
    ("pieces", "traded", "differs"),
    [
        pytest.param(FULL, [("09:15", "15:30")], {}, id="full"),
        pytest.param(SHORT, [("09:15", "10:00"), ("10:07", "15:30")], {}, id="short"),
        pytest.param([], [], {}, id="neither candles nor a row"),
        pytest.param(
            FULL,
            [("09:15", "10:00"), ("10:07", "15:30")],
            {"candles_present": 368, "only_in_ledger": [["10:00", "10:07"]]},
            id="candles are gone",
        ),
        pytest.param(
            SHORT,
            [("09:15", "15:30")],
            {"ledger_present": 368, "only_in_candles": [["10:00", "10:07"]]},
            id="candles the ledger does not know",
        ),
        pytest.param(
            SHORT,
            [("09:15", "11:00"), ("11:07", "15:30")],
            {
                "ledger_present": 368,
                "candles_present": 368,
                "only_in_ledger": [["11:00", "11:07"]],
                "only_in_candles": [["10:00", "10:07"]],
            },
            id="as many, but others",
        ),
        pytest.param(
            [],
            [("09:15", "09:20")],
            {
                "ledger_present": 0,
                "candles_present": 5,
                "only_in_candles": [["09:15", "09:20"]],
            },
            id="no row",
        ),
        pytest.param(
            FULL,
            [],
            {"candles_present": 0, "only_in_ledger": [["09:15", "15:30"]]},
            id="a whole day is gone",
        ),
    ],
)
def test_recount(
    run: Run,
    held: Store,
    pieces: Sequence[Piece],
    traded: list[tuple[str, str]],
    differs: dict[str, Any],
) -> None:
    if pieces:
        save(held, a_day(TUESDAY, pieces, attempts=1, confirmations=1, last_attempt=AT))
    if traded:
        trade(held, TUESDAY, *traded)
    arguments = ["audit", *options(TUESDAY, TUESDAY, "--json")]
    stored = sum(minute(TUESDAY, end) - minute(TUESDAY, first) for first, end in traded)

    ended = run(*arguments)

    document = ended.document
    assert document["checked_days"] == 1
    assert document["candles"] == stored
    assert document["differences"] == ([difference(**differs)] if differs else [])
    assert document["counts"] == ({"minutes": 1} if differs else {})
    assert [one["finding"] for one in document["findings"]] == list(document["counts"])
    assert (document["repaired_days"], document["deleted_candles"]) == (0, 0)
    assert ended.status == (3 if differs else 0)

    repaired = run(*arguments, "--repair")
    assert repaired.document["repaired_days"] == (1 if differs else 0)
    assert repaired.status == 0
    assert run(*arguments).document["differences"] == []
    assert run(*arguments, "--repair").document["repaired_days"] == 0


def test_rows_after_continuous_trading_are_not_counted(run: Run, held: Store) -> None:
    day = date(2026, 9, 15)
    save(held, a_day(day, [("09:15", "15:15", State.PRESENT)]))
    trade(held, day, ("09:15", "15:15"))
    trade(held, day, ("15:28", "15:29"), kind=Kind.AUCTION)

    ended = run("audit", *options(day, day, "--json"))

    assert ended.document["candles"] == 360
    assert ended.status == 0


def test_both_windows_of_an_interrupted_day_are_counted(run: Run, held: Store) -> None:
    outage = date(2021, 2, 24)
    windows = [("09:15", "11:40"), ("15:45", "17:00")]
    save(held, a_day(outage, [(*window, State.PRESENT) for window in windows]))
    trade(held, outage, *windows)

    ended = run("audit", *options(outage, outage, "--json"))

    assert (ended.document["candles"], ended.status) == (220, 0)


def test_a_repair_leaves_what_was_proved_and_asks_for_the_rest_at_once(
    run: Run, held: Store
) -> None:
    save(held, a_day(TUESDAY, SHORT, attempts=1, confirmations=1, next_attempt=NOW.replace(day=30)))
    trade(held, TUESDAY, ("09:15", "10:00"), ("10:07", "15:00"))

    run("audit", *options(TUESDAY, TUESDAY, "--repair"))

    proof = "historical response, run 1a2b3c4d, 2025-06-12T09:00:00+05:30"
    assert run("gaps", *options(TUESDAY, TUESDAY, "--json")).gaps == [
        gap(TUESDAY, "10:00", "10:07", "source_empty", attempts=1, proof=proof),
        gap(TUESDAY, "15:00", "15:30", "missed", attempts=1),
    ]
    assert [(one.job, one.stored) for one in recent_runs(held)] == [("audit", 1)]


def test_a_repair_takes_provisional_candles_for_what_they_are(run: Run, held: Store) -> None:
    trade(held, TUESDAY, ("09:15", "10:00"))
    trade(held, TUESDAY, ("10:00", "15:30"), final=False)

    run("audit", *options(TUESDAY, TUESDAY, "--repair"))

    totals = run("coverage", *options(TUESDAY, TUESDAY, "--json")).document["totals"]
    assert (totals["present"], totals["provisional"]) == (375, 330)


def test_only_the_repaired_days_are_written(run: Run, held: Store) -> None:
    for day in (MONDAY, TUESDAY):
        save(held, a_day(day, FULL), a_day(day, FULL, TCS))
        trade(held, day, ("09:15", "15:30"))
        trade(held, day, ("09:15", "15:30"), instrument=TCS)
    with held.writing() as connection:
        connection.execute(
            delete(candles).where(
                candles.c.instrument_key == TCS.instrument_key,
                candles.c.timestamp >= datetime(2025, 6, 10, tzinfo=IST),
            )
        )
    arguments = options(MONDAY, TUESDAY, symbols="RELIANCE,TCS")

    assert run("audit", *arguments, "--repair", "--json").document["repaired_days"] == 1
    states = run("coverage", *arguments, "--json").document["totals"]["days"]
    assert (states["present"], states["missed"]) == (3, 1)


def test_an_audit_for_people(run: Run, held: Store) -> None:
    save(held, a_day(MONDAY, FULL), a_day(TUESDAY, FULL))
    trade(held, MONDAY, ("09:15", "15:30"))
    trade(held, TUESDAY, ("09:15", "10:00"), ("10:07", "15:30"))
    arguments = ["audit", *options(MONDAY, TUESDAY)]

    ended = run(*arguments)

    assert ended.printed.splitlines() == [
        "RELIANCE     2025-06-10  ledger 375, candles 368; only in the ledger 10:00-10:07",
        "2 instrument-days, 2025-06-09 to 2025-06-10: 743 candles recounted, "
        "the ledger differs on 1 day.",
    ]
    assert "data-fetch audit --repair" in ended.noted
    fetching = "data-fetch backfill --symbols RELIANCE --from 2025-06-09 --to 2025-06-10"
    assert fetching in run(*arguments, "--repair").noted
    assert "the ledger agrees" in run(*arguments).printed


def edited_by_hand(store: Store) -> None:
    """Monday's counts are falsified, Tuesday's kinds; there is a row on a Sunday."""
    save(store, a_day(MONDAY, FULL), a_day(TUESDAY, FULL))
    trade(store, MONDAY, ("09:15", "15:30"))
    trade(store, TUESDAY, ("09:15", "10:00"), ("10:10", "15:30"))
    trade(store, TUESDAY, ("10:00", "10:10"), kind=Kind.CARRIED)
    trade(store, date(2025, 6, 8), ("10:00", "10:01"))
    with store.writing() as connection:
        of_monday = coverage_table.c.trading_date == MONDAY
        connection.execute(update(coverage_table).where(of_monday).values(present=368, missed=7))


def test_each_finding_is_named_with_its_count_and_samples(run: Run, held: Store) -> None:
    edited_by_hand(held)
    arguments = ["audit", *options(date(2025, 6, 8), TUESDAY, "--json")]

    ended = run(*arguments)

    whose = {
        "symbol": "RELIANCE",
        "instrument_key": "NSE_EQ|INE002A01018",
        "interval": "1minute",
    }
    assert ended.document["counts"] == {"counts": 1, "kinds": 1, "outside_sessions": 1}
    assert ended.document["findings"] == [
        {
            "finding": "outside_sessions",
            **whose,
            "trading_date": "2025-06-08",
            "count": 1,
            "samples": ["10:00"],
        },
        {
            "finding": "counts",
            **whose,
            "trading_date": "2025-06-09",
            "count": 2,
            "samples": ["present 368 for 375", "missed 7 for 0"],
        },
        {
            "finding": "kinds",
            **whose,
            "trading_date": "2025-06-10",
            "count": 10,
            "samples": [f"10:0{n} carried instead of traded" for n in range(3)],
        },
    ]
    assert ended.document["differences"] == []
    assert ended.status == 3

    repaired = run(*arguments, "--repair")
    assert (repaired.document["repaired_days"], repaired.document["deleted_candles"]) == (2, 1)
    assert repaired.status == 0
    assert run(*arguments).document["findings"] == []
    assert run(*arguments).status == 0


def test_findings_for_people(run: Run, held: Store) -> None:
    edited_by_hand(held)
    arguments = ["audit", *options(date(2025, 6, 8), TUESDAY)]

    ended = run(*arguments)

    assert ended.printed.splitlines() == [
        "RELIANCE     2025-06-08  candles outside of every session: 10:00",
        "RELIANCE     2025-06-09  the ledger's count columns contradict its minutes: "
        "present 368 for 375; missed 7 for 0",
        "RELIANCE     2025-06-10  candles of a kind that their session does not have: "
        "10:00 carried instead of traded; 10:01 carried instead of traded; "
        "10:02 carried instead of traded and more (10 in all)",
        "2 instrument-days, 2025-06-08 to 2025-06-10: 750 candles recounted, "
        "days with other findings: counts 1, kinds 1, outside_sessions 1.",
    ]
    assert "data-fetch audit --repair" in ended.noted
    assert "Deleted 1 candle outside of every session." in run(*arguments, "--repair").noted


# --- what they share --------------------------------------------------------------------------

COMMANDS = ["coverage", "gaps", "audit"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_store_says_what_to_do(run: Run, command: str) -> None:
    ended = run(command)

    assert "data-fetch backfill" in ended.noted
    assert ended.status == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_symbol_is_named_with_near_ones(run: Run, held: Store, command: str) -> None:
    ended = run(command, "--symbols", "RELIANCE,RELAINCE", "--json")

    assert "RELAINCE" in ended.noted
    assert "Near: RELIANCE" in ended.noted
    assert (ended.printed, ended.status) == ("", 2)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(options(TUESDAY, MONDAY), "2025-06-10 is later than 2025-06-09", id="order"),
        pytest.param(["--from", "2026-09-17"], "2026-09-17 is later than 2026-09-16", id="to come"),
        pytest.param(["--from", "10-06-2025"], "10-06-2025", id="no date"),
        pytest.param(["--interval", "5minute"], "5minute", id="interval"),
    ],
)
def test_wrong_use_is_told_in_words(
    run: Run, held: Store, command: str, arguments: list[str], message: str
) -> None:
    ended = run(command, *arguments)

    assert message in ended.noted
    assert ended.status == 2


def test_an_unknown_cause_is_told_with_the_known_ones(run: Run, held: Store) -> None:
    ended = run("gaps", "--cause", "lost")

    assert "missed" in ended.noted
    assert ended.status == 2


def test_without_dates_the_last_sixty_days_are_meant(run: Run, held: Store) -> None:
    document = run("coverage", "--json").document

    assert (document["from"], document["to"]) == ("2026-07-19", "2026-09-16")
    assert {row["symbol"] for row in document["instruments"]} == {"RELIANCE", "TCS"}


def test_a_store_of_the_other_world_is_not_read(
    run: Run, held: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert held.world is World.PAPER
    monkeypatch.setenv("DATA_SOURCE", "upstox")

    assert run("gaps").status == 2


@pytest.mark.parametrize("command", ["gaps", "coverage", "audit"])
def test_an_empty_list_of_symbols_does_not_mean_all(run: Run, held: Store, command: str) -> None:
    assert run(command, "--symbols", "").status == 2


# --- after the reviewed calendar --------------------------------------------------------------


def test_days_after_the_reviewed_calendar_have_answers_and_are_marked(
    run: Run, held: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    eve, new_year, monday = date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 4)
    now = datetime(2027, 1, 4, 10, 30, tzinfo=IST)
    with PaperExchange(ScaledClock(now, speed=1e-6), symbols=("RELIANCE",)) as running:
        monkeypatch.setenv("UPSTOX_BASE_URL", running.url)
        marked = [str(new_year), str(monday)]
        words = "2 sessions from 2027-01-01 to 2027-01-04: provisional"
        one = options(eve, monday)

        for command, status in (("gaps", 3), ("coverage", 3), ("backfill", 0)):
            plan = ("--plan",) if command == "backfill" else ()
            told = run(command, *plan, *one, "--json")
            assert (told.status, told.document["provisional_sessions"]) == (status, marked)
            assert words in run(command, *plan, *one).noted

        exported = run(
            "candles", "export", "RELIANCE", *options(eve, monday)[2:], "--format", "csv"
        )
        assert exported.status == 3
        assert words in exported.noted
