"""The metrics of one server: its traffic, its streams, and the collector that fills its store.

Each server has a registry of its own, so that several in one process do not share counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from data_fetch import __version__
from data_fetch.core.settings import Settings
from data_fetch.reading.collector_facts import CollectorFacts
from data_fetch.serving.collector_metrics import CollectorMetrics
from data_fetch.serving.traffic import Traffic
from data_fetch.serving.troubles import Troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """The clients of streams at present, and what became of messages since the server started.

    *clients* are by door, *rooms* are clients by room. *queued* messages and *queued_bytes* wait
    for all clients together, *longest_queue* for one of them; *replaced* messages made room for a
    newer value; *closed* are clients that the server closed, by reason.
    """

    clients: Mapping[str, int]
    rooms: Mapping[str, int]
    queued: int
    queued_bytes: int
    longest_queue: int
    sent: int
    replaced: int
    closed: Mapping[str, int]


class ServerMetrics:
    """The registry of one server, and its text for Prometheus."""

    def __init__(self, settings: Settings, troubles: Troubles) -> None:
        self._registry = CollectorRegistry()
        self._streams: Callable[[], StreamFigures] | None = None
        self.traffic = Traffic(self._registry)
        self._registry.register(_Build(settings))
        self._registry.register(_Degraded(troubles))
        ProcessCollector(registry=self._registry)

    def watch_collector(self, facts: Callable[[], CollectorFacts]) -> None:
        """From now on the metrics have the collector's *facts*. Of several servers over one store
        one is enough."""
        self._registry.register(CollectorMetrics(facts))

    def watch_streams(self, figures: Callable[[], StreamFigures]) -> None:
        """From now on there are *figures* of streams."""
        self._streams = figures

    def streams(self) -> StreamFigures | None:
        """The present figures of streams; None for a server without streams. To be called on the
        event loop, which the streams belong to."""
        return self._streams() if self._streams else None

    def text(self, streams: StreamFigures | None) -> bytes:
        """All metrics in Prometheus' text format, with those of *streams*. Queries the store,
        unless it just has."""
        return generate_latest(_Exposed(self._registry, streams))


class _Exposed(CollectorRegistry):
    """The metrics of *registry* and *streams*, without the series of when each counter began, which
    would double their number."""

    def __init__(self, registry: CollectorRegistry, streams: StreamFigures | None) -> None:
        super().__init__()
        self._all = registry
        self._streams = streams

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
        if self._streams is not None:
            yield from _of_streams(self._streams)


class _Build(Collector):
    def __init__(self, settings: Settings) -> None:
        self._facts = {"version": __version__, "world": settings.world.value}

    def collect(self) -> Iterator[Metric]:
        meaning = "The version of the server and the world of its store."
        yield InfoMetricFamily("data_fetch_build", meaning, value=self._facts)


class _Degraded(Collector):
    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles

    def collect(self) -> Iterator[Metric]:
        meaning = "1 while the server goes on without something, as its answers say."
        yield GaugeMetricFamily(
            "data_fetch_server_degraded", meaning, value=self._troubles.degraded is not None
        )


def _of_streams(figures: StreamFigures) -> Iterator[Metric]:
    clients = GaugeMetricFamily(
        "data_fetch_stream_clients", "Clients of streams, by door.", labels=["door"]
    )
    for door, count in figures.clients.items():
        clients.add_metric([door], count)
    closed = CounterMetricFamily(
        "data_fetch_stream_clients_closed",
        "Clients of streams that the server closed, by reason.",
        labels=["reason"],
    )
    for reason, count in figures.closed.items():
        closed.add_metric([reason], count)
    yield clients
    yield closed
    for name, meaning, number in (
        ("rooms", "Rooms that have a client.", len(figures.rooms)),
        ("queued_messages", "Messages that wait for clients.", figures.queued),
        ("queued_bytes", "Bytes that wait for clients.", figures.queued_bytes),
        ("longest_queue_messages", "The most that wait for one client.", figures.longest_queue),
    ):
        yield GaugeMetricFamily(f"data_fetch_stream_{name}", meaning, value=number)
    for name, meaning, number in (
        ("messages_sent", "Messages sent to clients, each client counted.", figures.sent),
        (
            "messages_replaced",
            "Messages that a newer value of the same key replaced before they were sent.",
            figures.replaced,
        ),
    ):
        yield CounterMetricFamily(f"data_fetch_stream_{name}", meaning, value=number)
