"""How many legs of option chains are in day files, by option type."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from data_fetch.archive.day_queries import DayQueries
from data_fetch.core.chains.chains import OptionType

# Sums of whole numbers are 128 bits wide, which Arrow has no whole numbers for.
BY_TYPE = """
    SELECT option_type, count(*) AS legs, sum(confirmations - 1)::BIGINT AS confirmed
    FROM read_parquet($legs) JOIN read_parquet($heads)
        USING (underlying, expiry, source, timestamp)
    GROUP BY option_type
"""


def legs_of_files(heads: Sequence[Path], legs: Sequence[Path]) -> dict[OptionType, tuple[int, int]]:
    """The legs of each type, and those that were received again unchanged, in the files of the
    same days. Reads every leg.

    Raises SetupError for a file that is missing or damaged.
    """
    with closing(DayQueries()) as queries:
        rows = queries.table(BY_TYPE, {"heads": _texts(heads), "legs": _texts(legs)}).to_pylist()
    return {OptionType(row["option_type"]): (row["legs"], row["confirmed"]) for row in rows}


def _texts(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]
