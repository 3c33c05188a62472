"""Reads rows of day files by their values; a file is read only where its statistics allow such
rows."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data_fetch.archive.schemas import ARCHIVE_SCHEMAS
from data_fetch.core.errors import SetupError


def rows_of_files(
    table_name: str,
    files: Sequence[Path],
    where: pc.Expression,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The rows of *files*, day files of *table_name*, for which *where* is true.

    All *columns* without any named. Raises SetupError for a file that is missing or damaged.
    """
    schema = ARCHIVE_SCHEMAS[table_name].arrow
    named = list(schema.names if columns is None else columns)
    if not files:
        return pa.schema([schema.field(name) for name in named]).empty_table()
    try:
        return ds.dataset([str(file) for file in files], schema=schema, format="parquet").to_table(
            columns=named, filter=where
        )
    except (OSError, pa.ArrowException) as problem:
        raise unreadable(problem) from problem


def unreadable(problem: Exception) -> SetupError:
    """The error for a file of a day that is missing or damaged."""
    return SetupError(
        f"a file of the archive cannot be read ({problem})",
        hint="Find out which: data-fetch archive verify",
    )
