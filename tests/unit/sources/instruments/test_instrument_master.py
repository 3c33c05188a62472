"""Where the instrument master comes from, and what happens when it cannot be had."""

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import MasterUnavailable, SettingsInvalid
from data_fetch.core.world import World
from data_fetch.sources.instruments.master import InstrumentMaster, master_day, read_instruments

FRIDAY = datetime(2026, 8, 14, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def stock(number: int) -> dict[str, Any]:
    isin = f"INE{number:09d}"
    return {
        "segment": "NSE_EQ",
        "name": f"COMPANY {number}",
        "isin": isin,
        "instrument_type": "EQ",
        "instrument_key": f"NSE_EQ|{isin}",
        "trading_symbol": f"STOCK{number}",
        "lot_size": 1,
        "tick_size": 5.0,
    }


def future(expiry: datetime) -> dict[str, Any]:
    return {
        "segment": "NSE_FO",
        "name": "COMPANY 0",
        "instrument_type": "FUT",
        "instrument_key": "NSE_FO|1",
        "trading_symbol": "STOCK0 FUT",
        "underlying_key": "NSE_EQ|INE000000000",
        "underlying_symbol": "STOCK0",
        "expiry": int(expiry.timestamp() * 1000),
        "strike_price": 0.0,
    }


def packed(rows: object) -> bytes:
    return gzip.compress(json.dumps(rows).encode())


GOOD = packed([stock(number) for number in range(20)])
BETTER = packed([stock(number) for number in range(21)])


class Provider(ThreadingHTTPServer):
    """A web server that answers every request with *status* and *content*, and counts."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.content, self.headers = 200, GOOD, dict[str, str]()
        self.requested: list[str] = []
        super().__init__(("127.0.0.1", 0), Response)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/NSE.json.gz"


class Response(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        self.send_response(self.server.status)
        headers = {"Content-Length": str(len(self.server.content))} | self.server.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def master(location: str, folder: Path, now: datetime = FRIDAY) -> InstrumentMaster:
    return InstrumentMaster(location, folder / "kept", VirtualClock(now), World.LIVE)


def symbols(path: Path) -> int:
    return sum(1 for _ in read_instruments(path))


def test_it_is_fetched_once_a_day_and_kept_by_date(provider: Provider, tmp_path: Path) -> None:
    first = master(provider.url, tmp_path).today()
    again = master(provider.url, tmp_path).today()

    assert first == again
    assert provider.requested == ["/NSE.json.gz"]
    assert first.path == tmp_path / "kept" / "NSE_2026-08-14.json.gz"
    assert first.path.read_bytes() == GOOD
    assert (first.as_of, first.warning, first.instruments) == (date(2026, 8, 14), None, 20)


def test_the_next_day_it_is_fetched_again(provider: Provider, tmp_path: Path) -> None:
    master(provider.url, tmp_path).today()
    provider.content = BETTER

    found = master(provider.url, tmp_path, FRIDAY + DAY).today()

    assert found.as_of == date(2026, 8, 15)
    assert found.instruments == 21


def test_a_file_with_the_content_of_the_day_before_is_not_read_through_again(
    provider: Provider, tmp_path: Path
) -> None:
    first = master(provider.url, tmp_path).today()
    same = master(provider.url, tmp_path, FRIDAY + DAY).today()
    provider.content = BETTER
    other = master(provider.url, tmp_path, FRIDAY + 2 * DAY).today()

    assert [found.parsed is not None for found in (first, same, other)] == [True, False, True]
    assert [found.instruments for found in (first, same, other)] == [20, 20, 21]
    assert len(list(same.rows())) == 20
    assert same.as_of == first.as_of + DAY


@pytest.mark.parametrize(
    ("now", "day"),
    [
        pytest.param("2026-08-14T00:59+00:00", date(2026, 8, 13), id="06:29 in India: not built"),
        pytest.param("2026-08-14T01:00+00:00", date(2026, 8, 14), id="06:30 in India"),
        pytest.param("2026-08-14T18:29+00:00", date(2026, 8, 14), id="one minute to midnight"),
        pytest.param("2026-08-14T18:30+00:00", date(2026, 8, 14), id="midnight in India"),
    ],
)
def test_a_masters_day_begins_when_it_has_been_built(now: str, day: date) -> None:
    assert master_day(datetime.fromisoformat(now)) == day


def test_another_address_does_not_get_the_file_of_the_first(
    provider: Provider, tmp_path: Path
) -> None:
    master(provider.url, tmp_path).today()
    provider.content = BETTER

    found = master(provider.url.replace("NSE", "other"), tmp_path).today()

    assert found.instruments == 21


@pytest.mark.parametrize(
    ("status", "content", "given"),
    [
        pytest.param(404, b"", "returned 404", id="not found"),
        pytest.param(403, b"<html>Access Denied</html>", "returned 403", id="denied"),
        pytest.param(503, b"", "returned 503", id="out of order"),
        pytest.param(200, b"", "it is empty", id="empty"),
        pytest.param(200, b"<html></html>", "begins with b'<html>", id="a web page"),
        pytest.param(200, GOOD[:100], "not a complete", id="truncated"),
        pytest.param(200, GOOD[:-3], "not a complete", id="its last bytes lost"),
        pytest.param(200, gzip.compress(b"{{{"), "not a complete", id="no JSON"),
        pytest.param(200, packed({"status": "error"}), "no instrument", id="not a list"),
        pytest.param(200, packed([]), "no instrument", id="an empty list"),
        pytest.param(200, packed([{"segment": "BSE_EQ"}]), "no instrument", id="the BSE's file"),
        pytest.param(200, packed([stock(1)] * 9), "where there were 20", id="suspiciously small"),
    ],
)
def test_without_todays_the_newest_good_one_is_used_with_a_warning(
    provider: Provider, tmp_path: Path, status: int, content: bytes, given: str
) -> None:
    master(provider.url, tmp_path).today()
    provider.status, provider.content = status, content

    found = master(provider.url, tmp_path, FRIDAY + DAY).today()

    assert found.as_of == date(2026, 8, 14)
    assert found.path.read_bytes() == GOOD
    assert found.warning is not None
    assert given in found.warning
    assert "the master of 2026-08-14 is used instead" in found.warning


def test_a_server_that_goes_away_half_way_is_survived(provider: Provider, tmp_path: Path) -> None:
    master(provider.url, tmp_path).today()
    provider.headers = {"Content-Length": str(len(GOOD) + 1), "Connection": "close"}

    found = master(provider.url, tmp_path, FRIDAY + DAY).today()

    assert "cannot be downloaded" in str(found.warning)


def test_a_server_that_does_not_respond_is_survived(provider: Provider, tmp_path: Path) -> None:
    master(provider.url, tmp_path).today()

    found = master("http://127.0.0.1:1/NSE.json.gz", tmp_path).today()

    assert "http://127.0.0.1:1/NSE.json.gz cannot be downloaded" in str(found.warning)


def test_when_it_is_to_be_had_again_it_is_fetched(provider: Provider, tmp_path: Path) -> None:
    master(provider.url, tmp_path).today()
    provider.status = 500
    master(provider.url, tmp_path, FRIDAY + DAY).today()
    provider.status = 200

    found = master(provider.url, tmp_path, FRIDAY + DAY).today()

    assert (found.as_of, found.warning) == (date(2026, 8, 15), None)


def test_with_neither_todays_nor_an_older_one_it_has_a_hint(
    provider: Provider, tmp_path: Path
) -> None:
    provider.status = 404

    with pytest.raises(MasterUnavailable, match=r"returned 404.*UPSTOX_INSTRUMENTS_URL"):
        master(provider.url, tmp_path).today()

    assert list((tmp_path / "kept").iterdir()) == []


def test_a_file_copied_by_hand_is_used_once_it_has_been_read_through(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "NSE_2026-08-12.json.gz").write_bytes(GOOD)
    (kept / "NSE_2026-08-13.json.gz").write_bytes(GOOD[:50])
    (kept / "NSE_latest.json.gz").write_bytes(BETTER)

    found = master("http://127.0.0.1:1/", tmp_path).today()

    assert found.as_of == date(2026, 8, 12)


def test_a_kept_file_that_was_damaged_is_fetched_again(provider: Provider, tmp_path: Path) -> None:
    path = master(provider.url, tmp_path).today().path
    path.write_bytes(GOOD[:50])

    assert symbols(master(provider.url, tmp_path).today().path) == 20


def test_an_old_master_is_a_warning_and_not_a_refusal(provider: Provider, tmp_path: Path) -> None:
    provider.content = packed([stock(0), future(FRIDAY - 5 * DAY), future(FRIDAY + DAY)])

    found = master(provider.url, tmp_path).today()

    assert found.warning == "the master is old: a future in it expired on 2026-08-09"
    assert found.as_of == date(2026, 8, 9)


@pytest.mark.parametrize(
    ("expired", "as_of"),
    [
        pytest.param(0 * DAY, date(2026, 8, 14), id="expires today"),
        pytest.param(4 * DAY, date(2026, 8, 10), id="expired before a long weekend"),
    ],
)
def test_a_master_that_is_as_fresh_as_can_be_brings_no_warning(
    provider: Provider, tmp_path: Path, expired: timedelta, as_of: date
) -> None:
    provider.content = packed([stock(0), future(FRIDAY - expired)])

    found = master(provider.url, tmp_path).today()

    assert (found.warning, found.as_of) == (None, as_of)


def test_malformed_rows_are_counted_and_reported(provider: Provider, tmp_path: Path) -> None:
    provider.content = packed([stock(0), stock(1) | {"lot_size": -1}, 7])

    found = master(provider.url, tmp_path).today()

    assert (found.instruments, found.rejected) == (1, 2)
    assert found.warning == "malformed rows of the master that were rejected: 2"


def test_a_bounded_number_is_kept(provider: Provider, tmp_path: Path) -> None:
    for days in range(12):
        master(provider.url, tmp_path, FRIDAY + days * DAY).today()

    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(kept) == 14
    assert kept[0] == "NSE_2026-08-19.findings.json"
    assert kept[-1] == "NSE_2026-08-25.json.gz"


def test_on_a_clock_set_back_the_fresh_file_survives_the_tidying(
    provider: Provider, tmp_path: Path
) -> None:
    for days in range(12):
        master(provider.url, tmp_path, FRIDAY + days * DAY).today()

    assert master(provider.url, tmp_path, FRIDAY).today().path.exists()


@pytest.mark.parametrize("style", ["{}", "file://{}"])
def test_it_may_be_a_file_of_this_machine(tmp_path: Path, style: str) -> None:
    file = tmp_path / "NSE.json.gz"
    file.write_bytes(GOOD)

    found = master(style.format(file), tmp_path).today()

    assert (found.instruments, found.warning) == (20, None)


def test_a_relative_path_is_looked_up_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "NSE.json.gz").write_bytes(GOOD)
    monkeypatch.chdir(tmp_path)

    assert master("NSE.json.gz", tmp_path).today().instruments == 20


def test_a_file_that_changed_is_read_again_the_same_day(tmp_path: Path) -> None:
    file = tmp_path / "NSE.json.gz"
    file.write_bytes(GOOD)
    master(str(file), tmp_path).today()
    file.write_bytes(BETTER)

    assert master(str(file), tmp_path).today().instruments == 21


def test_a_file_that_went_away_is_replaced_by_the_kept_copy(tmp_path: Path) -> None:
    file = tmp_path / "NSE.json.gz"
    file.write_bytes(GOOD)
    master(str(file), tmp_path).today()
    file.unlink()

    found = master(str(file), tmp_path).today()

    assert found.instruments == 20
    assert "NSE.json.gz cannot be read (No such file or directory)" in str(found.warning)


@pytest.mark.parametrize(
    ("content", "given"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(GOOD[:60], "not a complete gzipped JSON list", id="truncated"),
        pytest.param(b"symbol,isin\n", "not a gzip file", id="not gzip"),
    ],
)
def test_a_bad_file_and_nothing_kept_is_a_clear_error(
    tmp_path: Path, content: bytes | None, given: str
) -> None:
    file = tmp_path / "NSE.json.gz"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(MasterUnavailable, match=given):
        master(str(file), tmp_path).today()


@pytest.mark.parametrize("address", ["ftp://host/NSE.json.gz", "http://", "http://[::1"])
def test_an_address_of_another_kind_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="UPSTOX_INSTRUMENTS_URL"):
        master(address, tmp_path)


def test_credentials_in_the_address_are_not_reported(tmp_path: Path) -> None:
    with pytest.raises(MasterUnavailable) as failed:
        master("http://me:hunter2@127.0.0.1:1/f.gz?sig=hunter2", tmp_path).today()

    assert "http://127.0.0.1:1/f.gz" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_folder_that_cannot_be_written_to_is_reported(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file is in the way")

    with pytest.raises(MasterUnavailable, match="cannot be written to"):
        master(provider.url, tmp_path).today()


def test_asking_nothing_does_nothing(tmp_path: Path) -> None:
    master("http://127.0.0.1:1/NSE.json.gz", tmp_path)

    assert list(tmp_path.iterdir()) == []
