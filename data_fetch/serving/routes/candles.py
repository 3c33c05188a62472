"""Stored candles of a range: pages in JSON, streams in CSV and Arrow."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.candles.candles import Kind
from data_fetch.core.candles.day_counts import DayCounts
from data_fetch.core.candles.intervals import Interval
from data_fetch.core.clock import utc_text
from data_fetch.core.errors import StillToCome
from data_fetch.reading.candle_corrections import corrected_by_date
from data_fetch.reading.candle_days import CandleDay
from data_fetch.reading.candle_ranges import (
    CandleRange,
    candle_range,
    no_candles_table,
    refuse_kinds,
    unit_of,
)
from data_fetch.reading.instants import date_of, instant
from data_fetch.serving.answers import Cause, Counted, Frame, entity_tag
from data_fetch.serving.causes import causes_of
from data_fetch.serving.cursors import PagedQuery, path_to
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.ranges import CandlesAnswer
from data_fetch.serving.pages import Page, page_wanted
from data_fetch.serving.parameters import (
    AsOf,
    First,
    Last,
    Paged,
    Symbol,
    earlier,
    instant_named,
)
from data_fetch.serving.problems import documented
from data_fetch.serving.range_bounds import (
    MINUTES_A_DAY,
    refuse_too_large,
    trading_days_at_most,
)
from data_fetch.serving.server import Server, newest_visible
from data_fetch.serving.tables import Parts, streamed_answer, table_answer

# Longer answers are sent month by month, as they are read.
ROWS_AT_ONCE = 50_000
CandlesOf = Annotated[
    Interval,
    Query(
        description="The time that one candle covers. `5minute`, `15minute` and `60minute` are "
        "made of the stored minutes of each trading window."
    ),
]
Kinds = Annotated[
    list[Kind] | None,
    Query(
        alias="kind",
        description="`traded` by default: continuous trading. `auction`: the closing auction in "
        "one row. `carried`: flat rows that the provider fills in around it.",
    ),
]


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["ranges"],
        responses={
            **RANGE_FORMS,
            **documented(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
        },
    )

    @routes.get("/candles/{symbol}", response_model=CandlesAnswer)
    async def candles(
        request: Request,
        symbol: Symbol,
        paging: Paged,
        interval: CandlesOf = Interval.MINUTE,
        first: First = None,
        last: Last = None,
        as_of: AsOf = None,
        kinds: Kinds = None,
    ) -> Response:
        """The stored candles of a trading date or of several, oldest first.

        A former symbol is followed to the present one. `timestamp` is the start of a candle.
        """
        today = server.today()
        asked = CandleQuery(
            symbol=symbol.upper(),
            interval=interval,
            first=date_of(first or today),
            last=date_of(last or today),
            as_of=instant_named(as_of),
            kinds=tuple(kinds or (Kind.TRADED,)),
        )
        refuse_kinds(interval, asked.kinds)
        asked.refuse_too_large()
        page = page_wanted(request, asked.paged, paging)

        def answered() -> Response:
            return _answered(server, request, asked, page)

        return await to_thread.run_sync(answered, limiter=server.ranges)

    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleQuery:
    """Which candles a request is about."""

    symbol: str
    interval: Interval
    first: date
    last: date
    as_of: datetime | None
    kinds: tuple[Kind, ...]

    @property
    def paged(self) -> PagedQuery:
        parameters = [
            ("interval", self.interval.value),
            ("from", self.first.isoformat()),
            ("to", self.last.isoformat()),
        ]
        if self.as_of is not None:
            parameters.append(("as_of", self.as_of.isoformat()))
        if self.kinds != (Kind.TRADED,):
            parameters += [("kind", kind.value) for kind in self.kinds]
        return PagedQuery(path_to("/api/data/candles", self.symbol), parameters)

    @property
    def most_rows(self) -> int:
        """How many stored candles so many days can have, roughly."""
        days = trading_days_at_most(self.first, self.last)
        return days if self.interval is Interval.DAY else days * MINUTES_A_DAY

    def refuse_too_large(self) -> None:
        """Raises Refusal (422) when that are too many."""
        then = "Ask for fewer days, or for day candles."
        refuse_too_large(self.most_rows, "stored candles", then)


def _answered(
    server: Server,
    request: Request,
    asked: CandleQuery,
    page: Page,
) -> Response:
    seen = earlier(asked.as_of, newest_visible(request))
    document: dict[str, Any] = {
        "symbol": asked.symbol,
        "instrument_keys": [],
        "interval": asked.interval.value,
        "from": asked.first.isoformat(),
        "to": asked.last.isoformat(),
        "corrected": 0,
        "days": [],
    }
    with ExitStack() as opened:
        try:
            found = opened.enter_context(
                candle_range(
                    server.settings,
                    asked.symbol,
                    asked.first,
                    asked.last,
                    asked.interval,
                    seen,
                )
            )
        except StillToCome as problem:
            frame = Frame(
                as_of=seen or server.now(),
                newest=None,
                completeness=Counted(of=unit_of(asked.interval)),
                reasons=[Cause("still_to_come", 0, problem.message)],
            )
            return table_answer(
                request, page.form, document, frame, no_candles_table(asked.interval)
            )
        corrected = corrected_by_date(found, asked.kinds)
        document |= {
            "symbol": found.symbol,
            "instrument_keys": found.instrument_keys,
            "corrected": corrected.total(),
            "days": [_day_document(day, found.unit, corrected[day.date]) for day in found.days],
        }
        after = None if page.after is None else instant(page.after)
        if page.rows is None and asked.most_rows > ROWS_AT_ONCE:
            # What was stored at an instant does not change any more.
            content = f"{asked.paged.text} {found.as_of} {page.after} {page.form}"
            tag = entity_tag(content.encode()) if seen is not None else None
            tables = _to_the_end(opened.pop_all(), found.tables(asked.kinds, after))
            parts = Parts(tables, found.no_table.schema, server.ranges)
            return streamed_answer(request, page.form, document, _frame(found, None), parts, tag)
        table, more = found.page(asked.kinds, after, page.rows)
        frame = _frame(found, table)
        if more:
            position = utc_text(table["timestamp"][-1].as_py())
            frame = replace(frame, next=page.next(position))
        return table_answer(request, page.form, document, frame, table)


def _to_the_end(opened: ExitStack, tables: Iterator[Any]) -> Iterator[Any]:
    """*tables*, and what is *opened* for them closed behind the last one."""
    with opened:
        yield from tables


def _frame(found: CandleRange, table: Any) -> Frame:
    sources = set() if table is None else set(table["source"].unique().to_pylist())
    return Frame(
        as_of=found.now,
        newest=found.newest if table is None else found.freshness(table).newest,
        completeness=_counted(found.counts, found.unit),
        source=sources.pop() if len(sources) == 1 else None,
        unit="shares",
        reasons=_reasons(found),
    )


def _counted(counts: DayCounts, of: str) -> Counted:
    return Counted(
        of=of,
        expected=counts.expected,
        present=counts.present,
        missing=counts.missed,
        pending=counts.pending,
    )


def _reasons(found: CandleRange) -> Sequence[Cause]:
    if not found.days:
        return [Cause("closed", 0, "no day of the range is a trading day of this instrument")]
    return causes_of(found.counts._asdict(), found.hint)


def _day_document(day: CandleDay, unit: str, corrected: int) -> dict[str, Any]:
    return {
        "date": day.date.isoformat(),
        "instrument_key": day.instrument_key,
        "state": _counted(day.counts, unit).state,
        **day.counts._asdict(),
        "corrected": corrected,
        "last_modified": None if day.last_modified is None else utc_text(day.last_modified),
    }
