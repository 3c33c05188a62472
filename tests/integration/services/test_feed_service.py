"""The feed of a collector against the paper exchange, on a virtual clock."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import urllib3
from sqlalchemy import select
from watcher import Watcher

from data_fetch.cli.freshness import quote_lines
from data_fetch.core.clock import IST
from data_fetch.core.feed.disconnects import Disconnect
from data_fetch.core.feed.report import FeedReport, UnhonouredKey
from data_fetch.core.feed.subscriptions import NO_ENTRY
from data_fetch.core.market.calendar import MarketCalendar
from data_fetch.core.runs import Outcome, SyncRun
from data_fetch.core.settings import Settings
from data_fetch.reading.feed_recordings import recorded_feed_days, replayed_recording
from data_fetch.reading.quote_freshness import QuoteFreshness, quote_freshness
from data_fetch.runtime.archive import archive_workers_for, days_here
from data_fetch.runtime.collector import Collector
from data_fetch.runtime.rehearsal import rehearsal_for
from data_fetch.services.feed import FeedService
from data_fetch.services.minute_candles import CandleService
from data_fetch.services.polling import Polling
from data_fetch.services.slot_listeners import QueuedListener
from data_fetch.storage.database.tables import CandleRow, LtpData, table
from data_fetch.storage.feed import FeedStore, StoredDisconnect, disconnects_since, feed_report
from data_fetch.storage.live_prices import live_candles, live_legs
from data_fetch.storage.runs import recent_runs, record_runs

DAY = date(2026, 9, 16)
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE")
SECOND, DAYS = timedelta(seconds=1), timedelta(days=1)


DAY = date(2026, 9, 16)
SYMBOLS = ("NIFTY", "BANKNIFTY", "RELIANCE")
SECOND = timedelta(seconds=1)
NIFTY = "NSE_INDEX|Nifty 50"
# Of virtual time: what has not happened by then does not happen.
PATIENCE_SECONDS = 300


class FeedEnv:
    """A collector with a feed at 10:00 IST, and an exchange with faults. Time passes in `until`."""

    def __init__(self, collector: Collector, watcher: Watcher) -> None:
        self.collector = collector
        self.watcher = watcher
        self.clock = collector.provider.clock
        self.store = collector.store
        [self.feed] = [each for each in collector.services if isinstance(each, FeedService)]
        self.clock.sleep(datetime(2026, 9, 16, 10, tzinfo=IST) - self.clock.now())

    def key(self, symbol: str) -> str:
        """Its live key."""
        members = self.collector.universe.members
        return next(each.live_key for each in members if each.symbol == symbol)

    def order(self, **fault: Any) -> None:
        self._order([fault])

    def silence(self, key: str) -> None:
        """No frame of the exchange has *key*, from the next connection on, which begins now."""
        kinds = ("feed-snapshot-missing", "feed-half-mute")
        dead = [{"kind": kind, "instruments": [key]} for kind in kinds]
        self._order([*dead, {"kind": "feed-cut", "times": 1}])

    def _order(self, faults: Sequence[dict[str, Any]]) -> None:
        url = f"{self.collector.provider.base_url}/paper/faults"
        answer = urllib3.request("POST", url, body=orjson.dumps({"fault": faults}))
        assert answer.status < 300, answer.data

    def until(self, condition: Callable[[FeedReport], object]) -> FeedReport:
        """The report for which *condition* holds; the feed's job runs each second until then."""
        for _ in range(PATIENCE_SECONDS):
            self.feed.tick()
            report = feed_report(self.store)
            assert report is not None
            if condition(report):
                return report
            self.clock.sleep(SECOND)
        raise AssertionError(f"waited in vain: {report}")

    def state(self, state: str) -> FeedReport:
        return self.until(lambda report: report.state == state)

    def sleep_until(self, time: str) -> None:
        until = datetime.fromisoformat(f"{DAY} {time}").replace(tzinfo=IST)
        self.clock.sleep(until - self.clock.now())

    def close_slot(self) -> None:
        """Close the slot that ends now, and fill it."""
        self.feed.close_slot()
        self.feed.tick()

    def announced(self) -> dict[str, set[str]]:
        """The symbols whose quotes the slot listeners got, by job."""
        for each in self.collector.services:
            if isinstance(each, QueuedListener):
                each.close()
        return {
            run.job: {quote.symbol for quote in quotes}
            for run, quotes in zip(self.watcher.runs, self.watcher.quotes, strict=True)
        }

    def sources(self) -> dict[str, str]:
        """The source of each symbol's quote."""
        quotes = table(LtpData)
        query = select(quotes.c.symbol, quotes.c.source)
        with self.store.reading() as connection:
            return {row.symbol: row.source for row in connection.execute(query)}

    def freshness(self) -> QuoteFreshness:
        """What a process beside the collector says of the quotes."""
        collector = self.collector
        return quote_freshness(
            collector.context.settings,
            self.store,
            MarketCalendar.reviewed(),
            self.clock.now(),
            collector.universe.members,
        )

    def disconnects(self) -> list[StoredDisconnect]:
        return disconnects_since(self.store, datetime(2026, 9, 16, tzinfo=IST))


@contextmanager
def feed_env(tmp_path: Path, database_url: str, **more: str) -> Iterator[FeedEnv]:
    listed = tmp_path / "symbols.txt"
    listed.write_text("\n".join(SYMBOLS))
    environment = {
        "FNO_SYMBOLS_FILE": str(listed),
        "DATABASE_URL": database_url,
        "FEED_ENABLED": "true",
        **more,
    }
    settings = Settings.load(environment, tmp_path)
    watcher = Watcher()
    with rehearsal_for(settings, DAY, DAY, watcher) as (collector, _):
        hold = collector.provider.clock.hold()
        one = FeedEnv(collector, watcher)
        yield one
        one.feed.close()
        hold.release()


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> Iterator[FeedEnv]:
    with feed_env(tmp_path, database_url) as one:
        yield one


def test_the_feed_becomes_live_with_the_universe_and_the_index_chains(env: FeedEnv) -> None:
    report = env.until(lambda report: report.state == "live" and len(report.keys) == 2)

    # The future shows whether prices come when indices do not.
    assert report.keys["full"] == len([*SYMBOLS, "NIFTY FUT"])
    assert report.keys["option_greeks"] > 20
    assert report.left_out == {}
    assert report.last_tick is not None
    assert env.disconnects() == []


def test_a_symbol_that_is_polled_too_is_subscribed_on_the_same_connection(env: FeedEnv) -> None:
    before = env.until(lambda report: report.state == "live" and len(report.keys) == 2)
    polling = Polling(env.collector.context.settings, env.store, env.collector.universe.members)

    polling.add(["RELIANCE"], {}, env.clock.now())
    env.until(lambda report: report.keys["option_greeks"] > before.keys["option_greeks"])
    after = env.until(lambda report: report.awaited == 0)

    assert after.state == "live"
    assert after.since == before.since
    assert (after.unhonoured, after.unhonoured_keys) == (0, ())


def test_a_key_that_is_not_delivered_is_named_with_its_reason(
    env: FeedEnv, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stock = env.key("RELIANCE")
    env.until(lambda report: report.state == "live" and report.awaited == 0)

    env.silence(stock)
    report = env.until(lambda report: report.unhonoured)

    env.feed.tick()

    assert report.unhonoured_keys == (UnhonouredKey(stock, "RELIANCE", NO_ENTRY),)
    assert report.state == "live"
    # Once, though each run of the job finds it.
    [logged] = [each for each in caplog.records if each.message == "feed_keys_not_delivered"]
    assert vars(logged)["sample"] == {stock: NO_ENTRY}


def test_what_cannot_be_read_is_counted_and_logged_once(
    env: FeedEnv, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    env.until(lambda report: report.state == "live" and report.awaited == 0)

    env.order(kind="feed-junk", times=2)
    report = env.until(lambda report: report.unread.get("junk") == 2)
    env.feed.tick()

    assert report.state == "live"
    logged = [each for each in caplog.records if each.message == "feed_not_understood"]
    assert len(logged) == 1


def test_an_option_that_is_not_delivered_has_the_name_of_its_contract(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and len(report.keys) == 2)
    env.until(lambda report: report.awaited == 0)
    midnight = datetime(2026, 9, 16, tzinfo=IST)
    with env.store.reading() as connection:
        option, *_ = live_legs(connection, [NIFTY], None, midnight)
    live_key = option.instrument_key.rpartition("|")[0]

    env.silence(live_key)
    report = env.until(lambda report: report.unhonoured)

    [named] = report.unhonoured_keys
    side = option.option_type[0]
    assert named.symbol == f"NIFTY{option.expiry:%Y%m%d}{side}{option.strike:.0f}"
    assert (named.key, named.reason) == (live_key, NO_ENTRY)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "feed-cut"}, "the connection was cut"),
        ({"kind": "feed-close", "code": 1000}, "the server closed the connection (1000)"),
    ],
    ids=["cut", "closed"],
)
def test_a_disconnect_is_a_row_with_its_cause_and_keys(
    env: FeedEnv, fault: dict[str, Any], cause: str
) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)

    env.order(**fault, times=1)
    env.until(lambda _: any(each.ended for each in env.disconnects()))

    [disconnect] = env.disconnects()
    assert disconnect.cause == cause
    assert disconnect.ended is not None
    assert disconnect.began < disconnect.ended
    assert disconnect.keys >= len(SYMBOLS)
    assert "NSE_INDEX|Nifty 50" in disconnect.sample or disconnect.keys > 20


def test_a_disconnect_that_lasts_is_a_row_without_an_end(env: FeedEnv) -> None:
    env.order(kind="server-error", api="feed-authorize")

    env.state("dead")
    [lasting] = env.disconnects()

    assert lasting.ended is None
    assert lasting.keys >= len(SYMBOLS)


def test_the_end_of_a_collector_ends_its_disconnect_and_is_reported(env: FeedEnv) -> None:
    env.order(kind="server-error", api="feed-authorize")
    env.state("dead")

    env.feed.close()

    report = feed_report(env.store)
    assert report is not None
    assert (report.state, report.cause) == ("stopped", "the feed was stopped")
    [disconnect] = env.disconnects()
    assert disconnect.ended is not None


def test_what_an_ended_collector_left_open_ends_when_the_next_one_begins(env: FeedEnv) -> None:
    # One more than may be tried again within a second.
    env.order(kind="server-error", api="feed-authorize", times=3)
    env.state("dead")

    FeedStore(env.store).end_open(env.clock.now())

    [ended] = env.disconnects()
    assert ended.ended == env.clock.now()


def test_a_slot_without_any_quote_is_filled_at_its_close(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)

    env.sleep_until("10:10:00")

    env.close_slot()

    filled = env.sources()
    assert {"NIFTY": "feed", "BANKNIFTY": "feed"}.items() <= filled.items()
    [run] = recent_runs(env.store, 1, "feed")
    assert run.due_slot == datetime(2026, 9, 16, 10, 9, tzinfo=IST)
    assert run.stored == len(filled)


def test_what_was_filled_is_announced_as_quotes_of_requests_are(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.sleep_until("10:10:00")
    env.close_slot()
    env.sleep_until("10:11:00")
    env.collector.quotes.collect_due()
    env.close_slot()

    announced = env.announced()

    assert {"NIFTY", "BANKNIFTY"} <= announced["feed"]
    assert announced["quotes"] == set(SYMBOLS)
    assert [run.job for run in env.watcher.runs].count("feed") == 1


def test_a_quote_that_a_request_brought_stays(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.sleep_until("10:10:00")
    env.collector.quotes.collect_due()

    env.close_slot()

    assert set(env.sources().values()) == {"paper"}


def test_a_request_that_comes_later_replaces_what_was_filled(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.sleep_until("10:10:00")
    env.close_slot()

    env.collector.quotes.collect_due()

    assert set(env.sources().values()) == {"paper"}


def test_a_feed_that_was_away_in_the_slot_fills_nothing(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.sleep_until("10:09:10")
    env.order(kind="feed-cut", times=1)
    env.until(lambda _: any(each.ended for each in env.disconnects()))
    env.state("live")

    env.sleep_until("10:10:00")
    env.close_slot()

    assert env.sources() == {}


def test_without_the_setting_nothing_is_recorded(env: FeedEnv) -> None:
    report = env.state("live")

    assert report.recording is None
    assert not env.collector.context.settings.feed_folder.exists()


def test_with_the_setting_every_message_is_recorded_and_can_be_replayed(
    tmp_path: Path, database_url: str
) -> None:
    with feed_env(tmp_path, database_url, FEED_RECORDING_DAYS="2") as env:
        report = env.until(
            lambda report: (
                report.state == "live"
                and len(report.keys) == 2
                and report.awaited == 0
                and report.recording is not None
                and report.recording.files >= 2
            )
        )
        env.feed.close()
        settings = env.collector.context.settings
        [day] = recorded_feed_days(settings)
        replayed = replayed_recording(settings, str(DAY))
        again = replayed_recording(settings, str(settings.feed_folder))

    assert (day.day, day.messages, day.damaged) == (DAY, replayed.messages.messages, [])
    assert day.minutes >= 3
    assert len(replayed.by_key) == sum(report.keys.values())
    assert replayed.ticks.ticks > len(replayed.by_key)
    assert replayed.messages.junk == 0
    assert again == replayed


def test_a_feed_that_cannot_be_recorded_is_live_and_says_so(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        feed_env(tmp_path, database_url, FEED_RECORDING_DAYS="2") as env,
    ):
        blocked = env.collector.context.settings.feed_folder
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_text("a file")
        report = env.until(lambda report: report.state == "live" and report.awaited == 0)

    assert report.recording is not None
    assert report.recording.files == 0
    assert report.recording.failed >= 1
    assert report.recording.problem.startswith("the feed is not recorded: ")
    assert "feed_not_recorded" in [each.message for each in caplog.records]


def test_a_disconnect_stays_for_ever_as_the_audit_does(env: FeedEnv) -> None:
    """The archive makes its rounds, and the next collector begins."""
    began = env.clock.now() - 4 * 365 * DAYS
    run = SyncRun.begin("quotes", began, began).finish(began, Outcome.COMPLETED)
    record_runs(env.store, [run])
    old = Disconnect(began=began, ended=began + SECOND, cause="it was cut", keys=frozenset("a"))
    FeedStore(env.store).record(env.state("live"), [old])
    settings = env.collector.context.settings

    with archive_workers_for(settings, Watcher().message, days_here) as workers:
        archived = workers.once()
    FeedStore(env.store).end_open(env.clock.now())
    env.feed.tick()

    assert [each.error for each in archived] == [None] * len(archived)
    [kept, *_] = disconnects_since(env.store, began)
    assert (kept.began, kept.cause) == (began, "it was cut")
    assert run.run_id in {each.run_id for each in recent_runs(env.store, 100, "quotes")}


def test_a_whole_minute_of_the_feed_is_the_candle_that_a_request_brings(env: FeedEnv) -> None:
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.sleep_until("10:10:12")
    env.feed.tick()
    [requests] = [each for each in env.collector.services if isinstance(each, CandleService)]
    requests.collect()

    stored = table(CandleRow).c
    at_ten_nine = datetime(2026, 9, 16, 10, 9, tzinfo=IST)
    query = select(stored.open, stored.high, stored.low, stored.close, stored.timestamp).where(
        stored.instrument_key == NIFTY
    )
    with env.store.reading() as connection:
        live = {each.start: each for each in live_candles(connection, NIFTY, at_ten_nine)}
        [candle] = connection.execute(query).all()
    found = live[at_ten_nine]
    assert found.is_whole
    assert not live[at_ten_nine + timedelta(minutes=1)].is_whole
    assert tuple(candle) == (found.open, found.high, found.low, found.close, at_ten_nine)


def test_a_symbol_whose_ticks_have_stopped_is_the_oldest_one(env: FeedEnv) -> None:
    """Each other symbol ticks at least every 15 seconds."""
    env.until(lambda report: report.state == "live" and report.awaited == 0)
    env.order(kind="feed-half-mute", instruments=[env.key("RELIANCE")])
    silent, later = env.clock.now(), datetime(2026, 9, 16, 10, 3, tzinfo=IST)

    env.sleep_until("10:03:00")
    env.until(lambda report: report.last_tick is not None and report.last_tick >= later)
    found = env.freshness()

    last = found.tick("RELIANCE")
    assert last.received_at is not None
    assert last.received_at <= silent
    assert last.age == found.at - last.received_at
    others = [found.tick(symbol).received_at for symbol in ("NIFTY", "BANKNIFTY")]
    assert [at for at in others if at is None or at < later] == []
    median = (found.at - min(at for at in others if at is not None)).total_seconds()
    printed, *symbols = quote_lines(found)
    assert printed.endswith(
        f"3 never_seen; ticks {median:.1f} s old at the median, "
        f"oldest {last.age_seconds:.1f} s (RELIANCE)"
    )
    assert symbols[-1].endswith(f", last tick {last.age_seconds:.1f} s ago")


def test_the_subscribed_options_are_live(env: FeedEnv) -> None:
    report = env.until(lambda report: report.state == "live" and len(report.keys) == 2)
    env.until(lambda report: report.awaited == 0)
    env.sleep_until("10:10:12")
    env.feed.tick()

    midnight = datetime(2026, 9, 16, tzinfo=IST)
    with env.store.reading() as connection:
        legs = live_legs(connection, [NIFTY, "NSE_INDEX|Nifty Bank"], None, midnight)

    assert len(legs) == report.keys["option_greeks"]
    # Options that were never traded have no open interest.
    assert len([leg for leg in legs if leg.oi and leg.iv and leg.delta]) > 20
