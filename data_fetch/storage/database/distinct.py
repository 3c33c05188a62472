"""The distinct values of a column that begins an index, with one look-up for each.

SELECT DISTINCT would read every row.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select


def distinct_query(of: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    """The distinct values of *of* where *conditions* hold, in any order."""
    steps = select(func.min(of).label("value")).where(*conditions).cte("steps", recursive=True)
    following = select(func.min(of)).where(*conditions, of > steps.c.value).scalar_subquery()
    steps = steps.union_all(select(following).where(steps.c.value.is_not(None)))
    return select(steps.c.value).where(steps.c.value.is_not(None))


def distinct_values(
    connection: Connection, of: ColumnElement[Any], *conditions: ColumnElement[bool]
) -> list[Any]:
    """The same in order."""
    return sorted(connection.scalars(distinct_query(of, *conditions)))
