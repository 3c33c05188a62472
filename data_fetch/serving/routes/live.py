"""What the streaming feed has of today and no request has brought yet."""

from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from data_fetch.core.errors import UnknownSymbol
from data_fetch.core.feed.slot_quotes import SOURCE
from data_fetch.reading.live_prices import live_minutes, live_options
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.models.live import LiveCandlesAnswer, LiveChainAnswer
from data_fetch.serving.parameters import Expiry, Require, Symbol, day_named
from data_fetch.serving.problems import documented, naming
from data_fetch.serving.server import Server, newest_visible

NOTHING_LIVE = Cause(
    "nothing_live",
    1,
    "the feed has nothing newer than the store. It needs FEED_ENABLED=true and a running collector",
)


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data/live",
        tags=["live"],
        responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )

    def framed(newest: datetime | None, counted: Counted) -> Frame:
        return Frame(
            as_of=server.now(),
            newest=newest,
            completeness=counted,
            source=SOURCE,
            unit="shares",
            reasons=() if counted.present else [NOTHING_LIVE],
        )

    @routes.get("/candles/{symbol}", response_model=LiveCandlesAnswer)
    def live_candles(request: Request, symbol: Symbol, require: Require = None) -> Response:
        """Today's minutes that the feed has and the store lacks, the running one last."""
        with naming(symbol, UnknownSymbol):
            found = live_minutes(server.settings, symbol.upper(), newest_visible(request))
        rows = found.rows()
        counted = Counted(of="minutes", present=len(rows))
        document = {
            "symbol": found.symbol,
            "instrument_key": found.instrument_key,
            "count": len(rows),
            "candles": rows,
        }
        return data_answer(request, document, framed(found.newest, counted))

    @routes.get("/chain/{symbol}", response_model=LiveChainAnswer)
    def live_chain(
        request: Request, symbol: Symbol, expiry: Expiry = None, require: Require = None
    ) -> Response:
        """Options that the feed has newer than the last stored snapshot of their chain."""
        day = day_named(expiry)
        with naming(symbol, UnknownSymbol):
            found = live_options(server.settings, symbol.upper(), day, newest_visible(request))
        rows = found.rows()
        counted = Counted(of="legs", present=len(rows))
        document = {
            "symbol": found.symbol,
            "expiry": None if found.expiry is None else found.expiry.isoformat(),
            "snapshot": None if found.snapshot is None else found.snapshot.isoformat(),
            "count": len(rows),
            "legs": rows,
        }
        return data_answer(request, document, framed(found.newest, counted))

    return routes
