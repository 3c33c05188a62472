"""The check at 08:55 IST: what it records, and that no finding takes another one down."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from data_fetch.core.clock import VirtualClock
from data_fetch.core.errors import TokenRejected
from data_fetch.core.market.calendar import FUTURES_AND_OPTIONS, MarketCalendar
from data_fetch.core.readiness import Finding, Verdict
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.timetable import READINESS, standard_timetable
from data_fetch.services.readiness import ReadinessService
from data_fetch.storage.database.store import Store
from data_fetch.storage.runs import recent_runs

NOW = datetime(2026, 7, 1, 3, 25, 0, 700_000, tzinfo=UTC)


def fine() -> Finding:
    return Finding("store", Verdict.OK, "takes rows")


def rejected() -> Finding:
    raise TokenRejected("Upstox rejects the access token", hint="Log in.")


@pytest.fixture
def recorded(store: Store) -> Callable[..., tuple[SyncRun, list[str]]]:
    """The run that a check records, and what it reports."""

    def check(**checks: Callable[[], Finding]) -> tuple[SyncRun, list[str]]:
        lines: list[str] = []
        service = ReadinessService(
            checks=lambda: checks,
            store=store,
            guard=None,
            clock=VirtualClock(NOW),
            report=lines.append,
        )
        service.check()
        [run] = recent_runs(store, job=READINESS)
        return run, lines

    return check


Recorded = Callable[..., tuple[SyncRun, list[str]]]


def test_go_is_a_completed_run_with_every_finding(recorded: Recorded) -> None:
    run, lines = recorded(store=fine)

    assert (run.outcome, run.error) == (Outcome.COMPLETED, None)
    assert run.due_slot == datetime(2026, 7, 1, 3, 25, tzinfo=UTC)
    assert run.details["verdict"] == "go"
    assert lines == ["Go for Wed 01 Jul 2026, 08:55 IST"]


def test_no_go_is_a_failed_run_with_its_reasons(recorded: Recorded) -> None:
    run, lines = recorded(token=rejected, store=fine)

    assert run.outcome is Outcome.FAILED
    assert run.error == "token: Upstox rejects the access token"
    checks = run.details["checks"]
    assert isinstance(checks, list)
    assert [each["verdict"] for each in checks] == ["no-go", "ok"], "the other one was made too"
    assert lines == [f"No-go for Wed 01 Jul 2026, 08:55 IST: {run.error}"]


@pytest.mark.parametrize(
    ("day", "due"),
    [
        pytest.param("2026-07-01", ["2026-07-01T08:55:00+05:30"], id="a trading day"),
        pytest.param("2026-07-04", [], id="a Saturday"),
    ],
)
def test_it_is_due_before_the_open_of_trading_days(day: str, due: list[str]) -> None:
    timetable = standard_timetable(MarketCalendar.reviewed(), {FUTURES_AND_OPTIONS})
    found = timetable.rules[READINESS].on(datetime.fromisoformat(day).date())
    assert found == [datetime.fromisoformat(each) for each in due]
