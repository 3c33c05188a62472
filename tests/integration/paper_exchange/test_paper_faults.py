"""Each fault of the paper exchange has its documented effect on the wire."""

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
from exchange_client import SYMBOLS, ExchangeClient, ManualClock

from data_fetch.core.errors import SetupError
from data_fetch.paper_exchange.exchange import PaperExchange
from data_fetch.paper_exchange.faults.faults import KINDS, Fault, load_faults, read_faults

NIFTY = "NSE_INDEX|Nifty 50"
CHAIN = f"/v2/option/chain?instrument_key={quote_plus(NIFTY)}&expiry_date=2026-09-22"
MASTER = "/market-quote/instruments/exchange/NSE.json.gz"
# The page that describes every kind of fault.
FAULTS_PAGE = "docs/reference/paper-exchange.md"


@pytest.fixture
def client() -> Iterator[ExchangeClient]:
    clock = ManualClock("2026-09-16 11:23:31")
    with PaperExchange(clock, symbols=SYMBOLS) as exchange:
        yield ExchangeClient(exchange, clock)


def ltp(client: ExchangeClient) -> str:
    return client.ltp_path(client.key("TCS"), client.key("RELIANCE"))


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
def test_error_responses(
    client: ExchangeClient, fault: dict[str, Any], status: int, headers: dict[str, str], shows: str
) -> None:
    client.inject(**fault, api="ltp", times=1)

    response = client.request(ltp(client))

    assert (response.status, shows in response.data.decode()) == (status, True)
    assert {name: response.headers[name] for name in headers} == headers
    assert ("Retry-After" in response.headers) == ("retry_after" in fault)
    assert client.request(ltp(client)).status == 200


def test_a_person_denies_a_login(client: ExchangeClient) -> None:
    client.inject(kind="login-denied", times=1)
    back = "http://127.0.0.1:9/callback"
    dialog = f"/v2/login/authorization/dialog?response_type=code&client_id=app&redirect_uri={back}"

    denied = client.request(dialog, redirect=False)
    allowed = client.request(dialog, redirect=False)

    assert denied.headers["Location"] == f"{back}?error=access_denied"
    assert allowed.headers["Location"].startswith(f"{back}?code=")


def test_a_connection_is_reset_before_the_response(client: ExchangeClient) -> None:
    client.inject(kind="reset", api="ltp", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="reset"):
        client.request(ltp(client), retries=False)


def test_a_connection_is_cut_in_the_middle_of_a_body(client: ExchangeClient) -> None:
    client.inject(kind="cut-mid-body", api="ltp", times=1)

    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        client.request(ltp(client), retries=False)


def test_a_slow_body_stops_halfway(client: ExchangeClient) -> None:
    client.inject(kind="slow-body", seconds=5, times=1)
    impatient = urllib3.Timeout(connect=2, read=0.1)

    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        client.request(ltp(client), retries=False, timeout=impatient)

    client.inject(kind="slow-body", seconds=0.05, times=1)
    assert len(client.data(ltp(client))) == 2


def test_json_ends_early_in_a_complete_response(client: ExchangeClient) -> None:
    client.inject(kind="truncated-json", api="ltp")
    response = client.request(ltp(client))

    assert int(response.headers["Content-Length"]) == len(response.data)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(response.data)


def test_partial_success(client: ExchangeClient) -> None:
    client.inject(kind="partial-success", api="ltp")
    document = orjson.loads(client.request(ltp(client)).data)

    assert (document["status"], len(document["data"])) == ("partial_success", 2)


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
def test_empty_data(client: ExchangeClient, path: str, empty: object) -> None:
    client.inject(kind="empty-data")
    assert client.data(ltp(client) if path == "ltp" else path) == empty


@pytest.mark.parametrize(
    ("kind", "changed"),
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
def test_one_quote_is_changed_and_the_other_is_not(
    client: ExchangeClient, kind: str, changed: Any
) -> None:
    tcs, reliance = client.key("TCS"), client.key("RELIANCE")
    good = client.ltp(tcs, reliance)
    client.inject(kind=kind, api="ltp", instruments=[tcs])

    response = json.loads(client.request(ltp(client)).data)

    rows = {row["instrument_token"]: row for row in response["data"].values()}
    assert changed(rows.get(tcs))
    assert rows[reliance] == good[reliance]


def test_volume_falls_within_the_day(client: ExchangeClient) -> None:
    tcs = client.key("TCS")
    before = client.ltp(tcs)[tcs]["volume"]
    client.inject(kind="falling-volume", instruments=[tcs])
    client.clock.set(client.clock.now() + timedelta(minutes=1))

    assert client.ltp(tcs)[tcs]["volume"] < before


class TestCandles:
    def test_one_is_of_tomorrow(self, client: ExchangeClient) -> None:
        client.inject(kind="future-candles")
        newest, second, *_ = client.intraday(client.key("TCS"))

        now = client.clock.now()
        assert datetime.fromisoformat(newest[0]) > now > datetime.fromisoformat(second[0])

    def test_the_last_ones_are_late(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        on_time = client.intraday(key)
        client.inject(kind="late-candles", minutes=10)

        assert client.intraday(key) == on_time[10:]

    def test_the_intraday_path_serves_yesterday(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        client.inject(kind="yesterdays-bars")

        assert client.intraday(key) == client.history(key, "2026-09-15", "2026-09-15")

    @pytest.mark.parametrize("kind", ["lost-minutes", "withheld-minutes"])
    def test_some_minutes_are_missing_everywhere(self, client: ExchangeClient, kind: str) -> None:
        tcs, reliance = client.key("TCS"), client.key("RELIANCE")
        whole, others = client.intraday(tcs), client.intraday(reliance)
        client.inject(
            kind=kind,
            instruments=[tcs],
            until="2026-09-18T00:00:00",
            bars_from="2026-09-16T11:18:00",
            bars_until="2026-09-16T11:23:00",
        )

        def shown() -> list[str]:
            return [row[0][11:16] for row in client.intraday(tcs)[:3]]

        assert shown() == ["11:23", "11:17", "11:16"]
        assert len(client.intraday(tcs)) == len(whole) - 5
        assert client.intraday(reliance) == others
        assert client.ohlc(tcs, "I1")["prev_ohlc"] is None
        assert client.ohlc(reliance, "I1")["prev_ohlc"]
        client.clock.set_to("2026-09-16 11:24:10")
        assert client.ohlc(tcs, "I1")["prev_ohlc"], "the candle after the lost ones"
        client.clock.set_to("2026-09-17 23:59:59")
        assert len(client.history(tcs, "2026-09-16", "2026-09-16")) == 370
        client.clock.set_to("2026-09-18 00:00")
        assert len(client.history(tcs, "2026-09-16", "2026-09-16")) == 375

    @pytest.mark.parametrize(
        ("bounds", "days"),
        [
            pytest.param({"bars_until": "2026-09-15T00:00:00"}, ["15"], id="before"),
            pytest.param({"bars_from": "2026-09-11T00:00:00"}, ["10"], id="after"),
            pytest.param({}, [], id="all"),
        ],
    )
    def test_all_before_or_after_a_single_bound_are_lost(
        self, client: ExchangeClient, bounds: dict[str, str], days: list[str]
    ) -> None:
        client.inject(kind="lost-minutes", **bounds)
        rows = client.history(client.key("TCS"), "2026-09-15", "2026-09-10")
        assert sorted({row[0][8:10] for row in rows}) == days

    def test_they_are_corrected_later(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        bounds = {"bars_from": "2026-09-15T10:00:00", "bars_until": "2026-09-15T10:02:00"}
        for at in ("2026-09-16T12:00:00", "2026-09-16T13:00:00"):
            client.inject(kind="corrected-candles", factor=0.9, **bounds, **{"from": at})
        seen = []
        for at in ("11:59", "12:00", "13:00"):
            client.clock.set_to(f"2026-09-16 {at}")
            seen.append({row[0][11:16]: row for row in client.history(key, *["2026-09-15"] * 2)})

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

    def test_they_are_shuffled(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        in_order = client.intraday(key)
        client.inject(kind="shuffled-candles")
        shuffled = client.intraday(key)

        assert sorted(shuffled, reverse=True) == in_order
        assert shuffled not in (in_order, in_order[::-1])

    def test_they_are_duplicated(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        once = client.intraday(key)
        client.inject(kind="duplicated-candles")
        twice = client.intraday(key)

        assert (twice[::2], twice[1::2]) == (once, once)

    def test_one_row_is_unparsable(self, client: ExchangeClient) -> None:
        key = client.key("TCS")
        clean = client.intraday(key)
        client.inject(kind="unparsable-candle")
        client.inject(kind="corrected-candles", factor=1)
        changed = client.intraday(key)

        assert [row for row in changed if row != ["rubbish"]] == clean
        assert len(changed) == len(clean) + 1

    def test_expired_contracts_need_a_plan(self, client: ExchangeClient) -> None:
        client.inject(kind="plan-needed")
        path = "/v2/expired-instruments/historical-candle/NSE_FO%7C1%7C15-09-2026/day"
        assert client.refusal(f"{path}/2026-09-15/2026-09-15") == (403, "UDAPI1149")

    @pytest.mark.parametrize(
        ("kind", "changed"),
        [
            pytest.param("nulls", lambda row: row[4] is None, id="nulls"),
            pytest.param("negative-price", lambda row: row[4] < 0, id="negative"),
            pytest.param("nan-price", lambda row: isnan(row[4]), id="NaN"),
            pytest.param("strings-for-numbers", lambda row: isinstance(row[5], str), id="strings"),
        ],
    )
    def test_have_bad_values(self, client: ExchangeClient, kind: str, changed: Any) -> None:
        client.inject(kind=kind, api="candles")
        path = "/v3/historical-candle/intraday/NSE_INDEX%7CNifty%2050/minutes/1"
        rows = json.loads(client.request(path).data)["data"]["candles"]

        assert rows
        assert all(changed(row) for row in rows)


def test_the_master_is_empty(client: ExchangeClient) -> None:
    client.inject(kind="empty-master")
    assert gzip.decompress(client.request(MASTER).data) == b"[]"


def test_the_master_is_truncated(client: ExchangeClient) -> None:
    client.inject(kind="truncated-master")
    packed = client.request(MASTER).data

    assert zlib.decompressobj(wbits=31).decompress(packed).startswith(b"[{")
    with pytest.raises(EOFError):
        gzip.decompress(packed)


def test_holidays_are_empty(client: ExchangeClient) -> None:
    client.inject(kind="empty-holidays")
    assert client.data("/v2/market/holidays") == []


class TestWhenAFaultApplies:
    def fails(self, client: ExchangeClient, path: str) -> bool:
        return client.request(path).status == 500

    def test_a_number_of_times(self, client: ExchangeClient) -> None:
        client.inject(kind="server-error", api="ltp", times=2)
        assert [self.fails(client, ltp(client)) for _ in range(4)] == [True, True, False, False]

    def test_between_two_instants(self, client: ExchangeClient) -> None:
        client.inject(
            kind="server-error",
            api="ltp",
            **{"from": "2026-09-16T11:30:00", "until": "2026-09-16T06:02:00+00:00"},
        )
        failed = []
        for at in ("11:29:59", "11:30:00", "11:31:59", "11:32:00"):
            client.clock.set_to(f"2026-09-16 {at}")
            failed.append(self.fails(client, ltp(client)))
        assert failed == [False, True, True, False]

    def test_only_on_one_path(self, client: ExchangeClient) -> None:
        client.inject(kind="server-error", path="/v2/market/holidays")
        assert not self.fails(client, ltp(client))
        assert self.fails(client, "/v2/market/holidays")

    def test_only_to_requests_for_an_instrument(self, client: ExchangeClient) -> None:
        client.inject(kind="server-error", instruments=[client.key("TCS")])
        assert self.fails(client, ltp(client))
        assert not self.fails(client, client.ltp_path(client.key("RELIANCE")))

    def test_until_it_is_deleted(self, client: ExchangeClient) -> None:
        client.inject(kind="server-error")
        document = orjson.loads(client.request("/paper/faults").data)
        client.request("/paper/faults", "DELETE")

        assert document == {"fault": [{"kind": "server-error", "struck": 0}]}
        assert not self.fails(client, ltp(client))


class TestDefinitions:
    @pytest.mark.parametrize(
        ("definition", "message"),
        [
            pytest.param({"kind": "earthquake"}, "unknown kind", id="unknown kind"),
            pytest.param({"api": "ltp"}, "kind: Field required", id="no kind"),
            pytest.param(
                {"kind": "missing-call", "api": "ltp"},
                "it applies to nse-chain, option-chain",
                id="not for that API",
            ),
            pytest.param({"kind": "reset", "often": 3}, "often", id="unknown field"),
            pytest.param({"kind": "reset", "times": 0}, "times", id="never"),
            pytest.param({"kind": "reset", "minutes": 3}, "late-candles", id="another's option"),
            pytest.param({"kind": "reset", "until": "noon"}, "until", id="no instant"),
            pytest.param({"kind": "withheld-minutes"}, "need 'until'", id="withheld for ever"),
            pytest.param({"kind": "frozen-chain"}, "needs 'from'", id="frozen at no instant"),
            pytest.param(
                {"kind": "rate-limited", "api": "nse-chain"},
                "does not apply to api",
                id="not at NSE",
            ),
            pytest.param(
                {"kind": "lost-minutes", "factor": 2}, "corrected-candles", id="lost by a factor"
            ),
            pytest.param("reset", "valid dictionary", id="not a table"),
        ],
    )
    def test_an_invalid_fault_is_an_error_with_its_number(
        self, definition: Any, message: str
    ) -> None:
        with pytest.raises(SetupError, match=f"fault 1.*{message}"):
            read_faults([definition])

    def test_the_control_endpoint_rejects_it_and_adds_nothing(self, client: ExchangeClient) -> None:
        script = {"fault": [{"kind": "reset"}, {"kind": "earthquake"}]}
        response = client.request("/paper/faults", "POST", body=orjson.dumps(script))

        assert (response.status, b"fault 2 (earthquake)" in response.data) == (400, True)
        assert orjson.loads(client.request("/paper/faults").data) == {"fault": []}

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
    def test_an_invalid_script_file_is_a_clear_error(self, tmp_path: Path, text: str) -> None:
        script = tmp_path / "faults.toml"
        script.write_text(text)
        with pytest.raises(SetupError):
            load_faults(script)

    def test_faults_can_be_active_from_the_start(self) -> None:
        clock = ManualClock("2026-09-16 11:00")
        faults = [Fault(kind="server-error", api="ltp")]
        with PaperExchange(clock, symbols=SYMBOLS, faults=faults) as exchange:
            assert (
                ExchangeClient(exchange, clock)
                .request(ExchangeClient(exchange, clock).ltp_path(NIFTY))
                .status
                == 500
            )


def test_every_kind_is_tested() -> None:
    """The kinds for option chains and NSE's website are tested in another module."""
    modules = Path(__file__).parent.glob("test_paper_*faults.py")
    sources = "".join(module.read_text(encoding="utf-8") for module in modules)
    assert [kind for kind in KINDS if f'"{kind}"' not in sources] == []


def test_every_kind_is_described() -> None:
    page = CHECKOUT.joinpath(FAULTS_PAGE).read_text("utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
