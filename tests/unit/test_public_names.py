"""Each public name is a door: the documented object, and no code of its own."""

import ast
from importlib import import_module

import pytest

from data_fetch import PACKAGE_FOLDER

DOORS = {
    "data_scheduler": ("data_scheduler", ["start", "stop", "get_status"]),
    "ltp_service": ("ltp_service", ["collect_now"]),
    "backfill_service": ("backfill_service", ["run"]),
    "fo_stocks_loader": ("fo_stocks_loader", ["load_fo_stocks_from_file"]),
    "postgres_config": ("postgres_config", ["setup_postgres_for_data_collection"]),
    "upstox_ltp_client": ("UpstoxLtpClient", ["quotes"]),
    "options_threaded_manager": (
        "OptionsThreadedManager",
        ["start_all_threads", "get_thread_status", "stop_all_threads"],
    ),
}


def test_the_top_floor_has_nothing_but_doors() -> None:
    modules = {path.stem for path in PACKAGE_FOLDER.glob("*.py")}

    assert modules == {"__init__", "__main__", *DOORS}


@pytest.mark.parametrize(("module", "documented"), DOORS.items(), ids=list(DOORS))
def test_a_door_leads_to_its_documented_object(
    module: str, documented: tuple[str, list[str]]
) -> None:
    name, methods = documented

    found = getattr(import_module(f"data_fetch.{module}"), name)

    assert [method for method in methods if callable(getattr(found, method))] == methods


@pytest.mark.parametrize("module", DOORS)
def test_a_door_has_no_code(module: str) -> None:
    tree = ast.parse((PACKAGE_FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    docstring, *statements = tree.body

    assert isinstance(docstring, ast.Expr)
    assert len(statements) <= 10
    assert {type(one) for one in statements} <= {ast.ImportFrom, ast.Assign}
    assert [
        target.id
        for one in statements
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    ] == ["__all__"]
