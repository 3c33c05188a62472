"""`data-fetch dlq`: what is printed of dead units, and what becomes of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from unit_desk import UnitDesk

from data_fetch.cli.main import main
from data_fetch.core.errors import BadRecord, TokenRejected
from data_fetch.core.work import UnitKind
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.work_units import UnitLease

SCHEMA, POISON = "backfill/unreadable", "backfill/broken"
Printed = tuple[int, str, str]
Run = Callable[..., Printed]


def failing(lease: UnitLease) -> None:
    if lease.unit.key == SCHEMA:
        raise BadRecord("the response has no field 'candles'")
    if lease.unit.key == POISON:
        raise ZeroDivisionError
    raise TokenRejected("rejected")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnitDesk]:
    """Three units that failed: two are dead, one waits for a token."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "POSTGRES_HOST", "DB_HOST", "UPSTOX_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_SOURCE", "paper")
    with closing(open_store(f"sqlite:///{tmp_path}/data/paper.db", World.PAPER)) as store:
        desk = UnitDesk(store, {UnitKind.BACKFILL: failing})
        desk.offer("unreadable", "broken", "held")
        for _ in range(3):
            desk.work_off()
            desk.go_on(timedelta(hours=1))
        yield desk


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str) -> Printed:
        with pytest.raises(SystemExit) as end:
            main(["dlq", *arguments])
        printed = capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return code, printed.out, printed.err

    return command


def test_the_list_has_each_dead_unit_with_its_reason(desk: UnitDesk, run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    first, second, summary = out.splitlines()
    assert f"schema  {SCHEMA}" in first
    assert "no field 'candles'" in first
    assert f"poison  {POISON}" in second
    assert "ZeroDivisionError" in second
    assert summary == "2 dead units. Do them again: data-fetch dlq replay --all"
    _, out, _ = run("list", "--reason", "schema", "--json")
    [unit] = json.loads(out)["units"]
    assert (unit["key"], unit["state"], unit["next_try"]) == (SCHEMA, "dead", None)


def test_show_has_every_fact_and_what_to_do(desk: UnitDesk, run: Run) -> None:
    _, out, _ = run("show", SCHEMA)
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (facts["key"], facts["state"], facts["reason"]) == (SCHEMA, "dead", "schema")
    assert "to do          The response cannot be read: update data-fetch, then replay." in out
    assert "None" not in out


def test_a_key_that_no_unit_has_is_refused(desk: UnitDesk, run: Run) -> None:
    code, _, err = run("show", "backfill/none")
    assert code == 2
    assert "there is no unit backfill/none" in err


def test_a_unit_that_waits_cannot_be_replayed_or_dropped(desk: UnitDesk, run: Run) -> None:
    for change in ("replay", "drop"):
        code, _, err = run(change, "backfill/held")
        assert code == 2
        assert "backfill/held" in err
    assert {unit.key for unit in desk.units.dead()} == {SCHEMA, POISON}
    assert desk.units.named("backfill/held") is not None


def test_replay_puts_units_of_a_reason_back_and_drop_deletes_them(desk: UnitDesk, run: Run) -> None:
    _, out, _ = run("replay", "--reason", "poison", "--json")
    assert json.loads(out)["replayed"] == 1
    assert [unit.key for unit in desk.units.dead()] == [SCHEMA]
    assert desk.units.named(POISON) is not None
    assert run("drop", "--all")[0] == 0
    assert desk.units.dead() == []
    assert desk.units.named(SCHEMA) is None
    assert run("list")[1] == "No dead units.\n"
