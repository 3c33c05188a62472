"""Queries over the day files of months and years. One file is read faster by `day_rows`."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from data_fetch.archive.day_rows import unreadable


class DayQueries:
    """A DuckDB of its own, in UTC; its queries name files by `read_parquet($files)`."""

    def table(self, query: str, given: Mapping[str, Any]) -> pa.Table:
        """What *query* finds in files with the parameters *given*.

        Raises SetupError for a file that is missing or damaged.
        """
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
