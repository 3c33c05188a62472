"""Queries over the day files of months and years. One file is read faster by `day_rows`."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from data_fetch.archive.day_rows import unreadable


class DayQueries:
    """A DuckDB of its own, in UTC; its queries name files by `read_parquet($files)`."""

    def table(
        self, query: str, given: Mapping[str, Any], tables: Mapping[str, pa.Table] | None = None
    ) -> pa.Table:
        """What *query* finds with the parameters *given*, in files and in *tables* by name.

        Raises SetupError for a file that is missing or damaged.
        """
        for name, rows in (tables or {}).items():
            self._database.register(name, rows)
        try:
            return self._database.sql(query, params=dict(given)).to_arrow_table()
        except (OSError, duckdb.Error) as problem:
            raise unreadable(problem) from problem

    def close(self) -> None:
        if "_database" in vars(self):
            self._database.close()

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        # Made with the first query: it takes as long as to read some files.
        database = duckdb.connect()
        database.execute("SET TimeZone = 'UTC'")
        return database
