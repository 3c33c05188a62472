"""The distinct values of a column that begins an index, with one look-up for each.

SELECT DISTINCT would read every row.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select


def distinct_query(
    of: ColumnElement[Any], *conditions: ColumnElement[bool], first: Any = None
) -> Select[Any]:
    """The distinct values of *of* where *conditions* hold, from *first* on, in any order."""
    # In the first step only: with two lower bounds SQLite begins every step at the lower one.
    begin = conditions if first is None else (*conditions, of >= first)
    steps = select(func.min(of).label("value")).where(*begin).cte("steps", recursive=True)
    following = select(func.min(of)).where(*conditions, of > steps.c.value).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.value.is_not(None)))
    return select(steps.c.value).where(steps.c.value.is_not(None))


def distinct_values(
    connection: Connection,
    of: ColumnElement[Any],
    *conditions: ColumnElement[bool],
    first: Any = None,
) -> list[Any]:
    """The same in order."""
    return sorted(connection.scalars(distinct_query(of, *conditions, first=first)))
