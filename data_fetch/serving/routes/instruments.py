"""The instruments that the store knows."""

from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.reading.instants import day_text
from data_fetch.reading.instrument_lists import InstrumentCompleteness, instruments
from data_fetch.serving.answers import Cause, Counted, Frame
from data_fetch.serving.cursors import PagedQuery
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.operations import InstrumentsAnswer
from data_fetch.serving.pages import in_order, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    PRINTABLE,
    Paged,
    Symbols,
    Text,
    symbols_named,
    symbols_parameter,
)
from data_fetch.serving.problems import documented
from data_fetch.serving.server import Server

Underlying = Annotated[
    str | None,
    Query(
        max_length=64,
        pattern=PRINTABLE,
        description="Only the contracts on this underlying.",
        examples=["NIFTY"],
    ),
]
Expiry = Annotated[Text | None, Query(description="Only contracts of this expiry.")]
OfSegment = Annotated[
    Text | None, Query(description="NSE_EQ, NSE_INDEX or NSE_FO.", examples=["NSE_EQ"])
]


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["instruments"],
        responses={
            **RANGE_FORMS,
            **documented(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
        },
    )

    @routes.get("/instruments", response_model=InstrumentsAnswer)
    async def instruments_known(
        request: Request,
        paging: Paged,
        symbols: Symbols = None,
        underlying: Underlying = None,
        expiry: Expiry = None,
        segment: OfSegment = None,
    ) -> Response:
        """Shares, indices and contracts by symbol, as the last instrument master had them."""
        named = symbols_named(symbols)
        given = {"underlying": underlying, "expiry": expiry, "segment": segment}
        parameters = symbols_parameter(named)
        parameters += [(name, value) for name, value in given.items() if value is not None]
        query = PagedQuery("/api/data/instruments", parameters)
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = instruments(
                named,
                underlying=underlying,
                expiry=expiry,
                segment=segment,
                settings=server.settings,
            )
            document = {"master_date": day_text(found.completeness.master_date)}
            frame = Frame(
                as_of=found.freshness.as_of,
                newest=found.freshness.newest,
                completeness=_counted(found.completeness),
                reasons=_reasons(found.completeness),
            )
            key = ("symbol", "instrument_key")
            return paged_answer(request, page, document, frame, in_order(found.table, key), key)

        return await to_thread.run_sync(answered, limiter=server.ranges)

    return routes


def _counted(found: InstrumentCompleteness) -> Counted:
    if found.master_date is None:
        return Counted(of="instruments")
    count = found.instruments
    return Counted(of="instruments", expected=count, present=count, missing=0, pending=0)


def _reasons(found: InstrumentCompleteness) -> list[Cause]:
    if found.master_date is None:
        return [Cause("no_master", 0, "no instrument master was ever stored")]
    return [] if found.instruments else [Cause("none_listed", 0, "no instrument is of this kind")]
