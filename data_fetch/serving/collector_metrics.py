"""The collector as Prometheus metrics, read from its store when they are requested.

The collector needs no port for it, and a monitor sees what is stored, not what a process believes.
What is unknown is left out, never 0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from threading import Lock

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from data_fetch.core.clock import stopwatch
from data_fetch.core.runs import Outcome
from data_fetch.reading.collector_facts import (
    FACTS,
    CollectorFacts,
    DatasetFigures,
    DayCoverageFigures,
    ProviderFigures,
    RunFigures,
)
from data_fetch.reading.feed_status import FeedSummary

# Several monitors, or an impatient one, cost no more than one.
FACTS_LIFE_SECONDS = 10.0

Sample = tuple[Sequence[str], float]


class CollectorMetrics(Collector):
    """The metrics of what *find* returns, which is called at most once in FACTS_LIFE_SECONDS."""

    def __init__(self, find: Callable[[], CollectorFacts]) -> None:
        self._find = find
        self._lock = Lock()
        self._facts: CollectorFacts | None = None
        self._found_at = 0.0

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """No query is made to register it."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        return _metrics(self._recent())

    def _recent(self) -> CollectorFacts:
        with self._lock:
            if self._facts is None or stopwatch() - self._found_at > FACTS_LIFE_SECONDS:
                self._facts = self._find()
                self._found_at = stopwatch()
            return self._facts


def _metrics(facts: CollectorFacts) -> Iterator[GaugeMetricFamily]:
    yield _one("data_fetch_store_up", "1 if the store answers.", facts.store_answers)
    yield _labelled(
        "data_fetch_facts_unknown",
        "1 for figures that could not be read.",
        ["facts"],
        [([name], name in facts.problems) for name in FACTS],
    )
    if facts.waiting_rows is not None:
        yield _one(
            "data_fetch_store_waiting_rows",
            "Rows in the SQLite store that stands in for the configured one.",
            facts.waiting_rows,
        )
    if facts.token is not None and facts.token.expires_at is not None:
        yield _labelled(
            "data_fetch_token_expiry_timestamp_seconds",
            "When the provider's access token ends; absent where that is not known.",
            ["kind"],
            [([str(facts.token.kind)], facts.token.expires_at.timestamp())],
        )
    if facts.ready is not None:
        yield _one(
            "data_fetch_ready",
            "1 if the check before today's open was a go; absent before it.",
            facts.ready,
        )
    if facts.provider is not None:
        yield from _of_provider(facts.provider, facts.at)
    if facts.at is None:
        return
    yield _one(
        "data_fetch_clock_timestamp_seconds",
        "The market's clock; in the paper world the paper market's.",
        facts.at.timestamp(),
    )
    if facts.market_open is not None:
        yield _one(
            "data_fetch_market_open",
            "1 while any listed instrument trades continuously.",
            facts.market_open,
        )
    if facts.runs is not None:
        yield from _of_runs(facts.runs)
    if facts.units is not None:
        yield _labelled(
            "data_fetch_units",
            "Units of work for workers that are not done, dead ones by reason.",
            ["kind", "state", "reason"],
            [([each.kind, each.state, each.reason or ""], each.units) for each in facts.units],
        )
    if facts.feed is not None:
        yield from _of_feed(facts.feed)
    if facts.slots is not None:
        for name, meaning, number in (
            ("due", "Slots of quotes that are over today.", facts.slots.due),
            ("collected", "Slots of today with collected quotes.", facts.slots.collected),
            ("missed", "Slots of today recorded as missed or failed.", facts.slots.missed),
        ):
            yield _one(f"data_fetch_slots_{name}", meaning, number)
    yield from _of_datasets({"quotes": facts.quotes, "chains": facts.chains}, facts.at)
    if facts.coverage is not None:
        yield from _of_coverage(facts.coverage)
    if facts.alerts is not None:
        yield _labelled(
            "data_fetch_alerts_open",
            "Open alerts of `data-fetch alerts watch`.",
            ["rule"],
            [([rule], count) for rule, count in facts.alerts.items()],
        )


def _of_provider(figures: ProviderFigures, at: datetime | None) -> Iterator[GaugeMetricFamily]:
    if at is not None:
        yield _labelled(
            "data_fetch_provider_pause_seconds",
            "For how long a provider wants no request to an API; absent without a pause.",
            ["api"],
            [([api], (until - at).total_seconds()) for api, until in figures.pauses.items()],
        )
    for name, meaning in (
        ("used", "Requests of this machine that count in the provider's window."),
        ("limit", "Requests that the provider allows in the window."),
    ):
        yield _labelled(
            f"data_fetch_provider_window_{name}",
            meaning,
            ["api", "window_seconds"],
            [
                ([use.api, f"{use.window.total_seconds():g}"], getattr(use, name))
                for use in figures.windows
            ],
        )


def _of_feed(feed: FeedSummary) -> Iterator[GaugeMetricFamily]:
    yield _labelled(
        "data_fetch_feed_state",
        "1 for the state of the streaming feed.",
        ["state"],
        [([feed.state], 1)],
    )
    yield _labelled(
        "data_fetch_feed_keys",
        "Keys that are requested of the feed, by mode.",
        ["mode"],
        [([mode], count) for mode, count in feed.report.keys.items()],
    )
    yield _labelled(
        "data_fetch_feed_keys_without_prices",
        "Keys that the feed is to deliver and does not, by reason.",
        ["reason"],
        [
            (["left_out"], sum(feed.report.left_out.values())),
            (["awaited"], feed.report.awaited),
            (["unhonoured"], feed.report.unhonoured),
        ],
    )
    yield _labelled(
        "data_fetch_feed_not_understood",
        "What the feed has sent since its start and was not read or is not known, by kind.",
        ["kind"],
        [([kind], count) for kind, count in feed.report.unread.items()],
    )
    if feed.report.last_tick is not None:
        yield _one(
            "data_fetch_feed_last_tick_timestamp_seconds",
            "When the newest tick of the feed was received, as of the last minute.",
            feed.report.last_tick.timestamp(),
        )
    yield _one(
        "data_fetch_feed_disconnects_today",
        "Intervals of today without the feed.",
        len(feed.disconnects),
    )


def _of_runs(runs: Sequence[RunFigures]) -> Iterator[GaugeMetricFamily]:
    of_today = [run for run in runs if run.today]
    # Prometheus has a label `job` of its own.
    by = ["job_name", "outcome"]
    yield _labelled(
        "data_fetch_runs_today",
        "Runs that began today, by job and outcome.",
        by,
        [([run.job, run.outcome], run.today) for run in of_today],
    )
    yield _labelled(
        "data_fetch_rows_stored_today",
        "Rows that today's runs stored.",
        by,
        [([run.job, run.outcome], run.stored) for run in of_today],
    )
    yield _labelled(
        "data_fetch_provider_requests_today",
        "Requests that today's runs sent to providers.",
        by,
        [([run.job, run.outcome], run.requests) for run in of_today],
    )
    ended = [run for run in runs if run.outcome != Outcome.RUNNING]
    yield _labelled(
        "data_fetch_last_run_timestamp_seconds",
        "When the newest run of the last eight days ended.",
        by,
        [([run.job, run.outcome], run.last_ended.timestamp()) for run in ended],
    )


def _of_datasets(
    datasets: Mapping[str, DatasetFigures | None], at: datetime
) -> Iterator[GaugeMetricFamily]:
    known = {name: figures for name, figures in datasets.items() if figures is not None}
    newest = {name: figures.newest for name, figures in known.items() if figures.newest}
    yield _labelled(
        "data_fetch_symbols",
        "Symbols by the freshness of their quotes or option chains.",
        ["dataset", "state"],
        [
            ([name, state], count)
            for name, figures in known.items()
            for state, count in figures.states.items()
        ],
    )
    yield _labelled(
        "data_fetch_newest_timestamp_seconds",
        "When the newest quote or option chain was received.",
        ["dataset"],
        [([name], instant.timestamp()) for name, instant in newest.items()],
    )
    yield _labelled(
        "data_fetch_lag_seconds",
        "The age of the newest quote or option chain on the market's clock.",
        ["dataset"],
        [([name], (at - instant).total_seconds()) for name, instant in newest.items()],
    )


def _of_coverage(coverage: Mapping[str, DayCoverageFigures]) -> Iterator[GaugeMetricFamily]:
    yield _labelled(
        "data_fetch_coverage_ratio",
        "The part of the minutes due that has a candle, or proof that there is none.",
        ["day"],
        [([name], found.ratio) for name, found in coverage.items() if found.ratio is not None],
    )
    yield _labelled(
        "data_fetch_coverage_candles",
        "Candles of a minute of all listed symbols, by state.",
        ["day", "state"],
        [
            ([name, state], minutes)
            for name, found in coverage.items()
            for state, minutes in found.counts._asdict().items()
        ],
    )


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=value)


def _labelled(
    name: str, meaning: str, labels: Sequence[str], samples: Iterable[Sample]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
