"""Each fault of the paper exchange does on the wire what its name says."""

import gzip
import json
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import isnan
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import orjson
import pytest
import urllib3
from checkout import CHECKOUT
from paper_exchange_desk import SYMBOLS, StandingClock, Visitor

from data_fetch.core.errors import SetupError
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults.faults import KINDS, Fault, load_faults, read_faults

NIFTY = "NSE_INDEX|Nifty 50"
CHAIN = f"/v2/option/chain?instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-22"
MASTER = "/market-quote/instruments/exchange/NSE.json.gz"


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    clock = StandingClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield Visitor(exchange, clock)


def ltp(visitor: Visitor) -> str:
    return visitor.ltp_path(visitor.key("TCS"), visitor.key("RELIANCE"))


@pytest.mark.parametrize(
    ("fault", "status", "headers", "shows"),
    [
        pytest.param({"kind": "rate-limited"}, 429, {}, "UDAPI10005", id="429"),
        pytest.param(
            {"kind": "rate-limited", "retry_after": 7},
            429,
            {"Retry-After": "7"},
            "UDAPI10005",
            id="429 with Retry-After",
        ),
        pytest.param({"kind": "rate-limited-in-200"}, 200, {}, "UDAPI10005", id="429 in a 200"),
        pytest.param({"kind": "error-in-200"}, 200, {}, '"status":"error"', id="error in a 200"),
        pytest.param(
            {"kind": "cloudflare-403"},
            403,
            {"Content-Type": "text/html"},
            "Error 1010",
            id="Cloudflare",
        ),
        pytest.param({"kind": "server-error"}, 500, {}, "UDAPI100500", id="500"),
        pytest.param(
            {"kind": "maintenance", "retry_after": 9}, 503, {"Retry-After": "9"}, "error", id="503"
        ),
        pytest.param(
            {"kind": "html-in-200"}, 200, {"Content-Type": "text/html"}, "<html", id="HTML"
        ),
        pytest.param({"kind": "token-expired"}, 401, {}, "UDAPI100050", id="401"),
        pytest.param({"kind": "unknown-key"}, 400, {}, "UDAPI1087", id="unknown key"),
    ],
)
def test_answers_instead_of_the_exchanges(
    visitor: Visitor, fault: dict[str, Any], status: int, headers: dict[str, str], shows: str
) -> None:
    visitor.order(**fault, api="ltp", times=1)

    answer = visitor.ask(ltp(visitor))

    assert (answer.status, shows in answer.data.decode()) == (status, True)
    assert {name: answer.headers[name] for name in headers} == headers
    assert ("Retry-After" in answer.headers) == ("retry_after" in fault)
    assert visitor.ask(ltp(visitor)).status == 200


def test_a_connection_is_reset_before_the_answer(visitor: Visitor) -> None:
    visitor.order(kind="reset", api="ltp", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        visitor.ask(ltp(visitor), retries=False)


def test_a_connection_is_cut_in_the_middle_of_a_body(visitor: Visitor) -> None:
    visitor.order(kind="cut-mid-body", api="ltp", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        visitor.ask(ltp(visitor), retries=False)


def test_a_slow_body_stops_halfway(visitor: Visitor) -> None:
    visitor.order(kind="slow-body", seconds=5, times=1)
    impatient = urllib3.Timeout(connect=2, read=0.1)

    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        visitor.ask(ltp(visitor), retries=False, timeout=impatient)

    visitor.order(kind="slow-body", seconds=0.05, times=1)
    assert len(visitor.data(ltp(visitor))) == 2


def test_json_ends_early_in_a_whole_answer(visitor: Visitor) -> None:
    visitor.order(kind="truncated-json", api="ltp")
    answer = visitor.ask(ltp(visitor))

    assert int(answer.headers["Content-Length"]) == len(answer.data)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.data)


def test_partial_success(visitor: Visitor) -> None:
    visitor.order(kind="partial-success", api="ltp")
    told = orjson.loads(visitor.ask(ltp(visitor)).data)

    assert (told["status"], len(told["data"])) == ("partial_success", 2)


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        pytest.param("ltp", {}, id="a map"),
        pytest.param(CHAIN, [], id="a list"),
        pytest.param(
            "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1",
            {"candles": []},
            id="candles",
        ),
    ],
)
def test_empty_data(visitor: Visitor, path: str, empty: object) -> None:
    visitor.order(kind="empty-data")
    assert visitor.data(ltp(visitor) if path == "ltp" else path) == empty


@pytest.mark.parametrize(
    ("kind", "poisoned"),
    [
        pytest.param("nulls", lambda row: row["last_price"] is None, id="nulls"),
        pytest.param("negative-price", lambda row: row["last_price"] < 0, id="negative"),
        pytest.param("nan-price", lambda row: isnan(row["last_price"]), id="NaN"),
        pytest.param(
            "strings-for-numbers",
            lambda row: isinstance(row["volume"], str) and float(row["last_price"]) > 0,
            id="strings",
        ),
        pytest.param("left-out", lambda row: row is None, id="left out"),
    ],
)
def test_one_quote_is_spoilt_and_the_other_is_not(
    visitor: Visitor, kind: str, poisoned: Any
) -> None:
    tcs, reliance = visitor.key("TCS"), visitor.key("RELIANCE")
    good = visitor.ltp(tcs, reliance)
    visitor.order(kind=kind, api="ltp", instruments=[tcs])

    answer = json.loads(visitor.ask(ltp(visitor)).data)

    rows = {row["instrument_token"]: row for row in answer["data"].values()}
    assert poisoned(rows.get(tcs))
    assert rows[reliance] == good[reliance]


def test_volume_falls_within_the_day(visitor: Visitor) -> None:
    tcs = visitor.key("TCS")
    before = visitor.ltp(tcs)[tcs]["volume"]
    visitor.order(kind="falling-volume", instruments=[tcs])
    visitor.clock.set(visitor.clock.now() + timedelta(minutes=1))

    assert visitor.ltp(tcs)[tcs]["volume"] < before


class TestCandles:
    def test_of_the_future(self, visitor: Visitor) -> None:
        visitor.order(kind="future-candles")
        newest, second, *_ = visitor.intraday(visitor.key("TCS"))

        now = visitor.clock.now()
        assert datetime.fromisoformat(newest[0]) > now > datetime.fromisoformat(second[0])

    def test_that_come_late(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        on_time = visitor.intraday(key)
        visitor.order(kind="late-candles", minutes=10)

        assert visitor.intraday(key) == on_time[10:]

    def test_of_yesterday_from_the_intraday_path(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        visitor.order(kind="yesterdays-bars")

        assert visitor.intraday(key) == visitor.history(key, "2026-09-15", "2026-09-15")

    @pytest.mark.parametrize("kind", ["lost-minutes", "withheld-minutes"])
    def test_of_some_minutes_are_nowhere(self, visitor: Visitor, kind: str) -> None:
        tcs, reliance = visitor.key("TCS"), visitor.key("RELIANCE")
        whole, others = visitor.intraday(tcs), visitor.intraday(reliance)
        visitor.order(
            kind=kind,
            instruments=[tcs],
            until="2026-09-18T00:00:00",
            bars_from="2026-09-16T11:18:00",
            bars_until="2026-09-16T11:23:00",
        )

        def shown() -> list[str]:
            return [row[0][11:16] for row in visitor.intraday(tcs)[:3]]

        assert shown() == ["11:23", "11:17", "11:16"]
        assert len(visitor.intraday(tcs)) == len(whole) - 5
        assert visitor.intraday(reliance) == others
        assert visitor.ohlc(tcs, "I1")["prev_ohlc"] is None
        assert visitor.ohlc(reliance, "I1")["prev_ohlc"]
        visitor.clock.put("2026-09-16 11:24:10")
        assert visitor.ohlc(tcs, "I1")["prev_ohlc"], "a bar after the lost ones"
        visitor.clock.put("2026-09-17 23:59:59")
        assert len(visitor.history(tcs, "2026-09-16", "2026-09-16")) == 370
        visitor.clock.put("2026-09-18 00:00")
        assert len(visitor.history(tcs, "2026-09-16", "2026-09-16")) == 375

    @pytest.mark.parametrize(
        ("bounds", "days"),
        [
            pytest.param({"bars_until": "2026-09-15T00:00:00"}, ["15"], id="before"),
            pytest.param({"bars_from": "2026-09-11T00:00:00"}, ["10"], id="after"),
            pytest.param({}, [], id="all"),
        ],
    )
    def test_are_lost_without_a_bound(
        self, visitor: Visitor, bounds: dict[str, str], days: list[str]
    ) -> None:
        visitor.order(kind="lost-minutes", **bounds)
        rows = visitor.history(visitor.key("TCS"), "2026-09-15", "2026-09-10")
        assert sorted({row[0][8:10] for row in rows}) == days

    def test_are_corrected_later(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        bounds = {"bars_from": "2026-09-15T10:00:00", "bars_until": "2026-09-15T10:02:00"}
        for at in ("2026-09-16T12:00:00", "2026-09-16T13:00:00"):
            visitor.order(kind="corrected-candles", factor=0.9, **bounds, **{"from": at})
        seen = []
        for at in ("11:59", "12:00", "13:00"):
            visitor.clock.put(f"2026-09-16 {at}")
            seen.append({row[0][11:16]: row for row in visitor.history(key, *["2026-09-15"] * 2)})

        first, second, third = seen
        changed = {"10:00", "10:01"}
        assert {at for at in first if first[at] != second[at]} == changed
        assert {at for at in first if second[at] != third[at]} == changed
        for older, newer in ((first, second), (second, third)):
            for at in changed:
                _, opened, high, low, close, volume, _ = newer[at]
                assert close == pytest.approx(older[at][4] * 0.9, abs=0.005)
                assert volume == pytest.approx(older[at][5] * 0.9, abs=0.5)
                assert low <= min(opened, close) <= max(opened, close) <= high

    def test_in_disorder(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        ordered = visitor.intraday(key)
        visitor.order(kind="shuffled-candles")
        shuffled = visitor.intraday(key)

        assert sorted(shuffled, reverse=True) == ordered
        assert shuffled not in (ordered, ordered[::-1])

    def test_that_come_twice(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        once = visitor.intraday(key)
        visitor.order(kind="duplicated-candles")
        twice = visitor.intraday(key)

        assert (twice[::2], twice[1::2]) == (once, once)

    def test_with_rubbish_among_them(self, visitor: Visitor) -> None:
        key = visitor.key("TCS")
        clean = visitor.intraday(key)
        visitor.order(kind="unparsable-candle")
        visitor.order(kind="corrected-candles", factor=1)
        poisoned = visitor.intraday(key)

        assert [row for row in poisoned if row != ["rubbish"]] == clean
        assert len(poisoned) == len(clean) + 1

    def test_of_expired_contracts_need_a_plan(self, visitor: Visitor) -> None:
        visitor.order(kind="plan-needed")
        path = "/v2/expired-instruments/historical-candle/NSE_FO%7C1%7C15-09-2026/day"
        assert visitor.refusal(f"{path}/2026-09-15/2026-09-15") == (403, "UDAPI1149")

    @pytest.mark.parametrize(
        ("kind", "poisoned"),
        [
            pytest.param("nulls", lambda row: row[4] is None, id="nulls"),
            pytest.param("negative-price", lambda row: row[4] < 0, id="negative"),
            pytest.param("nan-price", lambda row: isnan(row[4]), id="NaN"),
            pytest.param("strings-for-numbers", lambda row: isinstance(row[5], str), id="strings"),
        ],
    )
    def test_spoilt(self, visitor: Visitor, kind: str, poisoned: Any) -> None:
        visitor.order(kind=kind, api="candles")
        path = "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1"
        rows = json.loads(visitor.ask(path).data)["data"]["candles"]

        assert rows
        assert all(poisoned(row) for row in rows)


def test_the_master_is_empty(visitor: Visitor) -> None:
    visitor.order(kind="empty-master")
    assert gzip.decompress(visitor.ask(MASTER).data) == b"[]"


def test_the_master_is_truncated(visitor: Visitor) -> None:
    visitor.order(kind="truncated-master")
    packed = visitor.ask(MASTER).data

    assert zlib.decompressobj(wbits=31).decompress(packed).startswith(b"[{")
    with pytest.raises(EOFError):
        gzip.decompress(packed)


def test_holidays_are_empty(visitor: Visitor) -> None:
    visitor.order(kind="empty-holidays")
    assert visitor.data("/v2/market/holidays") == []


class TestWhenAFaultStrikes:
    def struck(self, visitor: Visitor, path: str) -> bool:
        return visitor.ask(path).status == 500

    def test_as_often_as_ordered(self, visitor: Visitor) -> None:
        visitor.order(kind="server-error", api="ltp", times=2)
        assert [self.struck(visitor, ltp(visitor)) for _ in range(4)] == [True, True, False, False]

    def test_between_two_instants(self, visitor: Visitor) -> None:
        visitor.order(
            kind="server-error",
            api="ltp",
            **{"from": "2026-09-16T11:30:00", "until": "2026-09-16T06:02:00+00:00"},
        )
        struck = []
        for at in ("11:29:59", "11:30:00", "11:31:59", "11:32:00"):
            visitor.clock.put(f"2026-09-16 {at}")
            struck.append(self.struck(visitor, ltp(visitor)))
        assert struck == [False, True, True, False]

    def test_on_one_path(self, visitor: Visitor) -> None:
        visitor.order(kind="server-error", path="/v2/market/holidays")
        assert not self.struck(visitor, ltp(visitor))
        assert self.struck(visitor, "/v2/market/holidays")

    def test_on_requests_for_an_instrument(self, visitor: Visitor) -> None:
        visitor.order(kind="server-error", instruments=[visitor.key("TCS")])
        assert self.struck(visitor, ltp(visitor))
        assert not self.struck(visitor, visitor.ltp_path(visitor.key("RELIANCE")))

    def test_until_it_is_taken_back(self, visitor: Visitor) -> None:
        visitor.order(kind="server-error")
        told = orjson.loads(visitor.ask("/paper/faults").data)
        visitor.ask("/paper/faults", "DELETE")

        assert told == {"fault": [{"kind": "server-error", "struck": 0}]}
        assert not self.struck(visitor, ltp(visitor))


class TestDefinitions:
    @pytest.mark.parametrize(
        ("ordered", "says"),
        [
            pytest.param({"kind": "earthquake"}, "no such kind", id="unknown kind"),
            pytest.param({"api": "ltp"}, "kind: Field required", id="no kind"),
            pytest.param(
                {"kind": "missing-call", "api": "ltp"}, "option-chain can", id="not for that API"
            ),
            pytest.param({"kind": "reset", "often": 3}, "often", id="unknown field"),
            pytest.param({"kind": "reset", "times": 0}, "times", id="never"),
            pytest.param({"kind": "reset", "minutes": 3}, "late-candles", id="another's option"),
            pytest.param({"kind": "reset", "until": "noon"}, "until", id="no instant"),
            pytest.param({"kind": "withheld-minutes"}, "'until' when", id="withheld for ever"),
            pytest.param({"kind": "frozen-chain"}, "'from' when", id="frozen at no instant"),
            pytest.param(
                {"kind": "rate-limited", "api": "nse-chain"}, "cannot be struck", id="not at NSE"
            ),
            pytest.param(
                {"kind": "lost-minutes", "factor": 2}, "corrected-candles", id="lost by a factor"
            ),
            pytest.param("reset", "valid dictionary", id="not a table"),
        ],
    )
    def test_a_bad_one_is_named(self, ordered: Any, says: str) -> None:
        with pytest.raises(SetupError, match=f"fault 1.*{says}"):
            read_faults([ordered])

    def test_the_control_endpoint_refuses_it_and_orders_nothing(self, visitor: Visitor) -> None:
        script = {"fault": [{"kind": "reset"}, {"kind": "earthquake"}]}
        answer = visitor.ask("/paper/faults", "POST", body=orjson.dumps(script))

        assert (answer.status, b"fault 2 (earthquake)" in answer.data) == (400, True)
        assert orjson.loads(visitor.ask("/paper/faults").data) == {"fault": []}

    def test_a_script_may_be_toml_or_json(self, tmp_path: Path) -> None:
        toml, as_json = tmp_path / "faults.toml", tmp_path / "faults.json"
        toml.write_text(
            '[[fault]]\nkind = "rate-limited"\napi = "ltp"\nretry_after = 3\n'
            "from = 2026-09-16T10:00:00\n"
        )
        as_json.write_text(
            '{"fault": [{"kind": "rate-limited", "api": "ltp", "retry_after": 3,'
            ' "from": "2026-09-16T10:00:00+05:30"}]}'
        )
        assert load_faults(toml) == load_faults(as_json)
        assert load_faults(toml)[0].retry_after == 3

    @pytest.mark.parametrize("text", ["[[fault", "fault = 3", "\x00"])
    def test_a_file_that_is_no_script_is_a_clear_error(self, tmp_path: Path, text: str) -> None:
        script = tmp_path / "faults.toml"
        script.write_text(text)
        with pytest.raises(SetupError):
            load_faults(script)

    def test_faults_can_be_there_from_the_start(self) -> None:
        clock = StandingClock("2026-09-16 11:00")
        faults = [Fault(kind="server-error", api="ltp")]
        with PaperExchange(clock, symbols=SYMBOLS, faults=faults) as exchange:
            assert (
                Visitor(exchange, clock).ask(Visitor(exchange, clock).ltp_path(NIFTY)).status == 500
            )


def test_every_kind_is_tested() -> None:
    """Those of option chains and of NSE's website in a module of their own."""
    modules = Path(__file__).parent.glob("test_paper_*faults.py")
    sources = "".join(module.read_text(encoding="utf-8") for module in modules)
    assert [kind for kind in KINDS if f'"{kind}"' not in sources] == []


def test_every_kind_is_described() -> None:
    page = CHECKOUT.joinpath("docs", "paper-exchange.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
