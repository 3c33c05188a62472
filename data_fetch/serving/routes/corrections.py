"""Candles that were corrected after they were stored. Of the present, so not public."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.reading.candle_corrections import candle_corrections, corrections_document
from data_fetch.reading.instants import date_of
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.models.operations import CorrectionsAnswer
from data_fetch.serving.parameters import Symbols, Text, symbols_named
from data_fetch.serving.problems import documented
from data_fetch.serving.server import Server, refuse_public

Day = Annotated[
    Text, Query(alias="date", description="An Indian trading date.", examples=["2026-09-16"])
]
NONE = Cause("never_corrected", 0, "no candle of this day was corrected")


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["candles"],
        responses=documented(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    )

    @routes.get("/corrections", response_model=CorrectionsAnswer)
    def corrections(
        request: Request,
        day: Day,
        symbols: Symbols = None,
        interval: CandleInterval = CandleInterval.MINUTE,
    ) -> Response:
        """The candles of a day that were corrected: the version before and the one after, by
        symbol and time."""
        refuse_public(request)
        wanted = date_of(day)
        found = candle_corrections(server.settings, wanted, symbols_named(symbols), interval)
        frame = Frame(
            as_of=server.now(),
            newest=max((each.superseded_at for _, each in found), default=None),
            completeness=Counted(of="corrections", present=len(found)),
            reasons=() if found else [NONE],
        )
        return data_answer(request, corrections_document(wanted, interval, found), frame)

    return routes
