"""Commands that only read load neither the collector nor the libraries that it needs."""

import subprocess
import sys

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


def loaded(*modules: str) -> set[str]:
    """The modules that importing *modules* loads."""
    program = f"import {', '.join(modules)}, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


def of_commands(*commands: str) -> set[str]:
    """What all of them load: what none of them loads is not in it."""
    return loaded(*(f"data_fetch.cli.{command}" for command in commands))


def test_a_command_that_reads_does_not_load_the_collector() -> None:
    assert of_commands(*READING) & (COLLECTING | TABLES) == set()


def test_a_light_query_loads_neither_arrays_nor_a_client() -> None:
    assert of_commands("coverage", "freshness", "gaps") & {"numpy", "urllib3"} == set()


def test_the_reading_package_loads_a_function_only_when_it_is_used() -> None:
    modules = loaded("data_fetch.reading")

    assert modules.isdisjoint({"sqlalchemy", "numpy", "pydantic"} | COLLECTING | TABLES)


def test_every_exported_function_exists() -> None:
    program = "from data_fetch.reading import *; from data_fetch import reading; "
    program += "print(all(callable(getattr(reading, name)) for name in reading.__all__))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (ended.stdout, ended.stderr) == ("True\n", "")
