"""Recorded minute bars of real days through the whole path, and their real holes by name.

A stand-in serves the files as the provider would: newest first, except where the file itself is
out of order. What the ledger must say is worked out from the files and from hours written here.
"""

import csv
import gzip
import io
import tarfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Event
from urllib.parse import unquote

import orjson
import pytest
from paced import file_pacer
from sqlalchemy import select

from data_fetch.core.candles.candles import CandleInterval, Kind
from data_fetch.core.candles.coverage import State
from data_fetch.core.candles.expectation import Expectation
from data_fetch.core.clock import IST, VirtualClock
from data_fetch.core.failures import FailureGroup
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.market.calendar import LocalOverride, MarketCalendar
from data_fetch.core.market.table import parse_override
from data_fetch.core.runs import Outcome
from data_fetch.core.world import World
from data_fetch.services.backfill import BackfillService
from data_fetch.services.backfill_report import BackfillReport
from data_fetch.services.missing_days import BackfillOrder
from data_fetch.sources.transport.retrying import RetryPolicy
from data_fetch.sources.upstox.api import UpstoxApi
from data_fetch.sources.upstox.candle_client import UpstoxCandleClient
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.token import TokenKeeper
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.candles.repository import CandleRepository
from data_fetch.storage.database.store import Store, open_store
from data_fetch.storage.database.tables import CandleRow

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 6, 1, 20, 0, tzinfo=IST)
ORDINARY = (("09:15", "15:30"),)

# 2016 is older than the reviewed calendar: these days are in a calendar override.
OLD_DAYS = [date(2016, 8, 16) + timedelta(days=n) for n in range(46)]
OLD_HOLIDAYS = {date(2016, 9, 5), date(2016, 9, 13)}

# Open, high, low, close, volume.
Bar = tuple[float, float, float, float, int]
Row = tuple[datetime, Bar]
# (from, until, cause); several of a day in order
Gaps = list[tuple[str, str, str]]


def stock(symbol: str) -> Instrument:
    return _instrument(f"NSE_EQ|{symbol}", symbol, "NSE_EQ", "EQ")


def index(symbol: str) -> Instrument:
    return _instrument(f"NSE_INDEX|{symbol}", symbol, "NSE_INDEX", "INDEX")


def _instrument(key: str, symbol: str, segment: str, kind: str) -> Instrument:
    return Instrument(
        instrument_key=key,
        live_key=key,
        symbol=symbol,
        segment=segment,
        instrument_type=kind,
        cas_eligible=segment == "NSE_EQ",
    )


def read_2025(file: Path) -> list[Row]:
    with gzip.open(file, "rt", encoding="utf-8") as text:
        return [
            (_at(row["date"], row["time"], "%d-%m-%Y %H:%M:%S"),
             _bar([row[name] for name in ("open", "high", "low", "close", "volume")]))
            for row in csv.DictReader(text)
        ]  # fmt: skip


def read_2021(file: Path) -> list[Row]:
    with gzip.open(file, "rt", encoding="utf-8") as text:
        return [(_at(row[1], row[2], "%Y%m%d %H:%M"), _bar(row[3:8])) for row in csv.reader(text)]


def read_2016(file: Path) -> dict[str, list[Row]]:
    """The files of an archive by symbol; their rows may be out of order."""
    found = {}
    with tarfile.open(file) as archive:
        for member in archive:
            body = archive.extractfile(member)
            if body is None:
                continue
            lines = csv.DictReader(io.TextIOWrapper(body, "utf-8"), skipinitialspace=True)
            found[member.name.removesuffix(".csv")] = [
                (_at(row["Date"][:10], row["Date"][11:19], "%Y-%m-%d %H:%M:%S"),
                 _bar([row[name] for name in ("Open", "High", "Low", "Close", "Volume")]))
                for row in lines
            ]  # fmt: skip
    return found


def _at(day: str, at: str, form: str) -> datetime:
    return datetime.combine(_day(day, form.split()[0]), time.fromisoformat(at), IST)


@cache
def _day(text: str, form: str) -> date:
    return datetime.strptime(text, form).date()  # noqa: DTZ007


def _bar(texts: Sequence[str]) -> Bar:
    opened, high, low, close = (float(text) for text in texts[:4])
    return opened, high, low, close, int(float(texts[4]))


class StandIn(BaseHTTPRequestHandler):
    """Speaks the wire format of the historical candle endpoint."""

    rows: dict[str, list[Row]]

    def do_GET(self) -> None:
        *_, key, unit, interval, to_date, from_date = unquote(self.path).split("/")
        assert (unit, interval) == ("minutes", "1")
        first, last = date.fromisoformat(from_date), date.fromisoformat(to_date)
        candles = [
            [at.isoformat(), *bar, 0]
            for at, bar in reversed(self.rows[key])
            if first <= at.date() <= last
        ]
        body = orjson.dumps({"status": "success", "data": {"candles": candles}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Discard it."""


@dataclass
class Desk:
    """A backfill at the stand-in, and what it left in the store."""

    store: Store
    service: BackfillService
    calendar: MarketCalendar
    clock: VirtualClock
    rows: dict[str, list[Row]]

    def fetch(self, instruments: Sequence[Instrument], first: date, last: date) -> BackfillReport:
        order = BackfillOrder(
            instruments=instruments, interval=CandleInterval.MINUTE, first=first, last=last
        )
        return self.service.run(self.service.plan(order))

    def gaps(self, instrument: Instrument, first: date, last: date) -> dict[date, Gaps]:
        """The days that the ledger expects and lacks."""
        key, interval = instrument.instrument_key, CandleInterval.MINUTE
        with self.store.reading() as connection:
            ledger = load_days(connection, [key], interval, first, last)
        expectation = Expectation(self.calendar, self.clock.now())
        found = {}
        for day in expectation.days(instrument, interval, first, last, ledger):
            gaps = [
                (_hhmm(one.first), _hhmm(one.end), str(one.state))
                for one in day.intervals
                if one.state is not State.PRESENT
            ]
            if gaps:
                found[day.day] = gaps
        return found

    def candles(self, instrument: Instrument) -> dict[datetime, Bar]:
        query = select(CandleRow).where(CandleRow.instrument_key == instrument.instrument_key)
        with self.store.reading() as connection:
            rows = connection.execute(query).all()
        assert {row.kind for row in rows} <= {Kind.TRADED.value}
        return {
            row.timestamp.astimezone(IST): (row.open, row.high, row.low, row.close, row.volume)
            for row in rows
        }


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    override = tmp_path / "calendar.toml"
    override.write_text("".join(_override_of(day) for day in OLD_DAYS))
    days = parse_override(override.read_text(), override.name)
    calendar = MarketCalendar.reviewed().with_amendments(LocalOverride(days))
    rows: dict[str, list[Row]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (StandIn,), {"rows": rows}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    clock = VirtualClock(NOW)
    hold = clock.hold()
    pacer = file_pacer(tmp_path, clock)
    api = UpstoxApi(
        world=World.LIVE,
        base_url=f"http://127.0.0.1:{server.server_port}",
        token=TokenKeeper("any", env_file=None, in_environment=False),
        pacing=pacer,
        clock=clock,
        timeout_seconds=30,
        policy=RetryPolicy(clock, random=Random(0)),
    )
    store = open_store(sqlite_url, World.LIVE)
    service = BackfillService(
        source=UpstoxCandleClient(api, clock),
        source_name="recorded",
        repository=CandleRepository(store),
        calendar=calendar,
        clock=clock,
        limits=UPSTOX_LIMITS,
        spending=pacer.spending,
        stop=Event(),
    )
    yield Desk(store, service, calendar, clock, rows)
    hold.release()
    store.close()
    server.shutdown()
    thread.join()
    server.server_close()


def _override_of(day: date) -> str:
    open_then = day.weekday() < 5 and day not in OLD_HOLIDAYS
    return f"[[day]]\ndate = {day}\nhours = {['09:15-15:30'] if open_then else []}\n"


def _hhmm(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, IST):%H:%M}"


def holes(rows: Sequence[Row], day: date, hours: Sequence[tuple[str, str]] = ORDINARY) -> Gaps:
    """The minutes of *hours* for which there is no row, as the ledger should name them."""
    there = {at for at, _ in rows}
    found: Gaps = []
    for opening, closing in hours:
        at = datetime.combine(day, time.fromisoformat(opening), IST)
        closes = datetime.combine(day, time.fromisoformat(closing), IST)
        while at < closes:
            if at not in there:
                begins = f"{at:%H:%M}"
                while at < closes and at not in there:
                    at += MINUTE
                found.append((begins, f"{at:%H:%M}", "source_empty"))
            at += MINUTE
    return found


def holes_by_day(
    rows: Sequence[Row], days: Sequence[date], special: dict[date, tuple[tuple[str, str], ...]]
) -> dict[date, Gaps]:
    found = {day: holes(rows, day, special.get(day, ORDINARY)) for day in days}
    return {day: gaps for day, gaps in found.items() if gaps}


def days_of(rows: Sequence[Row]) -> list[date]:
    return sorted({at.date() for at, _ in rows})


@pytest.mark.parametrize("symbol", ["RELIANCE", "ICICIBANK", "TCS"])
def test_a_saturday_session_that_the_source_lacks(
    desk: Desk, shared_data: Path, symbol: str
) -> None:
    rows = read_2025(shared_data / "candles_1min" / f"{symbol}_2025-01_to_04.csv.gz")
    instrument = stock(symbol)
    desk.rows[instrument.instrument_key] = rows
    first, last = days_of(rows)[0], days_of(rows)[-1]
    budget_day = date(2025, 2, 1)

    report = desk.fetch([instrument], first, last)

    assert (report.outcome, report.missed, report.inserted) == (Outcome.COMPLETED, 0, len(rows))
    expected = holes_by_day(rows, [*days_of(rows), budget_day], {})
    assert desk.gaps(instrument, first, last) == expected
    assert expected == {budget_day: [("09:15", "15:30", "source_empty")]}
    assert desk.candles(instrument) == dict(rows)
    assert desk.fetch([instrument], first, last).requests == 0


OUTAGE, MUHURAT = date(2021, 2, 24), date(2021, 11, 4)
SPECIAL = {
    OUTAGE: (("09:15", "11:40"), ("15:45", "17:00")),
    MUHURAT: (("18:15", "19:15"),),
}


@pytest.mark.parametrize(
    ("file", "symbol", "holes_besides"),
    [
        pytest.param(
            "NIFTY_2021-02.txt.gz",
            "NIFTY",
            {OUTAGE: [("09:15", "09:16"), ("10:09", "11:40"), ("15:45", "15:46")]},
            id="NIFTY and the outage of the exchange",
        ),
        pytest.param(
            "NIFTY_2021-11.txt.gz",
            "NIFTY",
            {date(2021, 11, 1): [("09:15", "09:16"), ("11:59", "12:03")],
             MUHURAT: [("18:15", "18:16")]},
            id="NIFTY and Muhurat",
        ),
        pytest.param(
            "BANKNIFTY_2021-11.txt.gz",
            "BANKNIFTY",
            {date(2021, 11, 1): [("09:15", "09:16"), ("11:59", "12:03")],
             MUHURAT: [("18:15", "18:16")]},
            id="BANKNIFTY and Muhurat",
        ),
    ],
)  # fmt: skip
def test_labels_at_the_end_of_a_bar_lack_the_first_minute_and_pass_the_last(
    desk: Desk,
    shared_data: Path,
    file: str,
    symbol: str,
    holes_besides: dict[date, list[tuple[str, str]]],
) -> None:
    rows = read_2021(shared_data / "candles_1min" / file)
    instrument = index(symbol)
    desk.rows[instrument.instrument_key] = rows
    first, last = days_of(rows)[0], days_of(rows)[-1]

    report = desk.fetch([instrument], first, last)

    given = desk.gaps(instrument, first, last)
    assert given == holes_by_day(rows, days_of(rows), SPECIAL)
    of_ordinary_days = [("09:15", "09:16", "source_empty")]
    named = {day: gaps for day, gaps in given.items() if gaps != of_ordinary_days}
    assert named == {
        day: [(begins, ends, "source_empty") for begins, ends in gaps]
        for day, gaps in holes_besides.items()
    }
    # The pre-open print, the label 15:30 and the rows after the close are rejected.
    inside = len(desk.candles(instrument))
    assert (report.outcome, report.outside) == (Outcome.COMPLETED, len(rows) - inside)


def test_rows_out_of_order_and_minutes_without_volume_are_no_gaps(
    desk: Desk, shared_data: Path
) -> None:
    files = read_2016(shared_data / "candles_1min" / "stocks_A_to_I_2016-08-16_to_09-09.tar.gz")
    disordered = {symbol: rows for symbol, rows in files.items() if [*rows] != sorted(rows)}
    assert disordered
    silent = {symbol: sum(bar[4] == 0 for _, bar in rows) for symbol, rows in files.items()}
    chosen = [*sorted(disordered, key=lambda symbol: -silent[symbol])[:4], "INDIAVIX"]
    instruments = [index(name) if name == "INDIAVIX" else stock(name) for name in chosen]
    for instrument in instruments:
        desk.rows[instrument.instrument_key] = files[instrument.symbol]
    first, last = date(2016, 8, 16), date(2016, 9, 9)
    traded = [day for day in OLD_DAYS if day <= last and day.weekday() < 5]
    traded = [day for day in traded if day not in OLD_HOLIDAYS]

    report = desk.fetch(instruments, first, last)

    assert (report.outcome, report.rejected_rows) == (Outcome.COMPLETED, Counter())
    for instrument in instruments:
        rows = files[instrument.symbol]
        assert desk.gaps(instrument, first, last) == holes_by_day(rows, traded, {})
        assert desk.candles(instrument) == dict(rows)
    assert sum(silent[symbol] for symbol in chosen) > 1000


def test_a_day_of_the_whole_market(desk: Desk, shared_data: Path) -> None:
    files = read_2016(shared_data / "candles_1min" / "universe_2016-09-30.tar.gz")
    names = [name for name, rows in files.items() if rows and rows[0][0].date() == OLD_DAYS[-1]]
    for name in names:
        desk.rows[stock(name).instrument_key] = files[name]
    day = OLD_DAYS[-1]

    report = desk.fetch([stock(name) for name in names], day, day)

    assert (len(names), report.outcome, report.requests) == (166, Outcome.COMPLETED, 166)
    given: defaultdict[str, dict[date, Gaps]] = defaultdict(dict)
    for name in names:
        given[name] = desk.gaps(stock(name), day, day)
        assert given[name] == holes_by_day(files[name], [day], {}), name
    quiet = desk.candles(stock("AJANTPHARM"))
    assert given["AJANTPHARM"] == {}
    assert (len(quiet), sum(bar[4] == 0 for bar in quiet.values())) == (375, 82)


def test_files_of_indices_that_stop_or_are_empty(desk: Desk, shared_data: Path) -> None:
    files = read_2016(shared_data / "candles_1min" / "universe_2016-09-30.tar.gz")
    day = date(2016, 9, 12)
    names = [name for name, rows in files.items() if not rows or rows[0][0].date() == day]
    assert len(names) == 13
    for name in names:
        desk.rows[index(name).instrument_key] = files[name]

    report = desk.fetch([index(name) for name in names], day, day)

    assert (report.outcome, report.failures[FailureGroup.EMPTY]) == (Outcome.COMPLETED, 1)
    for name in names:
        given = desk.gaps(index(name), day, day)
        if name == "NIFTYJUNIOR":
            assert given == {day: [("09:15", "15:30", "source_empty")]}
        else:
            assert given == holes_by_day(files[name], [day], {})
            assert given[day][-1] == ("13:42", "15:30", "source_empty")
