"""Pages of ranges: which part of a table a request is about, and the path of the next one."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from fastapi import Request
from fastapi.responses import Response

from data_fetch.serving.answers import Frame
from data_fetch.serving.cursors import PagedQuery
from data_fetch.serving.formats import Format, format_of
from data_fetch.serving.parameters import Paging
from data_fetch.serving.tables import table_answer

DEFAULT_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of the range of *query*, in the form *form* (*named* in the query or not).

    *after* is the position of the last row before it, None for the first part.
    """

    query: PagedQuery
    form: Format
    named: Format | None
    after: Any
    limit: int | None

    @property
    def rows(self) -> int | None:
        """How many rows it has at most; None for all."""
        return self.limit or (DEFAULT_LIMIT if self.form is Format.JSON else None)

    def next(self, position: Any) -> str:
        """The path of the page behind *position*."""
        return self.query.next(position, limit=self.limit, format=self.named)


def page_wanted(request: Request, query: PagedQuery, paging: Paging) -> Page:
    """The page of *query* that *paging* names. Raises Refusal (406, 422)."""
    return Page(
        query=query,
        form=format_of(request, paging.form),
        named=paging.form,
        after=query.position(paging.cursor),
        limit=paging.limit,
    )


def paged_answer(
    request: Request,
    page: Page,
    document: Mapping[str, Any],
    frame: Frame,
    table: Any,
    key: Sequence[str],
) -> Response:
    """The *page* of *table*, whose rows are in ascending order by the columns of *key*."""
    part, position = part_of(table, key, page.after, page.rows)
    if position is not None:
        frame = replace(frame, next=page.next(position))
    return table_answer(request, page.form, document, frame, part)


def in_order(table: Any, key: Sequence[str]) -> Any:
    """The rows of *table* in ascending order by the columns of *key*."""
    return table.sort_by([(name, "ascending") for name in key])


def part_of(
    table: Any, key: Sequence[str], after: Sequence[Any] | None, rows: int | None
) -> tuple[Any, list[Any] | None]:
    """The first *rows* of *table* behind the position *after*, and the position of the last of
    them if there are more."""
    columns = [table[name] for name in key]

    def position(row: int) -> list[Any]:
        return [column[row].as_py() for column in columns]

    begin = 0
    if after is not None:
        last = [_typed(value, column.type) for value, column in zip(after, columns, strict=True)]
        begin = bisect_right(range(len(table)), last, key=position)
    part = table.slice(begin, rows)
    more = begin + len(part) < len(table)
    return part, position(begin + len(part) - 1) if more else None


def _typed(value: Any, kind: Any) -> Any:
    """A value of a position as JSON has it, in the type of its column."""
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if pa.types.is_date(kind) else value
