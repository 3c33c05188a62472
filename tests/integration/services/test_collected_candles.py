"""What a collector comes to hold of a running day: bars, explained minutes, repaired gaps.

The real scheduler with all its jobs, against the paper exchange, on a virtual clock: an hour of
Muhurat trading (2025-10-21, 13:45 to 14:45) or a part of it. SRF and CIPLA trade little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from sqlalchemy import select
from watcher import Watcher

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import DayCoverage, State
from data_fetch.core.clock import IST, MINUTE
from data_fetch.core.runs import SyncRun
from data_fetch.core.settings import Settings
from data_fetch.runtime.collector import Collector
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.scheduling.scheduler import DataScheduler
from data_fetch.storage.candles.coverage import load_days
from data_fetch.storage.database.tables import CandleRevision, CandleRow
from data_fetch.storage.runs import recent_runs

DAY, NEXT_DAY = date(2025, 10, 21), date(2025, 10, 23)
LIQUID, QUIET = ["NIFTY", "RELIANCE", "TCS"], ["CIPLA", "SRF"]
SYMBOLS = [*LIQUID, *QUIET]
OPEN = datetime(2025, 10, 21, 13, 45, tzinfo=IST)


@dataclass
class CollectorEnv:
    """A collector in the morning, and an exchange with faults."""

    collector: Collector
    watcher: Watcher
    scheduler: DataScheduler = field(default_factory=DataScheduler)

    def run(self, until: str) -> None:
        """Collect up to an IST time of the day."""
        self.scheduler.run(self.collector, at(until))

    def pass_time(self, until: datetime) -> None:
        """Advance the clock without collecting."""
        clock = self.collector.provider.clock
        hold = clock.hold()
        clock.sleep(until - clock.now())
        hold.release()

    def do(self, job: str) -> None:
        """Run one job now."""
        hold = self.collector.provider.clock.hold()
        self.collector.jobs[job].work()
        hold.release()

    def order(self, **fault: Any) -> None:
        answer = urllib3.request(
            "POST",
            f"{self.collector.provider.base_url}/paper/faults",
            body=orjson.dumps({"fault": [fault]}),
        )
        assert answer.status < 300, answer.data

    def key(self, symbol: str) -> str:
        [one] = [m for m in self.collector.universe.members if m.symbol == symbol]
        return one.instrument_key

    def candles(self, symbol: str, day: date = DAY) -> dict[str, Any]:
        """The stored candles of that day, by IST time."""
        query = select(CandleRow).where(CandleRow.instrument_key == self.key(symbol))
        with self.collector.store.reading() as connection:
            rows = [(row.timestamp.astimezone(IST), row) for row in connection.execute(query)]
        return {f"{start:%H:%M}": row for start, row in rows if start.date() == day}

    def revisions(self) -> list[Any]:
        with self.collector.store.reading() as connection:
            return list(connection.execute(select(CandleRevision)))

    def ledger(self, symbol: str, day: date = DAY) -> DayCoverage:
        key = self.key(symbol)
        with self.collector.store.reading() as connection:
            return load_days(connection, [key], CandleInterval.MINUTE, day, day)[key, day]

    def runs(self, job: str) -> list[SyncRun]:
        """All runs of *job*, oldest first."""
        return recent_runs(self.collector.store, limit=1000, job=job)[::-1]


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> Iterator[CollectorEnv]:
    listed = tmp_path / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    environment = {"FNO_SYMBOLS_FILE": str(listed), "DATABASE_URL": database_url}
    watcher = Watcher()
    with rehearsal_for(Settings.load(environment, tmp_path), DAY, DAY, watcher) as (
        collector,
        _,
    ):
        yield CollectorEnv(collector, watcher)


def at(time: str, day: date = DAY) -> datetime:
    return datetime.fromisoformat(f"{day} {time}").replace(tzinfo=IST)


def times(first: str, minutes: int) -> list[str]:
    """So many minutes from *first* on, as HH:MM."""
    return [f"{at(first) + n * MINUTE:%H:%M}" for n in range(minutes)]


def test_every_minute_has_a_provisional_candle_ten_seconds_after_it(
    env: CollectorEnv,
) -> None:
    env.run("13:57:30")

    for symbol in LIQUID:
        bars = env.candles(symbol)
        assert sorted(bars) == times("13:45", 12)
        assert {row.is_final for row in bars.values()} == {False}
        assert {row.source for row in bars.values()} == {"paper"}
    late = [row.fetched_at - row.timestamp for row in env.candles("RELIANCE").values()]
    assert late == [timedelta(seconds=70)] * 12
    assert len(env.ledger("RELIANCE").provisional) == 1
    assert env.ledger("RELIANCE").minutes(State.PRESENT) == 12


def test_each_minute_is_one_request_and_one_audit_row(env: CollectorEnv) -> None:
    env.run("13:57:30")

    runs = env.runs("candles")
    assert [run.due_slot for run in runs] == [OPEN + n * MINUTE for n in range(12)]
    assert [run.started_at for run in runs] == [at("13:46:10") + n * MINUTE for n in range(12)]
    assert {(run.outcome, run.requests, run.requested) for run in runs} == {("completed", 1, 5)}
    repeated = sum(run.details["repeated"] for run in runs)
    assert repeated > 0
    assert sum(run.stored + run.absent for run in runs) + repeated == 12 * len(SYMBOLS)


def test_minutes_that_quotes_prove_to_be_without_trades_are_not_requested(
    env: CollectorEnv,
) -> None:
    env.run("14:05:45")

    quiet = [env.ledger(symbol) for symbol in QUIET]
    assert [known.minutes(State.MISSED) for known in quiet] == [0, 0]
    assert sum(known.minutes(State.NO_TRADE) for known in quiet) > 0
    proofs = {one.proof for known in quiet for one in known.intervals} - {None}
    runs = {run.run_id: run.job for run in env.runs("coverage")}
    assert {runs.get(proof.run_id) for proof in proofs} == {"coverage"}
    # Only the very first minute has no quote before it.
    assert sum(run.requests for run in env.runs("coverage")) <= len(QUIET)


@pytest.mark.parametrize("kind", ["server-error", "empty-data", "html-in-200"])
def test_a_minute_without_a_response_is_repaired_by_the_next_check(
    env: CollectorEnv, kind: str
) -> None:
    env.order(kind=kind, api="ohlc", **{"from": at("13:52").isoformat()}, until=str(at("13:53")))
    env.run("13:55:10")
    before = [sorted(env.candles(symbol)) for symbol in LIQUID]
    env.run("13:55:45")

    assert before == [[t for t in times("13:45", 10) if t != "13:51"]] * len(LIQUID)
    for symbol in LIQUID:
        assert sorted(env.candles(symbol)) == times("13:45", 10)
    [check] = [run for run in env.runs("coverage") if run.started_at == at("13:55:40")]
    assert (check.outcome, check.details["missed"]) == ("completed", 0)
    assert check.requests >= len(LIQUID)


def test_a_failed_request_is_a_failed_run_with_its_error(env: CollectorEnv) -> None:
    env.order(kind="reset", api="ohlc", until=str(at("13:46:50")))
    env.run("13:47:30")

    failed, good = env.runs("candles")
    assert (failed.outcome, failed.due_slot, failed.stored) == ("failed", OPEN, 0)
    assert "Upstox" in str(failed.error)
    assert good.outcome == "completed"
    assert [job for job, _ in (text.split(":", 1) for text in env.scheduler.failures)] == [
        "candles"
    ]


def test_an_unknown_key_does_not_affect_the_others(env: CollectorEnv) -> None:
    env.order(kind="unknown-key", api="ohlc", instruments=[env.key("TCS")])
    env.run("13:48:30")

    first, second, third = env.runs("candles")
    assert (first.outcome, first.quarantined) == ("incomplete", 1)
    assert "TCS" in first.details["quarantined"]["sample"]
    # The suspect is requested apart from the others.
    assert first.requests > second.requests == third.requests == 2
    assert sorted(env.candles("RELIANCE")) == times("13:45", 3)
    assert env.candles("TCS") == {}


def test_minutes_that_passed_while_no_collector_ran_are_repaired(env: CollectorEnv) -> None:
    env.run("13:52:30")
    env.pass_time(at("14:12:30"))
    env.run("14:15:45")

    for symbol in LIQUID:
        assert sorted(env.candles(symbol)) == times("13:45", 30)
    assert {env.ledger(symbol).minutes(State.MISSED) for symbol in SYMBOLS} == {0}
    [line] = [remark for remark in env.watcher.remarks if remark.startswith("14:15 coverage: ")]
    assert line.endswith(" minutes stored, 0 still missing")


def test_candles_missed_without_a_token_are_repaired_from_history(
    env: CollectorEnv,
) -> None:
    env.order(kind="token-expired", api="ohlc", times=1)
    env.run("13:50:45")

    runs = env.runs("candles")
    # After three minutes one request finds out that the token is taken.
    assert [run.outcome for run in runs] == ["missed"] * 3 + ["completed"] * 2
    assert all("UPSTOX_ACCESS_TOKEN" in str(run.error) for run in runs[:3])
    assert env.scheduler.failures == []
    # Candles are asked for without a token.
    assert sorted(env.candles("RELIANCE")) == times("13:45", 5)


def test_a_provider_that_denies_candles_fails_one_check_and_no_quote(
    env: CollectorEnv,
) -> None:
    env.order(kind="empty-data", api="ohlc")
    env.order(kind="cloudflare-403", api="candles")
    env.run("14:05:45")

    [failure] = [each for each in env.scheduler.failures if each.startswith("coverage")]
    assert failure.startswith("coverage: Upstox denies access (403)")
    # The candles of the minute: a response without any row is a fault.
    assert any(each.startswith("candles") for each in env.scheduler.failures)
    checks = env.runs("coverage")
    assert [run.outcome for run in checks] == ["completed"] + ["failed"] * 4
    said = [remark for remark in env.watcher.remarks if "stopped: Upstox denies" in remark]
    assert said[0].startswith("13:50 coverage: ")
    assert {run.outcome for run in env.runs("quotes")} == {"completed"}


# --- the provider's history has the last word -------------------------------------------------


def test_finalising_the_next_day_confirms_stored_candles_without_a_revision(
    env: CollectorEnv,
) -> None:
    env.run("16:30")
    provisional = {symbol: env.candles(symbol) for symbol in SYMBOLS}
    env.pass_time(at("20:00", NEXT_DAY))
    env.do("finalise")

    assert {row.is_final for bars in provisional.values() for row in bars.values()} == {False}
    for symbol, bars in provisional.items():
        final = env.candles(symbol)
        assert {row.is_final for row in final.values()} == {True}
        assert {time: said(row) for time, row in final.items()} == {
            time: said(row) for time, row in bars.items()
        }
        known = env.ledger(symbol)
        assert (known.provisional, known.minutes(State.MISSED, State.PENDING)) == ((), 0)
    assert env.revisions() == []


def test_a_correction_of_the_exchange_is_a_revision_beside_the_old_version(
    env: CollectorEnv,
) -> None:
    env.run("16:30")
    before = env.candles("RELIANCE")
    env.order(
        kind="corrected-candles",
        api="candles",
        instruments=[env.key("RELIANCE")],
        bars_from=str(at("14:00")),
        bars_until=str(at("14:03")),
    )
    env.pass_time(at("20:00", NEXT_DAY))
    env.do("finalise")

    after = env.candles("RELIANCE")
    changed = [time for time in before if said(before[time]) != said(after[time])]
    assert sorted(changed) == times("14:00", 3)
    old = {f"{row.timestamp.astimezone(IST):%H:%M}": row for row in env.revisions()}
    assert {time: said(row) for time, row in old.items()} == {
        time: said(before[time]) for time in changed
    }
    assert {row.superseded_at for row in old.values()} == {
        after[time].fetched_at for time in changed
    }
    assert {row.is_final for row in after.values()} == {True}


def said(row: Any) -> tuple[Any, ...]:
    return (row.open, row.high, row.low, row.close, row.volume, row.oi, row.kind)


# --- stopping -----------------------------------------------------------------------------------


def test_nothing_is_requested_after_a_stop(env: CollectorEnv) -> None:
    env.run("13:50:30")
    sent = env.collector.provider.api.requests_sent
    env.collector.context.stop.set()
    env.do("weekly")

    assert env.collector.provider.api.requests_sent == sent
    assert env.runs("weekly") == []
