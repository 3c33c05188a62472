"""Answers with a table: JSON in columns, CSV, or an Arrow stream, all with the same frame.

JSON has the frame in its body. CSV and Arrow have it as JSON in the header `Data-Frame`, Arrow in
the metadata of its schema too. Instants are RFC 3339 in UTC; Arrow has them as typed columns.
"""

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pyarrow import csv
from starlette.types import Receive, Scope, Send

from data_fetch.serving.answers import (
    CACHING,
    Frame,
    data_answer,
    entity_tag,
    has_it,
    not_modified,
    refuse_incomplete,
)
from data_fetch.serving.formats import MEDIA_TYPES, Format
from data_fetch.serving.head_requests import is_bodiless
from data_fetch.serving.server import server_of

FRAME_HEADER = "Data-Frame"
# Arrow's format: a message of no length.
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
AS_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z

Tables = Iterable[Any]
# Tables as the bytes of one form: a head with what describes them, then portions of rows.
Written = Generator[bytes]


def table_answer(
    request: Request, form: Format, document: Mapping[str, Any], frame: Frame, table: Any
) -> Response:
    """*table* in the form *form*, described by *document* and *frame*; 304 without a body when
    the sender has this content. Raises as `refuse_incomplete` does."""
    if form is Format.JSON:
        columns = orjson.Fragment(columns_json(table))
        return data_answer(request, {**document, "count": len(table), "columns": columns}, frame)
    refuse_incomplete(request, frame)
    frame = _as_it_is(request, frame)
    facts = {**document, "count": len(table)}
    head, *rows = WRITERS[form]([table], table.schema, facts, frame)
    tag = entity_tag(b"%b %b " % (form.encode(), orjson.dumps(frame.lasting())), *rows)
    if has_it(request, tag):
        return not_modified(tag)
    headers = {**_headers(frame), "ETag": tag}
    return Response(b"".join((head, *rows)), media_type=MEDIA_TYPES[form], headers=headers)


@dataclass(frozen=True, slots=True)
class Parts:
    """*tables* of *schema*, each read when it is asked for, by a thread of *limiter*."""

    tables: Tables
    schema: Any
    limiter: CapacityLimiter


def streamed_answer(
    request: Request,
    form: Format,
    document: Mapping[str, Any],
    frame: Frame,
    parts: Parts,
    tag: str | None,
) -> Response:
    """*parts* in the form *form*, sent as they are read. Raises as `refuse_incomplete` does.

    *tag* is that of the content, where it is known without reading it.
    """
    refuse_incomplete(request, frame)
    if tag is not None and has_it(request, tag):
        return not_modified(tag)
    tagged = {} if tag is None else {"ETag": tag}
    frame = _as_it_is(request, frame)
    return Streamed(
        WRITERS[form](parts.tables, parts.schema, document, frame),
        parts.limiter,
        media_type=MEDIA_TYPES[form],
        headers={**_headers(frame), **tagged},
    )


class Streamed(StreamingResponse):
    """Portions of a body as they are made, each by a thread of *limiter*. When the answer ends,
    early too, *portions* is closed."""

    _first_only = False

    def __init__(self, portions: Written, limiter: CapacityLimiter, **given: Any) -> None:
        self._portions = portions
        self._limiter = limiter
        super().__init__(self._made(), **given)

    async def _made(self) -> Any:
        while (portion := await self._in_thread(next, self._portions, None)) is not None:
            yield portion
            if self._first_only:
                return

    async def _in_thread(self, work: Callable[..., Any], *values: Any) -> Any:
        return await to_thread.run_sync(work, *values, limiter=self._limiter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Its headers are sent with the first portion.
        self._first_only = is_bodiless(scope)
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await self._in_thread(self._portions.close)


def columns_json(table: Any) -> bytes:
    """The columns of *table* as a JSON object of lists."""
    columns = zip(table.column_names, table.columns, strict=True)
    return orjson.dumps({name: _values(column) for name, column in columns}, option=AS_JSON)


def _values(column: Any) -> Any:
    """A column as `orjson` writes it fastest; an unknown number is null."""
    kind = column.type
    if column.null_count == len(column):
        return _list([b"null"] * len(column))
    if pa.types.is_string(kind):
        return _texts(column)
    if pa.types.is_date(kind):
        return _texts(column.cast(pa.string()))
    whole = pa.types.is_floating(kind) or (
        not column.null_count
        and (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind))
    )
    return column.to_numpy() if whole else column.to_pylist()


def _texts(column: Any) -> orjson.Fragment:
    """A column of texts, which are few different ones: each is written once and repeated."""
    coded = column.combine_chunks().dictionary_encode()
    written = [orjson.dumps(text) for text in coded.dictionary.to_pylist()]
    if len(written) == 1 and not column.null_count:
        repeated = [written[0]] * len(column)
    else:
        written.append(b"null")
        repeated = [written[code] for code in coded.indices.fill_null(-1).to_pylist()]
    return _list(repeated)


def _list(written: Sequence[bytes]) -> orjson.Fragment:
    return orjson.Fragment(b"[%b]" % b",".join(written))


def _csv(tables: Tables, schema: Any, _: Mapping[str, Any], __: Frame) -> Written:
    yield _csv_bytes(schema.empty_table(), include_header=True)
    for table in tables:
        yield _csv_bytes(table, include_header=False)


def _csv_bytes(table: Any, *, include_header: bool) -> bytes:
    options = csv.WriteOptions(include_header=include_header, quoting_style="needed")
    written = BytesIO()
    # The library writes wrong bytes behind an empty chunk.
    csv.write_csv(_with_texts(table.combine_chunks()), written, options)
    return written.getvalue()


def _with_texts(table: Any) -> Any:
    """*table* with its instants as RFC 3339 text."""
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, _instant_texts(table[field.name]))
    return table


def _instant_texts(column: Any) -> Any:
    # `strftime` takes thirty times as long.
    utc = column.cast(pa.timestamp("us"))
    seconds = utc.cast(pa.timestamp("s"), safe=False)
    exact = seconds if pc.all(pc.equal(seconds, utc)).as_py() is not False else utc
    time = pa.time32("s") if exact is seconds else pa.time64("us")
    date_texts, time_texts = exact.cast(pa.date32()).cast(pa.string()), exact.cast(time)
    return pc.binary_join_element_wise(
        date_texts, pc.binary_join_element_wise(time_texts.cast(pa.string()), "", "Z"), "T"
    )


def _arrow(tables: Tables, schema: Any, document: Mapping[str, Any], frame: Frame) -> Written:
    facts = {"frame": _facts(frame), "document": orjson.dumps(document)}
    yield schema.with_metadata(facts).serialize().to_pybytes()
    for table in tables:
        for batch in table.to_batches():
            yield batch.serialize().to_pybytes()
    yield END_OF_STREAM


def _as_it_is(request: Request, frame: Frame) -> Frame:
    return replace(frame, degraded=server_of(request).troubles.degraded)


def _facts(frame: Frame) -> bytes:
    return orjson.dumps({**frame.passing(), **frame.lasting()})


def _headers(frame: Frame) -> dict[str, str]:
    # A header is ASCII.
    facts = {FRAME_HEADER: json.dumps(orjson.loads(_facts(frame)), separators=(",", ":"))}
    links = {"Link": f'<{frame.next}>; rel="next"'} if frame.next else {}
    return {**CACHING, **facts, **links}


WRITERS: Mapping[Format, Callable[[Tables, Any, Mapping[str, Any], Frame], Written]] = {
    Format.CSV: _csv,
    Format.ARROW: _arrow,
}
