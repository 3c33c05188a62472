"""The interface as it is written down: the description, its promises, and a client made of it."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_promises import DESCRIPTION, KEPT, kept_promises, promises
from candle_shelf import environment_for
from chain_shelf import OPENS, chain, keep, received
from served import Served, served

from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.serving.app import description
from data_fetch.storage.database.store import open_store

RENEW = "Renew it: make openapi"
LONGEST_NAME = 30


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The description of this version, as a client receives it."""
    folder = tmp_path_factory.mktemp("described")
    made = description(Settings.load({"DATA_SOURCE": "paper"}, folder))
    return json.loads(json.dumps(made))


def test_the_description_under_version_control_is_that_of_the_server(present: Any) -> None:
    assert json.loads(DESCRIPTION.read_text(encoding="utf-8")) == present, RENEW


def test_no_promise_is_broken(present: Any) -> None:
    broken = kept_promises() - promises(present)

    assert broken == set(), (
        f"Programs in use would break. Restore it; or take the lines out of {KEPT.name} and say so "
        "in CHANGELOG.md."
    )


def test_every_promise_is_kept_from_now_on(present: Any) -> None:
    assert promises(present) - kept_promises() == set(), RENEW


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, of_path in document["paths"].items():
        for method, operation in of_path.items():
            yield f"{method.upper()} {path}", operation


def test_names_of_operations_are_short_and_unique(present: Any) -> None:
    names = Counter(operation["operationId"] for _, operation in operations(present))

    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if len(name) > LONGEST_NAME or not name.isidentifier()] == []


def test_every_answer_has_media_types_and_every_media_type_a_schema(present: Any) -> None:
    lacking = [
        f"{call} {status}"
        for call, operation in operations(present)
        for status, answer in operation["responses"].items()
        if status not in {"204", "304"}
        and not (
            answer.get("content") and all(each.get("schema") for each in answer["content"].values())
        )
    ]

    assert lacking == []


def untyped(schema: Any, place: str) -> Iterator[str]:
    """The places in *schema* of which a client cannot know what is there."""
    if not isinstance(schema, dict):
        return
    kinds = {"$ref", "type", "anyOf", "oneOf", "allOf", "const", "enum"}
    if not kinds & schema.keys():
        yield place
    if schema.get("type") == "object" and "properties" not in schema:
        if not isinstance(schema.get("additionalProperties"), dict):
            yield place
        else:
            yield from untyped(schema["additionalProperties"], f"{place}.*")
    if schema.get("type") == "array" and "prefixItems" not in schema:
        yield from untyped(schema.get("items", {}), f"{place}[]")
    for name, member in schema.get("properties", {}).items():
        yield from untyped(member, f"{place}.{name}")
    for several in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(several, ()):
            yield from untyped(each, place)


def test_nothing_is_untyped(present: Any) -> None:
    places = [
        place
        for call, operation in operations(present)
        for status, answer in operation["responses"].items()
        for content in answer.get("content", {}).values()
        for place in untyped(content["schema"], f"{call} {status}")
    ]
    for name, schema in present["components"]["schemas"].items():
        places += untyped(schema, name)

    assert places == []


CLIENT = """
import json, sys
from nse_client import Client
from nse_client.api.option_chains import option_chain

answer = option_chain.sync_detailed("NIFTY", client=Client(base_url=sys.argv[1]), limit=1)
found = answer.parsed
first = found.calls[0]
print(json.dumps([answer.status_code, found.symbol, found.total_calls, first.strike_price]))
"""


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path) -> Iterator[Served]:
    store = open_store(sqlite_url, World.LIVE)
    keep(store, received(chain(), OPENS, lot_size=75))
    store.close()
    with served(Settings.load(environment_for(sqlite_url), tmp_path)) as server:
        yield server


@pytest.mark.long
def test_a_generated_client_fetches_a_chain(server: Served, present: Any, tmp_path: Path) -> None:
    described, configuration = tmp_path / "openapi.json", tmp_path / "generator.json"
    described.write_text(json.dumps(present), encoding="utf-8")
    configuration.write_text(json.dumps({"post_hooks": [], "package_name_override": "nse_client"}))
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate"),
            *("--path", str(described), "--config", str(configuration)),
            *("--output-path", str(tmp_path / "nse_client"), "--meta", "none"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    # It warns of what it leaves out.
    assert "warn" not in f"{made.stdout}{made.stderr}".lower()

    fetched = subprocess.run(
        [sys.executable, "-c", CLIENT, server.url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert json.loads(fetched.stdout or "null") == [200, "NIFTY", 1, 24000], fetched.stderr
