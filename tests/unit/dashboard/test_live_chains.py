"""Chains that pages request: the command, and its report in words."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from data_fetch.core.failures import FailureKind
from data_fetch.dashboard.chain_request import problem_text
from data_fetch.dashboard.live_chains import LiveAnswer, WantedChain

WANTED = WantedChain("M&M", date(2026, 9, 29))
RECEIVED = "2026-09-16T10:01:06.250000+05:30"
REPORT = {"begun_at": "2026-09-16T10:01:05+05:30", "chains": [{"received_at": RECEIVED}]}


def answer(**poll: Any) -> LiveAnswer:
    usual: dict[str, Any] = {**REPORT, "error": None, "faults": {}}
    return LiveAnswer.of({"polls": [usual | poll]})


def test_a_chain_is_a_command() -> None:
    assert WANTED.command == "data-fetch chain collect --symbols 'M&M' --expiry 2026-09-29"


def test_an_answer_has_the_instants_of_its_chains() -> None:
    assert answer() == LiveAnswer(
        begun_at=datetime(2026, 9, 16, 4, 31, 5, tzinfo=UTC),
        received=[datetime(2026, 9, 16, 4, 31, 6, 250_000, tzinfo=UTC)],
        problem=None,
    )


@pytest.mark.parametrize(
    ("error", "faults", "words"),
    [
        ("the token is rejected. Put it into .env.", [FailureKind.UNAUTHORISED],
         "the token is rejected. Put it into .env."),
        ("a chain without rows", [FailureKind.EMPTY_LIST],
         "a chain without rows. Choose another expiry."),
        ("Upstox returned 500", [FailureKind.SERVER_ERROR, FailureKind.UNREACHABLE],
         "Upstox returned 500. Request it again in a minute."),
        ("the rate is limited", [FailureKind.RATE_LIMITED],
         "the rate is limited. Request it again in a minute."),
        ("other words", [], "other words."),
    ],
)  # fmt: skip
def test_a_failure_says_what_to_do(error: str, faults: list[FailureKind], words: str) -> None:
    by_source = {str(number): kind.value for number, kind in enumerate(faults)}
    failed = answer(chains=[], error=error, faults=by_source)

    said = problem_text(WANTED, failed)

    assert said == f"The request for M&M 29 Sep 2026 at 10:01:05 brought no chain: {words}"


def test_a_command_that_could_not_begin_says_why() -> None:
    said = problem_text(WANTED, LiveAnswer(None, (), "no master. Check the connection."))

    assert said == (
        "The request for M&M 29 Sep 2026 brought no chain: no master. Check the connection."
    )
