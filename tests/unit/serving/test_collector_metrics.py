"""What a scrape asks of the store, and how often."""

from datetime import timedelta

from freezegun import freeze_time
from prometheus_client import CollectorRegistry, generate_latest

from data_fetch.reading.collector_facts import CollectorFacts
from data_fetch.serving.collector_metrics import FACTS_LIFE_SECONDS, CollectorMetrics


def test_figures_are_read_anew_only_when_they_are_ten_seconds_old() -> None:
    asked = []

    def find() -> CollectorFacts:
        asked.append(None)
        return CollectorFacts()

    registry = CollectorRegistry()
    with freeze_time() as time:
        registry.register(CollectorMetrics(find))
        assert not asked
        for _ in range(3):
            generate_latest(registry)
            time.tick(timedelta(seconds=FACTS_LIFE_SECONDS / 4))
        assert len(asked) == 1
        time.tick(timedelta(seconds=FACTS_LIFE_SECONDS))
        generate_latest(registry)

    assert len(asked) == 2


def test_without_an_answer_of_the_store_there_is_a_zero_and_no_figure() -> None:
    registry = CollectorRegistry()
    registry.register(CollectorMetrics(lambda: CollectorFacts(problems={"store": "away"})))

    text = generate_latest(registry).decode()

    assert "data_fetch_store_up 0.0" in text
    assert 'data_fetch_facts_unknown{facts="store"} 1.0' in text
    assert "slots" not in text.replace('facts="slots"', "")
