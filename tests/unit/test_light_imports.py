"""Commands that only read load neither the collector nor the libraries that it needs."""

import subprocess
import sys

import pytest

COLLECTING = {
    "aiohttp",
    "alembic",
    "upstox_client",
    "data_fetch.paper_exchange.exchange",
    "data_fetch.runtime.collector",
    "data_fetch.runtime.world",
    "data_fetch.services.backfill",
    "data_fetch.services.chain_import",
    "data_fetch.scheduling",
}
TABLES = {"pyarrow", "pandas", "polars", "matplotlib"}
READING = (
    "audit",
    "calendar",
    "candles",
    "chain.metrics",
    "chain.price",
    "chain.show",
    "chain.surface",
    "coverage",
    "freshness",
    "gaps",
    "status",
)


def loaded(module: str) -> set[str]:
    """The modules that importing *module* loads."""
    program = f"import {module}, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_does_not_load_the_collector(command: str) -> None:
    assert loaded(f"data_fetch.cli.{command}").isdisjoint(COLLECTING | TABLES)


@pytest.mark.parametrize("command", ["coverage", "gaps"])
def test_a_query_of_the_ledger_loads_neither_arrays_nor_a_client(command: str) -> None:
    assert loaded(f"data_fetch.cli.{command}").isdisjoint({"numpy", "urllib3"})


def test_the_reading_package_loads_a_function_only_when_it_is_used() -> None:
    modules = loaded("data_fetch.reading")

    assert modules.isdisjoint({"sqlalchemy", "numpy", "pydantic"} | COLLECTING | TABLES)


def test_every_exported_function_exists() -> None:
    program = "from data_fetch.reading import *; from data_fetch import reading; "
    program += "print(all(callable(getattr(reading, name)) for name in reading.__all__))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (ended.stdout, ended.stderr) == ("True\n", "")
