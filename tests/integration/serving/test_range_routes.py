"""What all routes that answer tables have in common, and what each of them says."""

from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import csv, ipc
from range_shelf import RangeServer

from data_fetch.serving.models import operations
from data_fetch.serving.models import ranges as models
from data_fetch.serving.models.shared import Answer

CHAIN = "from=2026-09-16&to=2026-09-16"
LEG = f"symbol=NIFTY&expiry=2026-09-22&strike=24000&option_type=CE&{CHAIN}"
DAYS = "symbols=RELIANCE,TCS&from=2025-06-10&to=2025-06-11"
TABLES = [
    pytest.param(
        "/api/data/candles/RELIANCE?from=2025-06-11&to=2025-06-11&interval=5minute",
        models.CandlesAnswer,
        38,
        id="candles",
    ),
    pytest.param(
        "/api/data/quotes/RELIANCE?from=2025-06-11&to=2025-06-11",
        models.QuotesAnswer,
        5,
        id="quotes",
    ),
    pytest.param(
        f"/api/data/chain/NIFTY/history?{CHAIN}", models.ChainHistoryAnswer, 7, id="chain history"
    ),
    pytest.param(f"/api/data/leg?{LEG}", models.LegAnswer, 6, id="leg"),
    pytest.param(f"/api/data/coverage?{DAYS}", operations.CoverageAnswer, 4, id="coverage"),
    pytest.param(f"/api/data/gaps?{DAYS}", operations.GapsAnswer, 3, id="gaps"),
    pytest.param(
        "/api/data/runs?from=2025-06-11&to=2025-06-11", operations.RunsAnswer, 1, id="runs"
    ),
    pytest.param("/api/data/instruments", operations.InstrumentsAnswer, 3, id="instruments"),
    pytest.param(
        "/api/data/calendar?from=2025-06-10&to=2025-06-11",
        operations.CalendarAnswer,
        6,
        id="calendar",
    ),
]


def pages(ranges: RangeServer, path: str) -> Iterator[dict[str, Any]]:
    following: str | None = path
    while following:
        document = ranges.json(following)
        yield document
        following = document["next"]


@pytest.mark.parametrize(("path", "model", "count"), TABLES)
def test_an_answer_is_as_it_is_described(
    ranges: RangeServer, path: str, model: type[Answer], count: int
) -> None:
    body = ranges.served.ask(path).data

    model.model_validate_json(body)
    document = orjson.loads(body)
    assert {len(values) for values in document["columns"].values()} == {count}
    described = model.model_fields["columns"].annotation
    assert described is not None
    required = {name for name, field in described.model_fields.items() if field.is_required()}
    assert required <= document["columns"].keys() <= described.model_fields.keys()
    assert (document["count"], document["truncated"], document["next"]) == (count, False, None)


@pytest.mark.parametrize(("path", "model", "count"), TABLES)
def test_pages_give_exactly_the_range(
    ranges: RangeServer, path: str, model: type[Answer], count: int
) -> None:
    whole = ranges.json(path)["columns"]
    limit = f"{'&' if '?' in path else '?'}limit=2"

    found = list(pages(ranges, f"{path}{limit}"))

    assert len(found) == max(1, (count + 1) // 2)
    joined = {name: [row for page in found for row in page["columns"][name]] for name in whole}
    assert joined == whole


@pytest.mark.parametrize(("path", "model", "count"), TABLES)
@pytest.mark.parametrize("form", ["csv", "arrow"])
def test_other_forms_have_the_same_rows(
    ranges: RangeServer, path: str, model: type[Answer], count: int, form: str
) -> None:
    columns = ranges.json(path)["columns"]
    separator = "&" if "?" in path else "?"

    answer = ranges.served.ask(f"{path}{separator}format={form}")

    source = pa.BufferReader(answer.data)
    table = csv.read_csv(source) if form == "csv" else ipc.open_stream(source).read_all()
    assert (table.column_names, len(table)) == (list(columns), count)
    frame = orjson.loads(answer.headers["data-frame"])
    assert frame["completeness"] == ranges.json(path)["completeness"]


@pytest.mark.parametrize(("path", "model", "count"), TABLES)
def test_who_has_the_content_gets_no_body(
    ranges: RangeServer, path: str, model: type[Answer], count: int
) -> None:
    tag = ranges.served.ask(path).headers["etag"]

    again = ranges.served.ask(path, if_none_match=tag)

    assert (again.status, again.data) == (304, b"")


def test_a_chain_over_time(ranges: RangeServer) -> None:
    document = ranges.json(f"/api/data/chain/nifty/history?expiry=2026-09-22&{CHAIN}")

    columns = document["columns"]
    assert columns["spot"] == [24_000, 24_001, 24_002, 24_003, 24_004, 24_005]
    assert columns["confirmations"][-1] == 2
    assert columns["pcr_oi"] == [0.8] * 6
    assert (document["source"], document["unit"]) == ("upstox", "shares")
    assert document["completeness"]["present"] == 7
    assert document["completeness"]["state"] == "degraded"
    assert [reason["code"] for reason in document["reasons"]] == ["not_collected"]


def test_nothing_later_than_the_instant_is_seen(ranges: RangeServer) -> None:
    path = f"/api/data/leg?{LEG}&as_of=2026-09-16T09:20:30%2B05:30"

    columns = ranges.json(path)["columns"]

    assert len(columns["at"]) == 6
    assert columns["last_confirmed"][-1] == "2026-09-16T03:50:00Z"
    assert columns["confirmations"][-1] == 1


def test_a_step_gives_the_snapshot_in_force(ranges: RangeServer) -> None:
    document = ranges.json(f"/api/data/leg?{LEG}&every=2m&as_of=2026-09-16T09:20:30 05:30")

    assert [at[11:16] for at in document["columns"]["at"]] == ["03:46", "03:48", "03:50"]
    assert document["columns"]["spot"] == [24_001, 24_003, 24_005]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("chain/NIFTY/history?from=2026-09-20&to=2026-09-20", "closed", id="Sunday"),
        pytest.param(
            "chain/NIFTY/history?from=2100-01-04&to=2100-01-04", "still_to_come", id="far"
        ),
        pytest.param("quotes/TCS?from=2025-06-10&to=2025-06-10", "missed", id="no quote"),
        pytest.param("quotes/TCS?from=2025-06-08&to=2025-06-08", "closed", id="no slot"),
        pytest.param("quotes/TCS?from=2100-01-04&to=2100-01-05", "still_to_come", id="not yet"),
        pytest.param("runs?from=2024-01-01&to=2024-01-02", "no_run", id="no run"),
    ],
)
def test_an_empty_answer_has_its_reason(ranges: RangeServer, path: str, code: str) -> None:
    document = ranges.json(f"/api/data/{path}")

    assert document["count"] == 0
    assert code in [reason["code"] for reason in document["reasons"]]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        pytest.param("chain/NOPE/history", 404, "unknown_symbol", id="no such underlying"),
        pytest.param("chain/TCS/history", 404, "nothing_stored", id="no chain"),
        pytest.param(
            "chain/NIFTY/history?from=2020-01-01&to=2026-01-01", 422, "range_too_large", id="years"
        ),
        pytest.param("leg?symbol=NIFTY", 422, "invalid", id="no contract named"),
        pytest.param(f"leg?{LEG}&every=0s", 422, "invalid", id="no step"),
        pytest.param(f"leg?{LEG.replace('24000', 'abc')}", 422, "invalid", id="no strike"),
        pytest.param(f"leg?{LEG.replace('=CE', '=CALL')}", 422, "invalid", id="option type"),
        pytest.param("quotes/TCS?from=2010-01-01", 422, "range_too_large", id="years of quotes"),
        pytest.param("coverage?from=2010-01-01", 422, "range_too_large", id="years of coverage"),
        pytest.param("coverage?symbols=NOPE", 404, "unknown_symbol", id="coverage of nothing"),
        pytest.param("gaps?cause=bored", 422, "invalid", id="no cause"),
        pytest.param("runs?job=nothing", 422, "invalid", id="no job"),
        pytest.param("runs?from=2010-01-01", 422, "range_too_large", id="years of runs"),
        pytest.param("calendar?from=2025-06-11&to=2025-06-10", 422, "invalid", id="backwards"),
        pytest.param("calendar?to=2099-12-31", 422, "range_too_large", id="for ever"),
        pytest.param("instruments?segment=MCX", 422, "invalid", id="no segment"),
        pytest.param("polling-plan?require=nothing", 422, "invalid", id="require"),
    ],
)
def test_refusals(ranges: RangeServer, path: str, status: int, code: str) -> None:
    answered, document = ranges.refused(f"/api/data/{path}")

    assert (answered, document["code"]) == (status, code)
    if code == "range_too_large":
        assert document["cost"] > document["limit"]


def test_freshness_is_of_quotes_and_of_chains(ranges: RangeServer) -> None:
    body = ranges.served.ask("/api/data/freshness").data

    operations.FreshnessAnswer.model_validate_json(body)
    columns = orjson.loads(body)["columns"]
    assert columns["data"] == ["quotes"] * 3
    assert columns["symbol"] == ["M&M", "RELIANCE", "TCS"]
    assert columns["last_receipt"] == [None, "2025-06-11T04:04:01Z", None]


def test_the_polling_plan_is_as_it_is_described(ranges: RangeServer) -> None:
    body = ranges.served.ask("/api/data/polling-plan").data

    operations.PollingPlanAnswer.model_validate_json(body)
