"""`Accept` of the calls that have one form only: JSON is sent to those who take it, and to others
406 with what there is."""

from collections.abc import Iterator, Mapping

import pytest
from described_api import operations
from raw_requests import Target

ONE_FORM = ["application/json"]


def calls_of_one_form() -> Iterator[tuple[str, str]]:
    for method, described, operation in operations():
        path = described.replace("{symbol}", "NIFTY").replace("{product}", "NIFTY")
        ok = next(answer for status, answer in operation["responses"].items() if status < "3")
        if list(ok.get("content", ())) == ONE_FORM:
            yield method, path


@pytest.mark.parametrize(("method", "path"), list(calls_of_one_form()))
def test_who_does_not_take_json_gets_to_know_that_there_is_nothing_else(
    targets: Mapping[str, Target], method: str, path: str
) -> None:
    target = targets["sqlite"]
    body = b"{}" if method == "POST" else None
    assert target.send(method, path, (), body).status != 406
    answer = target.send(method, path, [("Accept", "text/csv")], body)

    assert target.fault(answer) is None
    assert (answer.status, answer.document["code"]) == (406, "not_acceptable")
    assert answer.document["media_types"] == ONE_FORM


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        pytest.param([], 200, id="nothing said"),
        pytest.param(["*/*"], 200, id="anything"),
        pytest.param(["application/json"], 200, id="JSON"),
        pytest.param(["application/*"], 200, id="of its kind"),
        pytest.param(["text/csv, */*;q=0.1"], 200, id="anything at worst"),
        pytest.param(["text/csv", "application/json"], 200, id="two headers"),
        pytest.param(["application/json;q=0"], 406, id="all but JSON"),
        pytest.param(["text/csv"], 406, id="CSV"),
        pytest.param(["image/*, text/*"], 406, id="other kinds"),
    ],
)
@pytest.mark.parametrize("path", ["/option-chain/NIFTY", "/health/live"])
def test_what_counts_as_taking_json(
    targets: Mapping[str, Target], path: str, accept: list[str], status: int
) -> None:
    # Twice: a known address is answered by a shorter way.
    for _ in range(2):
        headers = [("Accept", each) for each in accept]
        assert targets["sqlite"].send("GET", path, headers).status == status
