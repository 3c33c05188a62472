"""The reference, the dashboards and the alert rules name what a scrape really has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkout import CHECKOUT
from full_scrape import FullScrape, full_scrape

DEPLOY = CHECKOUT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
REFERENCE = (CHECKOUT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
HOWTO = (CHECKOUT / "docs" / "howto" / "watch-with-grafana.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+) \|$", re.MULTILINE)
METRIC = re.compile(r"\b(?:data_fetch|process)_\w+")
SELECTOR = re.compile(r"\b((?:data_fetch|process)_\w+)\{([^}]*)\}")
OF_PROMETHEUS = {"job", "instance"}


@pytest.fixture(scope="module")
def scrape(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullScrape]:
    folder = tmp_path_factory.mktemp("scrape")
    shutil.copyfile(sqlite_template, folder / "store.db")
    with pytest.MonkeyPatch.context() as patched:
        yield full_scrape(f"sqlite:///{folder / 'store.db'}", folder, patched)


def promtool(*arguments: str, given: str = "") -> str:
    """What promtool prints; the test is skipped where there is none."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: the package prometheus)")
    ended = subprocess.run(
        [program, *arguments], input=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_the_reference_has_every_metric_with_its_type_labels_and_meaning(
    scrape: FullScrape,
) -> None:
    documented = {
        name: (of, set(re.findall(r"`(\w+)`", labels)), meaning)
        for name, of, labels, meaning in ROW.findall(REFERENCE)
    }
    scraped = {}
    for metric in scrape.metrics:
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert metric.samples, f"{name} has no sample"
        scraped[name] = (metric.type, labels, metric.documentation)

    assert documented == scraped


def expressions(document: Any) -> Iterator[str]:
    """Every query of a dashboard, wherever it is."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in {"expr", "query"} and isinstance(value, str):
                yield value
            yield from expressions(value)
    elif isinstance(document, list):
        for each in document:
            yield from expressions(each)


def unknown_names(text: str, scrape: FullScrape) -> set[str]:
    """Metrics in *text* that a scrape lacks, and labels that its samples do not have."""
    known = scrape.labels
    names = {name for name in METRIC.findall(text) if name not in known}
    for name, matchers in SELECTOR.findall(text):
        labels = set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers))
        names |= {f"{name}{{{label}}}" for label in labels - known[name] - OF_PROMETHEUS}
    return names


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_query_of_a_dashboard_has_its_metrics(file: Path, scrape: FullScrape) -> None:
    dashboard = json.loads(file.read_text(encoding="utf-8"))
    queries = list(expressions(dashboard))

    assert len(queries) > 15
    assert {name for query in queries for name in unknown_names(query, scrape)} == set()


def test_together_the_dashboards_show_every_metric_but_one(scrape: FullScrape) -> None:
    shown = set(METRIC.findall("".join(file.read_text(encoding="utf-8") for file in DASHBOARDS)))
    of_ours = {
        f"{metric.name}_{'total' if metric.type == 'counter' else 'bucket'}"
        if metric.type in {"counter", "histogram"}
        else metric.name
        for metric in scrape.metrics
        if metric.name.startswith("data_fetch")
    }

    # The age beside it says the same.
    assert of_ours - shown == {"data_fetch_newest_timestamp_seconds"}


def test_every_rule_has_its_metrics(scrape: FullScrape) -> None:
    assert unknown_names(RULES.read_text(encoding="utf-8"), scrape) == set()


def test_every_alert_is_in_the_guide() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8"))

    assert len(alerts) > 10
    assert [alert for alert in alerts if f"`{alert}`" not in HOWTO] == []


def test_promtool_finds_nothing_wrong_with_the_metrics(scrape: FullScrape) -> None:
    assert promtool("check", "metrics", given=scrape.text) == ""


def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))


def test_alerts_fire_and_stay_silent_as_their_cases_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(DEPLOY / "prometheus" / "rules.test.yml"))
