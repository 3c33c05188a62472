"""What each fault of the provider comes to: what is stored, what the audit says, what is next.

The real scheduler's quote job, the real SDK and a real store, against the paper exchange; time
is virtual, so that waits and time-outs of the rate windows pass at once.
"""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from sqlalchemy import func, select
from watcher import Watcher

from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.errors import OutsideError
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.runtime.collector import Collector
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.storage.database.tables import LtpData
from data_fetch.storage.runs import recent_runs

DAY = date(2026, 9, 16)
SYMBOLS = [
    "NIFTY",
    "BANKNIFTY",
    "RELIANCE",
    "TCS",
    "INFY",
    "SBIN",
    "ITC",
    "M&M",
    "BAJAJ-AUTO",
    "LT",
]
ALL = len(SYMBOLS)


class CollectorEnv:
    """A collector of ten symbols at 09:15, and an exchange with faults."""

    def __init__(self, collector: Collector, watcher: Watcher) -> None:
        self.collector = collector
        self.watcher = watcher
        self.clock = collector.provider.clock
        self.at("09:15:30")

    def at(self, time: str) -> None:
        until = datetime.fromisoformat(f"{DAY} {time}").replace(tzinfo=IST)
        self.clock.sleep(until - self.clock.now())

    def order(self, **fault: Any) -> None:
        answer = urllib3.request(
            "POST",
            f"{self.collector.provider.base_url}/paper/faults",
            body=orjson.dumps({"fault": [fault]}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status < 300, answer.data

    def key(self, symbol: str) -> str:
        [one] = [m for m in self.collector.universe.members if m.symbol == symbol]
        return one.instrument_key

    def collect(self) -> SyncRun:
        """Run the quotes job as the scheduler would, and return its audit row."""
        try:
            self.collector.quotes.collect_due()
        except OutsideError as problem:
            self.watcher.message(str(problem))
        [run] = recent_runs(self.collector.store, limit=1, job="quotes")
        return run

    def stored(self, symbol: str) -> int:
        with self.collector.store.reading() as connection:
            return connection.scalar(
                select(func.count()).select_from(LtpData).where(LtpData.symbol == symbol)
            )


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> Iterator[CollectorEnv]:
    listed = tmp_path / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    environment = {"FNO_SYMBOLS_FILE": str(listed), "DATABASE_URL": database_url}
    settings = Settings.load(environment, tmp_path)
    watcher = Watcher()
    with rehearsal_for(settings, DAY, DAY, watcher) as (collector, _):
        hold = collector.provider.clock.hold()
        yield CollectorEnv(collector, watcher)
        hold.release()


@pytest.mark.parametrize(
    ("fault", "outcome", "stored", "says"),
    [
        pytest.param(
            {"kind": "rate-limited", "retry_after": 3, "times": 2},
            "completed",
            ALL,
            None,
            id="429 with Retry-After: waited for",
        ),
        pytest.param(
            {"kind": "rate-limited", "times": 1},
            "completed",
            ALL,
            None,
            id="429 without: waited a little",
        ),
        pytest.param(
            {"kind": "rate-limited-in-200", "times": 1},
            "completed",
            ALL,
            None,
            id="429 inside a 200",
        ),
        pytest.param({"kind": "error-in-200"}, "failed", 0, "UDAPI", id="an error body in a 200"),
        pytest.param(
            {"kind": "html-in-200", "times": 1}, "completed", ALL, None, id="HTML in a 200, once"
        ),
        pytest.param(
            {"kind": "html-in-200"},
            "failed",
            0,
            "without a JSON object",
            id="HTML in a 200, for good",
        ),
        pytest.param({"kind": "cloudflare-403"}, "failed", 0, "403", id="blocked by the CDN"),
        pytest.param({"kind": "server-error", "times": 2}, "completed", ALL, None, id="500, twice"),
        pytest.param(
            {"kind": "maintenance", "retry_after": 2, "times": 1},
            "completed",
            ALL,
            None,
            id="503 with Retry-After",
        ),
        pytest.param({"kind": "reset", "times": 1}, "completed", ALL, None, id="a reset, once"),
        pytest.param({"kind": "reset"}, "failed", 0, "Upstox", id="resets for good"),
        pytest.param(
            {"kind": "cut-mid-body", "times": 1},
            "completed",
            ALL,
            None,
            id="cut in the middle, once",
        ),
        pytest.param(
            {"kind": "truncated-json", "times": 1},
            "completed",
            ALL,
            None,
            id="truncated JSON, once",
        ),
        pytest.param({"kind": "truncated-json"}, "failed", 0, "JSON", id="truncated JSON for good"),
        pytest.param(
            {"kind": "partial-success"},
            "completed",
            ALL,
            None,
            id="partial success with all rows in it",
        ),
        pytest.param({"kind": "empty-data"}, "failed", 0, "no row at all", id="an empty answer"),
        pytest.param(
            {"kind": "empty-data", "times": 1}, "completed", ALL, None, id="an empty answer, once"
        ),
        pytest.param({"kind": "token-expired"}, "missed", 0, "token", id="the token has died"),
    ],
)
def test_the_result_of_a_slot_under_faults(
    env: CollectorEnv, fault: dict[str, Any], outcome: str, stored: int, says: str | None
) -> None:
    env.order(api="ltp", **fault)
    env.at("09:16:00")

    run = env.collect()

    assert (str(run.outcome), run.stored, run.requested) == (outcome, stored, ALL)
    assert (says or "") in (run.error or "")
    assert run.due_slot == datetime(2026, 9, 16, 9, 15, tzinfo=IST)


@pytest.mark.parametrize(
    ("kind", "counted", "reason"),
    [
        pytest.param("left-out", "absent", "left it out", id="left out of a good answer"),
        pytest.param("unknown-key", "quarantined", "does not know", id="an unknown key"),
        pytest.param("nulls", "rejected", "", id="nulls"),
        pytest.param("negative-price", "rejected", "", id="a negative price"),
        pytest.param("nan-price", "rejected", "", id="a price that is no number"),
    ],
)
def test_one_bad_row_affects_no_other(
    env: CollectorEnv, kind: str, counted: str, reason: str
) -> None:
    env.order(kind=kind, api="ltp", instruments=[env.key("TCS")])
    env.at("09:16:00")

    run = env.collect()

    assert (str(run.outcome), run.stored, getattr(run, counted)) == ("incomplete", ALL - 1, 1)
    assert reason in run.details[counted]["sample"]["TCS"]
    assert (env.stored("TCS"), env.stored("RELIANCE")) == (0, 1)


def test_volume_that_falls_within_the_day_is_rejected(env: CollectorEnv) -> None:
    env.at("11:00:00")
    env.collect()
    env.order(kind="falling-volume", api="ltp", instruments=[env.key("TCS")])
    env.at("11:01:00")

    run = env.collect()

    assert "volume fell" in run.details["rejected"]["sample"]["TCS"]
    assert (env.stored("TCS"), env.stored("RELIANCE")) == (1, 2)


def test_after_a_failed_slot_the_next_one_is_collected(env: CollectorEnv) -> None:
    env.order(kind="reset", api="ltp", until=f"{DAY}T09:17:00")
    env.at("09:16:00")
    failed = env.collect()
    env.at("09:17:00")

    run = env.collect()

    assert (str(failed.outcome), str(run.outcome)) == ("failed", "completed")
    assert run.due_slot - failed.due_slot == MINUTE


def test_slots_without_a_token_are_missed_with_the_fix_and_no_request(
    env: CollectorEnv,
) -> None:
    env.order(kind="token-expired", api="ltp", times=1)
    env.at("09:16:00")
    first = env.collect()
    sent = env.collector.provider.api.requests_sent
    env.at("09:17:00")

    second = env.collect()

    assert (str(first.outcome), str(second.outcome)) == ("missed", "missed")
    assert "UPSTOX_ACCESS_TOKEN" in second.error
    assert env.collector.provider.api.requests_sent == sent


def test_the_same_slot_collected_twice_leaves_the_same_rows(env: CollectorEnv) -> None:
    env.at("09:16:00")
    env.collect()
    env.collector.quotes.repair(["TCS"])

    assert env.stored("TCS") == 1
