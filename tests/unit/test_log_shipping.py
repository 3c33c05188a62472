"""Log lines on their way to Loki and Elasticsearch: the files name fields that lines have.

Vector is not here: its files are parsed, and compared with a line as the product writes it.
"""

import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import DEPLOY

from data_fetch.runtime.logs import start_logging, stop_logging

FOLDER = DEPLOY / "logs"
SHIPPED: dict[str, Any] = yaml.safe_load((FOLDER / "lines.yaml").read_text(encoding="utf-8"))
SINKS: dict[str, Any] = {
    name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["sinks"][name]
    for name in ("loki", "elasticsearch")
}
STACK: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = STACK["services"]

each_sink = pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A line of a real log file."""
    start_logging(tmp_path, "INFO")
    try:
        logging.getLogger("data_fetch.ltp_service").info("stored", extra={"rows": 214})
    finally:
        stop_logging()
    return json.loads((tmp_path / "ltp_service.log").read_text(encoding="utf-8"))


def test_every_log_file_of_the_containers_is_read(tmp_path: Path) -> None:
    [pattern] = SHIPPED["sources"]["files"]["include"]

    assert pattern == "/var/lib/data-fetch/logs/*.log"
    assert "state:/var/lib/data-fetch:ro" in SERVICES["shipper"]["volumes"]
    # Its owner is the one that can read a file of mode 0600.
    assert SERVICES["shipper"]["user"] == "10001:10001"


def test_the_time_of_a_line_is_read(line: dict[str, Any]) -> None:
    [form] = re.findall(r'parse_timestamp!\(.timestamp, "(.+)"\)', program())

    assert datetime.strptime(line["timestamp"], form.replace("%.f", ".%f"))  # noqa: DTZ007


def program() -> str:
    return str(SHIPPED["transforms"]["lines"]["source"])


@each_sink
def test_what_a_sink_names_is_in_a_line(sink: dict[str, Any], line: dict[str, Any]) -> None:
    named = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(sink)))
    made = set(re.findall(r"^\.(\w+) =", program(), re.MULTILINE))

    assert named <= line.keys()
    assert {sink.get("id_key", "timestamp")} <= made | line.keys()
    assert sink["inputs"] == ["lines"]


def test_labels_are_few_and_have_few_values(line: dict[str, Any]) -> None:
    assert SINKS["loki"]["labels"].keys() == {"job", "service", "level"}


def test_a_line_that_is_sent_twice_has_one_id() -> None:
    assert "sha2(string!(.message))" in program()
    assert SINKS["elasticsearch"]["id_key"] == "id"


def test_no_password_is_in_the_files() -> None:
    auth = SINKS["elasticsearch"]["auth"]

    assert re.fullmatch(r"\$\{\w+\}", auth["password"])


def test_containers_start_with_files_that_exist() -> None:
    for service, folder in (("shipper", "/etc/vector"), ("loki", "/etc/loki")):
        named = re.findall(rf"{folder}/([\w.-]+)", " ".join(SERVICES[service]["command"]))
        assert named
        assert [name for name in named if not (FOLDER / name).is_file()] == []


def test_grafana_has_loki_beside_prometheus() -> None:
    folder = DEPLOY / "grafana" / "provisioning" / "datasources"
    sources = [
        source
        for path in folder.glob("*.yml")
        for source in yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    ]

    assert {source["type"] for source in sources} == {"prometheus", "loki"}
    [loki] = [source for source in sources if source["type"] == "loki"]
    assert loki["url"] == "http://loki:3100"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["loki"]["networks"])
