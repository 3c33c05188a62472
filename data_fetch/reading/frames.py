"""Tables in the three forms that users work with: Arrow, pandas, polars.

The libraries are imported when a table is made, because pyarrow and pandas take long to load.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

import orjson

from data_fetch.core.errors import SetupError
from data_fetch.reading.instants import exact_text

# What describes a table: documents by name ("completeness", "freshness").
Facts = Mapping[str, Mapping[str, Any]]
# Turns an Arrow table and its facts into the form that was requested.
Convert = Callable[[Any, Facts], Any]


class Document(Protocol):
    """A record with a JSON form."""

    def document(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAge:
    """How recent a table is: read *as_of* an instant, its *newest* row from another.

    *newest* is None for a table without rows.
    """

    as_of: datetime
    newest: datetime | None

    @property
    def age_seconds(self) -> float | None:
        """Seconds from the newest row to *as_of*."""
        return None if self.newest is None else (self.as_of - self.newest).total_seconds()

    def document(self) -> dict[str, Any]:
        return {
            "as_of": exact_text(self.as_of),
            "newest": exact_text(self.newest),
            "age_seconds": self.age_seconds,
        }


def form_named(form: str) -> Convert:
    """The conversion into *form*, its library loaded.

    Raises SetupError for an unknown form, and when the library is not installed.
    """
    return FORMS[one_of(form, FORMS, "form")]()


def one_of(value: str, choices: Collection[str], what: str) -> str:
    """*value*, if it is one of *choices*. Raises SetupError if it is not."""
    if value not in choices:
        raise SetupError(f"{what} {value!r} is not known", hint=f"Known: {', '.join(choices)}.")
    return value


def arrow_table(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> Any:
    """The *columns* that *types* names, in its order, their types named as in `_types`."""
    import pyarrow as pa

    known = _types(pa)
    return pa.table(
        [pa.array(columns[name], known[kind]) for name, kind in types.items()],
        schema=pa.schema([(name, known[kind]) for name, kind in types.items()]),
    )


def rows_table(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> Any:
    """The same from a mapping for each row."""
    return arrow_table({name: [row[name] for row in rows] for name in types}, types)


def described(table: Any, facts: Facts) -> Any:
    """An Arrow table with *facts* as JSON in its schema's metadata."""
    return table.replace_schema_metadata({name: orjson.dumps(fact) for name, fact in facts.items()})


def converted(convert: Convert, table: Any, completeness: Document, freshness: Document) -> Any:
    """*table* in the requested form, described by its completeness and freshness."""
    facts = {"completeness": completeness.document(), "freshness": freshness.document()}
    return convert(described(table, facts), facts)


def _types(pa: Any) -> Mapping[str, Any]:
    """Arrow types by the names that tables are declared with."""
    return {
        "instant": pa.timestamp("us", tz="UTC"),
        "date": pa.date32(),
        "float": pa.float64(),
        "int": pa.int64(),
        "text": pa.string(),
        "bool": pa.bool_(),
    }


def _arrow_form() -> Convert:
    return lambda table, _: table


def _pandas_form() -> Convert:
    _library("pandas")

    def convert(table: Any, facts: Facts) -> Any:
        frame = table.to_pandas()
        frame.attrs.update(facts)
        return frame

    return convert


def _polars_form() -> Convert:
    polars = _library("polars")
    return lambda table, _: polars.from_arrow(table)


# Each loads its library, or reports that it is not installed, before anything is read.
FORMS: Mapping[str, Callable[[], Convert]] = {
    "arrow": _arrow_form,
    "pandas": _pandas_form,
    "polars": _polars_form,
}


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise SetupError(
            f"{name} is not installed", hint='Install it: pip install "data-fetch[research]"'
        ) from None
