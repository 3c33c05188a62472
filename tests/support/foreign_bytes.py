"""The parsers of bytes that others wrote, what each reads, and ways to damage it.

`test_foreign_bytes` gives them bytes that are damaged by chance; `fuzz_foreign_bytes` (`make fuzz`)
looks for those that reach new code.
"""

import gzip
import re
import tarfile
from asyncio import run
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from account_shelf import SECRET
from starlette.types import Message
from upstox_client.feeder.proto import MarketDataFeedV3_pb2 as pb
from upstox_rows import NIFTY_KEY, contract, row

from data_fetch.archive.feed_recordings import read_recordings, write_minute
from data_fetch.archive.manifest_file import read_manifest
from data_fetch.archive.parquet_files import read_checked, write_table_file
from data_fetch.archive.raw_responses import RawResponseStore, StoredResponse
from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.accounts.accounts import Account, Role
from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.clock import VirtualClock
from data_fetch.core.env_file import read_env_file
from data_fetch.core.errors import DataFetchError, OutsideError
from data_fetch.core.feed.recorder import RecordedMessage
from data_fetch.core.feed.ticks import TickBook
from data_fetch.core.market.table import parse_override
from data_fetch.core.pacing import RateRules
from data_fetch.core.world import World
from data_fetch.paper_exchange.feed.commands import BadCommand, parse_command
from data_fetch.reading.instants import date_of, instant
from data_fetch.services.access_tokens import AccessTokens
from data_fetch.serving.bodies import with_whole_body
from data_fetch.serving.cursors import cursor_after, position_of
from data_fetch.serving.parameters import symbols_named
from data_fetch.serving.problems import Refusal
from data_fetch.serving.streams.requests import Rejected, room_request, sent_event
from data_fetch.sources.calendar_files import read_calendar
from data_fetch.sources.captured_chains import TableSubject, documents_in, read_document
from data_fetch.sources.instruments.master import inspect, recall
from data_fetch.sources.instruments.symbols_file import read_symbols_file
from data_fetch.sources.nse.chain_client import read_nse_response
from data_fetch.sources.nse.chain_rows import read_nse_expiries
from data_fetch.sources.nse.holidays import read_holidays
from data_fetch.sources.nse.site import read_site_response
from data_fetch.sources.paper_clock import read_paper_clock
from data_fetch.sources.transport.file_windows import FileWindows
from data_fetch.sources.transport.jwt import token_claims
from data_fetch.sources.transport.refused_keys import RefusedKeys
from data_fetch.sources.transport.retry_after import retry_after
from data_fetch.sources.upstox.candle_rows import read_candles
from data_fetch.sources.upstox.chain_client import read_upstox_response
from data_fetch.sources.upstox.chain_rows import read_upstox_contracts
from data_fetch.sources.upstox.feed_messages import read_message, refusal_in
from data_fetch.sources.upstox.limits import UPSTOX_LIMITS
from data_fetch.sources.upstox.login_redirect import RedirectAnswer
from data_fetch.sources.upstox.ltp_rows import read_quotes
from data_fetch.sources.upstox.market_info import read_holiday, read_open_hours
from data_fetch.sources.upstox.ohlc_rows import read_ohlc_rows
from data_fetch.sources.upstox.responses import read_response
from data_fetch.storage.backups.files import digests_in, record_beside, record_of
from data_fetch.storage.database.engine import engine_for
from data_fetch.storage.database.migrations import upgrade
from data_fetch.storage.database.progress import no_progress

ACCOUNT = "a1b2"
NOW = datetime(2026, 9, 16, 4, 0, tzinfo=UTC)
DAY = NOW.date()
KEY, OTHER_KEY = "NSE_EQ|INE002A01018", "NSE_EQ|INE467B01029"
CHAIN_SCHEMA = ARCHIVE_SCHEMAS["chain_summary"]

Read = Callable[[bytes, Path], object]
Seeds = Callable[[Path], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Parser:
    """*read* takes bytes and a folder for itself, and returns or raises one of *refusals*; each of
    *seeds*, whose argument is the folder of captured data, is read without an error."""

    read: Read
    seeds: Seeds
    refusals: tuple[type[Exception], ...] = (DataFetchError,)


def response(body: bytes, status: int = 200) -> RawResponse:
    return RawResponse(received_at=NOW, status=status, body=body)


def _file(body: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


def _of(*documents: Any) -> Seeds:
    return lambda _: [each if isinstance(each, bytes) else orjson.dumps(each) for each in documents]


def _data(data: Any) -> Mapping[str, Any]:
    return {"status": "success", "data": data}


def _captured(name: str, *rows_at: str) -> Seeds:
    """The start of a captured body: its first rows stand for all of them."""

    def seeds(shared_data: Path) -> Sequence[bytes]:
        content = (shared_data / name).read_bytes()
        document = orjson.loads(gzip.decompress(content) if name.endswith(".gz") else content)
        rows = document
        for member in rows_at:
            rows = rows[member]
        del rows[4:]
        if "filtered" in document:
            del document["filtered"]["data"][2:]
        return [orjson.dumps(document)]

    return seeds


def _content(name: str, most: int = 4_000) -> Seeds:
    return lambda shared_data: [(shared_data / name).read_bytes()[:most].rpartition(b"\n")[0]]


# The provider, and NSE's website.


def _ltp(body: bytes, _: Path) -> object:
    return read_quotes(read_response(response(body), dict).data, [KEY, OTHER_KEY])


def _ohlc(body: bytes, _: Path) -> object:
    return read_ohlc_rows(read_response(response(body), dict).data, [KEY, OTHER_KEY], NOW)


def _candles(interval: CandleInterval) -> Read:
    def read(body: bytes, _: Path) -> object:
        return read_candles(
            read_response(response(body), dict),
            instrument_key=KEY,
            interval=interval,
            first_day=date(2024, 6, 1),
            last_day=date(2024, 6, 30),
            received_at=NOW,
        )

    return read


def _upstox_chain(body: bytes, _: Path) -> object:
    return read_upstox_response(response(body), "NIFTY", date(2024, 6, 27), NIFTY_KEY)


def _upstox_contracts(body: bytes, _: Path) -> object:
    return read_upstox_contracts(read_response(response(body), list).data)


def _upstox_holidays(body: bytes, _: Path) -> object:
    return [read_holiday(each) for each in read_response(response(body), list).data]


def _upstox_timings(body: bytes, _: Path) -> object:
    return read_open_hours(read_response(response(body), list).data, DAY)


def _refused(status: int) -> Read:
    def read(body: bytes, _: Path) -> object:
        try:
            return read_response(response(body, status), dict)
        except OutsideError as refusal:
            return refusal

    return read


def _feed_message(body: bytes, _: Path) -> object:
    book = TickBook()
    book.request({KEY, OTHER_KEY})
    return read_message(body, NOW, book)


def _feed_messages(_: Path) -> Sequence[bytes]:
    now_ms = int(NOW.timestamp() * 1000)
    trade = pb.LTPC(ltp=100.5, ltt=now_ms, ltq=5, cp=99.0)
    full = pb.MarketFullFeed(
        ltpc=trade,
        marketLevel=pb.MarketLevel(bidAskQuote=[pb.Quote(bidQ=1, bidP=100.0, askQ=2, askP=101.0)]),
        optionGreeks=pb.OptionGreeks(delta=0.5, theta=-3.0),
        marketOHLC=pb.MarketOHLC(
            ohlc=[pb.OHLC(interval="I1", open=1, high=2, low=1, close=2, vol=7, ts=now_ms)]
        ),
        vtt=1000,
        oi=750.0,
        iv=0.14,
    )
    entries = {
        KEY: pb.Feed(ltpc=trade),
        OTHER_KEY: pb.Feed(fullFeed=pb.FullFeed(marketFF=full), requestMode=1),
    }
    status = pb.MarketInfo(segmentStatus={"NSE_EQ": 2})
    return [
        pb.FeedResponse(type=1, feeds=entries, currentTs=now_ms).SerializeToString(),
        pb.FeedResponse(type=2, marketInfo=status, currentTs=now_ms).SerializeToString(),
    ]


def _recording(body: bytes, folder: Path) -> object:
    return list(read_recordings([_file(body, folder, "0915.parquet")]))


def _recorded_minute(folder: Path) -> bytes:
    messages = [RecordedMessage(NOW, each) for each in (b"a message", "a text")]
    return write_minute(folder, NOW, [messages]).read_bytes()


def _nse_chain(body: bytes, _: Path) -> object:
    return read_nse_response(response(body), "RELIANCE", date(2025, 7, 31))


def _nse_expiries(body: bytes, _: Path) -> object:
    return read_nse_expiries(read_site_response(response(body)))


def _nse_holidays(body: bytes, _: Path) -> object:
    return read_holidays(read_site_response(response(body)), NOW)


def _retry_after(body: bytes, _: Path) -> object:
    return retry_after({"Retry-After": body.decode("latin-1")}, NOW)


def _master(body: bytes, folder: Path) -> object:
    return inspect(_file(gzip.compress(body, 1), folder, "master.json.gz"), "there", "")


def _packed_master(body: bytes, folder: Path) -> object:
    return inspect(_file(body, folder, "master.json.gz"), "there", "")


def _master_rows(shared_data: Path) -> Sequence[bytes]:
    content = gzip.decompress((shared_data / "cases" / "master_base.json.gz").read_bytes())
    rows = orjson.loads(content)
    kinds = {each.get("instrument_type"): each for each in rows}
    return [orjson.dumps(list(kinds.values()))]


# Files of this machine: written by users, by us, or in the place of ours.


def _captured_file(name: str) -> Read:
    def read(body: bytes, folder: Path) -> object:
        subject = TableSubject("NIFTY", DAY)
        found = []
        for each in documents_in(_file(body, folder, name)):
            try:
                found.append(read_document(each, subject))
            except DataFetchError as problem:
                found.append(problem)
        return found

    return read


def _archive_of(of: Seeds) -> Seeds:
    def seeds(shared_data: Path) -> Sequence[bytes]:
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for number, each in enumerate(of(shared_data)):
                member = tarfile.TarInfo(f"{number}.json")
                member.size = len(each)
                archive.addfile(member, BytesIO(each))
        return [packed.getvalue()]

    return seeds


def _gzipped(of: Seeds) -> Seeds:
    return lambda shared_data: [gzip.compress(each, 1) for each in of(shared_data)]


def _from_file(name: str, read: Callable[[Path], object]) -> Read:
    return lambda body, folder: read(_file(body, folder, name))


def _findings(body: bytes, folder: Path) -> object:
    _file(body, folder, "NSE_2026-09-16.findings.json")
    return recall(_file(b"", folder, "NSE_2026-09-16.json.gz"))


def _override(body: bytes, _: Path) -> object:
    return parse_override(body.decode("utf-8", "replace"), "override")


def _refused_keys(body: bytes, folder: Path) -> object:
    return RefusedKeys(VirtualClock(NOW), _file(body, folder, "refused.json")).sort([KEY])


def _backup_record(body: bytes, folder: Path) -> object:
    file = _file(b"", folder, "store.db")
    record_beside(file).write_bytes(body)
    return record_of(file)


RECORD = {
    "format": "db",
    "world": "paper",
    "revision": "0001",
    "store": "sqlite:///data/paper.db",
    "taken_at": "2026-09-16T18:15:00+00:00",
    "version": "1.0",
    "size_bytes": 0,
    "sha256": sha256(b"").hexdigest(),
    "timescaledb": None,
    "tables": {"ltp_data": {"rows": 2, "digest": "ab"}},
    "archive_files": ["options_processed/ltp_data/20260916/day-1.parquet"],
    "store_id": "1f2e",
}


def _raw_responses(body: bytes, folder: Path) -> object:
    day = folder / DAY.isoformat()
    day.mkdir(exist_ok=True)
    (day / "upstox.jsonl.gz").write_bytes(body)
    return list(RawResponseStore(folder, keep_days=1).raw_responses(DAY, DAY))


def _stored_responses(folder: Path) -> bytes:
    store = RawResponseStore(folder, keep_days=1)
    for number in range(3):
        stored = response(orjson.dumps(_data([row(22650.0 + 50 * (number // 2))])))
        store.append([StoredResponse("upstox", "NIFTY", DAY, stored)])
    return (folder / DAY.isoformat() / "upstox.jsonl.gz").read_bytes()


def _made(write: Callable[[Path], bytes]) -> Seeds:
    """What the program itself writes: it is changed by what can write to its folder."""

    def seeds(_: Path) -> Sequence[bytes]:
        with TemporaryDirectory() as folder:
            return [write(Path(folder))]

    return seeds


def _parquet(body: bytes, folder: Path) -> object:
    with read_checked(_file(body, folder, "day.parquet"), CHAIN_SCHEMA) as file:
        return file.read()


def _parquet_file(folder: Path) -> bytes:
    rows = CHAIN_SCHEMA.arrow.empty_table().to_batches(1000)
    path = folder / "day.parquet"
    write_table_file(path, CHAIN_SCHEMA, rows, world=World.PAPER, trading_date=DAY)
    return path.read_bytes()


def _spending(folder: Path) -> object:
    with closing(FileWindows(folder, VirtualClock(NOW))) as windows:
        return windows.ledger(ACCOUNT, RateRules(UPSTOX_LIMITS)).spending()


def _windows(body: bytes, folder: Path) -> object:
    _file(body, folder, f"pacing-{ACCOUNT}.sqlite3")
    return _spending(folder)


def _new_windows(folder: Path) -> bytes:
    with closing(FileWindows(folder, VirtualClock(NOW))) as windows:
        windows.ledger(ACCOUNT, RateRules(UPSTOX_LIMITS)).pause("ltp", timedelta(seconds=5))
        file = windows.file_of(ACCOUNT)
    return file.read_bytes()


def _sqlite_backup(body: bytes, folder: Path) -> object:
    return digests_in(_file(body, folder, "store.db"), no_progress)


def _new_store(folder: Path) -> bytes:
    engine = engine_for(f"sqlite:///{folder / 'store.db'}")
    upgrade(engine)
    engine.dispose()
    return (folder / "store.db").read_bytes()


# Readers and clients of the servers.


def _body(body: bytes, _: Path) -> object:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = {b"content-length": b"%d" % len(body), b"content-type": b"application/json"}
    return run(with_whole_body(headers, receive))


def _subscription(body: bytes, _: Path) -> object:
    event, data = sent_event(body.decode("utf-8", "replace"))
    return event, room_request(data)


def _token(body: bytes, _: Path) -> object:
    return AccessTokens(SECRET).read(body.decode("latin-1"))


def _text(read: Callable[[str], object]) -> Read:
    return lambda body, _: read(body.decode("utf-8", "replace"))


def _issued() -> bytes:
    account = Account(
        account_id="1",
        email="a@example.com",
        name="A",
        role=Role.USER,
        created_at=NOW,
        disabled_at=None,
        generation=1,
    )
    return AccessTokens(SECRET).issue(account, NOW, timedelta(days=3650)).encode()


QUOTE = {
    "last_price": 1412.95,
    "instrument_token": KEY,
    "ltq": 5,
    "volume": 8_300_101,
    "cp": 1405.1,
}
BAR = {"open": 1410.0, "high": 1413.5, "low": 1409.0, "close": 1412.95, "volume": 8301}
MINUTE = {"prev_ohlc": {**BAR, "ts": 1789531140000}, "instrument_token": KEY}
HOURS = {"exchange": "NSE", "start_time": 1789530300000, "end_time": 1789552800000}
HOLIDAY = {
    "date": "2026-09-16",
    "description": "Muhurat",
    "holiday_type": "SPECIAL_TIMING",
    "closed_exchanges": ["BSE"],
    "open_exchanges": [HOURS],
}
REFUSAL = {
    "status": "error",
    "errors": [{"errorCode": "UDAPI100050", "message": "Invalid token", "propertyPath": None}],
}
MANIFEST = {
    "format": 1,
    "world": "paper",
    "store_id": "1f2e",
    "sequence": 3,
    "files": [
        {
            "table": "chain_summary",
            "trading_date": "2026-09-16",
            "kind": "part",
            "path": "options_processed/chain_summary/20260916/part-1.parquet",
            "rows": 5,
            "size_bytes": 100,
            "sha256": "ab",
            "schema_version": 1,
            "window": "2026-09-16T03:45:00+00:00",
            "sources": "cd",
        }
    ],
    "retired": [
        {
            "path": "options_processed/chain_summary/20260916/part-0.parquet",
            "since": "2026-09-16T04:00:00+00:00",
        }
    ],
}
CALENDAR = {
    "years": [2026],
    "refreshed_at": "2026-09-16T03:00:00+00:00",
    "days": [
        {
            "date": "2026-11-08",
            "segment": "cash",
            "windows": ["18:15-19:15"],
            "note": "Muhurat",
            "in": "list",
            "since": "2026-09-16T03:00:00+00:00",
        }
    ],
}
REFUSED = {KEY: {"count": 2, "refused_at": NOW.isoformat(), "answered_at": None}}
OVERRIDE = b"""[[day]]
date = 2026-11-08
hours = ["18:15-19:15"]
note = "Muhurat, by circular"
"""
FINDINGS = {
    "place": "there",
    "edition": "1",
    "size": 0,
    "instruments": 9,
    "rejected": 0,
    "nearest_future": "2026-09-29",
}
ENVIRONMENT = b"# Settings\nLOG_LEVEL=INFO\nexport DATA_SOURCE='paper'\nJWT_SECRET=\"a b\"\n"
CLAIMS = b"eyJzdWIiOiJBQjEyMzQiLCJleHAiOjE3ODk1MzEyMDB9"
NSE_CHAIN = "nse_option_chain_old/RELIANCE_2025-07-17.json.gz"
UPSTOX_CHAIN = "upstox/responses/v2_option_chain_NIFTY_exp2024-06-27_captured2024-06-24.json.gz"
PAGE = "nse_api_misc/old_endpoint_404_body_2026-07.html"
UPSTOX_CANDLES = "upstox/responses/v2_historical_candle_1minute_2024-06-10.json"
upstox_chain = _captured(UPSTOX_CHAIN, "data")
nse_chain = _captured(NSE_CHAIN, "records", "data")
upstox_candles = _captured(UPSTOX_CANDLES, "data", "candles")

PARSERS = {
    "Upstox: last prices": Parser(_ltp, _of(_data({"NSE_EQ:RELIANCE": QUOTE}))),
    "Upstox: current minutes": Parser(_ohlc, _of(_data({"NSE_EQ:RELIANCE": MINUTE}))),
    "Upstox: minute candles": Parser(_candles(CandleInterval.MINUTE), upstox_candles),
    "Upstox: daily candles": Parser(_candles(CandleInterval.DAY), upstox_candles),
    "Upstox: option chain": Parser(_upstox_chain, upstox_chain),
    "Upstox: option contracts": Parser(_upstox_contracts, _of(_data([contract()]))),
    "Upstox: holidays": Parser(_upstox_holidays, _of(_data([HOLIDAY]))),
    "Upstox: timings of a day": Parser(_upstox_timings, _of(_data([HOURS]))),
    "Upstox: a refusal": Parser(_refused(401), _of(_data({}), REFUSAL)),
    "Upstox: a page": Parser(_refused(403), _content(PAGE)),
    "Upstox: instrument master": Parser(_master, _master_rows),
    "Upstox: packed instrument master": Parser(_packed_master, _gzipped(_master_rows)),
    "Upstox: a message of the feed": Parser(_feed_message, _feed_messages),
    "Upstox: a text of the feed": Parser(
        _text(refusal_in), _of({"status": "failed", "method": "sub", "error": "too many keys"})
    ),
    "a recording of the feed": Parser(_recording, _made(_recorded_minute)),
    "NSE: option chain": Parser(_nse_chain, nse_chain),
    "NSE: expiries": Parser(
        _nse_expiries, _of({"expiryDates": ["31-Jul-2025"], "strikePrice": ["1400.00"]})
    ),
    "NSE: holidays": Parser(
        _nse_holidays, _captured("holidays/nse_holiday_master_api_2025.json", "FO")
    ),
    "Retry-After": Parser(_retry_after, _of(b"17", b"1.5", b"Wed, 16 Sep 2026 04:00:30 GMT")),
    "paper exchange: its clock": Parser(
        lambda body, _: read_paper_clock(body, "http://127.0.0.1:1"),
        _of({"now": "2026-09-16T09:15:50+05:30", "speed": 1.0}),
    ),
    "paper exchange: a command of its feed": Parser(
        lambda body, _: parse_command(body),
        _of({"guid": "1", "method": "sub", "data": {"mode": "full", "instrumentKeys": ["A|B"]}}),
        (BadCommand,),
    ),
    "the token's claims": Parser(
        _text(token_claims), _of(b"eyJhbGciOiJIUzI1NiJ9." + CLAIMS + b".c2lnbmF0dXJl")
    ),
    "login: a redirect": Parser(_text(RedirectAnswer.of), _of(b"/callback?code=a1B2c3&state=xyz")),
    "captured chains": Parser(_captured_file("chains.json"), upstox_chain),
    "captured chains, one a line": Parser(
        _captured_file("chains.jsonl"), lambda data: [b"\n".join([*nse_chain(data)] * 2)]
    ),
    "captured chains, packed": Parser(_captured_file("chains.json.gz"), _gzipped(upstox_chain)),
    "captured chains, an archive": Parser(_captured_file("chains.tar"), _archive_of(nse_chain)),
    "a table of NSE's page": Parser(
        _captured_file("chain.csv"), _content("cases/nse_download_option_chain.csv")
    ),
    "symbols": Parser(_from_file("symbols.txt", read_symbols_file), _content("cases/symbols.txt")),
    "calendar": Parser(_from_file("calendar.json", read_calendar), _of(CALENDAR)),
    "calendar override": Parser(_override, _of(OVERRIDE)),
    ".env": Parser(_from_file(".env", read_env_file), _of(ENVIRONMENT)),
    "refused keys": Parser(_refused_keys, _of(REFUSED)),
    "findings beside a master": Parser(_findings, _of(FINDINGS)),
    "pacing ledger": Parser(_windows, _made(_new_windows)),
    "raw responses": Parser(_raw_responses, _made(_stored_responses)),
    "manifest": Parser(_from_file("manifest.json", read_manifest), _of(MANIFEST)),
    "Parquet file": Parser(_parquet, _made(_parquet_file), (DataFetchError, OSError)),
    "record of a backup": Parser(_backup_record, _of(RECORD)),
    "SQLite backup": Parser(_sqlite_backup, _made(_new_store)),
    "HTTP: a body": Parser(_body, _of({"email": "a@example.com", "password": "x"}), (Refusal,)),
    "HTTP: a cursor": Parser(
        _text(lambda text: position_of(text, "/candles?symbol=TCS")),
        lambda _: [cursor_after(["2026-09-16", 3], "/candles?symbol=TCS").encode()],
        (Refusal,),
    ),
    "HTTP: symbols": Parser(_text(symbols_named), _of(b"RELIANCE,M&M"), (Refusal,)),
    "HTTP: a date": Parser(_text(date_of), _of(b"2026-09-16", b"16-Sep-2026")),
    "HTTP: an instant": Parser(_text(instant), _of(b"2026-09-16T09:15:00+05:30")),
    "WebSocket: a subscription": Parser(
        _subscription,
        _of({"event": "subscribe", "data": {"type": "chain", "symbol": "NIFTY", "since": 3}}),
        (Rejected,),
    ),
    "access token": Parser(_token, _of(_issued())),
}

# In the place of a number, a text, a word or a bracket.
ODD = [
    *(b"NaN", b"-Infinity", b"1e400", b"-1", b"0", b"1e-400", b"0.1", b"9223372036854775808"),
    *(b"9" * 5_000, b"null", b"true", b'""', b"[]", b"{}", b'"NaN"', b'"1_000"', b'"2026-02-30"'),
    *(b'"0001-01-01T00:00:00+05:30"', b'"\\ud800"', b'"\\u0000"', b"\xff\xfe", b"\x00"),
    *(b"[" * 3_000, b'{"a":' * 3_000, b'"' + b"x" * 70_000 + b'"', "\u0663".encode(), b"../../x"),
]
TOKEN = re.compile(rb'"[^"]{0,200}"|-?\d+(?:\.\d+)?|[A-Za-z]+|[\[\]{}:,=]')
LONGEST_PIECE = 50_000
PIECES = re.compile(rb"[^,\n]+[,\n]?")


def damaged(body: bytes, chance: Random) -> bytes:
    """*body* after one to three damages."""
    for _ in range(chance.randint(1, 3)):
        body = chance.choice(DAMAGES)(body, chance)
    return body


def _retyped(body: bytes, chance: Random) -> bytes:
    tokens = list(TOKEN.finditer(body))
    if not tokens:
        return chance.choice(ODD)
    begin, end = chance.choice(tokens).span()
    return body[:begin] + chance.choice(ODD) + body[end:]


def _piece_twice_or_gone(body: bytes, chance: Random) -> bytes:
    pieces = list(PIECES.finditer(body))
    if not pieces:
        return body
    begin, end = chance.choice(pieces).span()
    often = chance.choice((0, 2, 50))
    return body[:begin] + (body[begin:end] * often)[:LONGEST_PIECE] + body[end:]


def _truncated(body: bytes, chance: Random) -> bytes:
    return body[: chance.randint(0, len(body))]


def _other_byte(body: bytes, chance: Random) -> bytes:
    place = chance.randint(0, max(0, len(body) - 1))
    return body[:place] + bytes([chance.randint(0, 255)]) + body[place + 1 :]


def _zeroed(body: bytes, chance: Random) -> bytes:
    place = chance.randint(0, len(body))
    return body[:place] + bytes(len(body[place : place + 64])) + body[place + 64 :]


DAMAGES = (_retyped, _retyped, _piece_twice_or_gone, _truncated, _other_byte, _zeroed)
