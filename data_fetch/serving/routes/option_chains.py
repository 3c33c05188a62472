"""Option chains as the older chain backend served them: in contracts, IV in percent."""

from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.errors import NothingStored
from data_fetch.reading.chain_records import ChainQuery, ChainRecord, chain_head, record_of
from data_fetch.reading.instants import date_of, utc_text
from data_fetch.reading.nse_entries import UNIT, nse_chain, nse_expiries, nse_strikes
from data_fetch.serving.chain_answers import ChainAnswers, ChainForm
from data_fetch.serving.problems import documented
from data_fetch.serving.server import Server, newest_visible

Limit = Annotated[int, Query(ge=1, le=500, description="Legs of each type.")]


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/option-chain",
        tags=["option chains"],
        responses=documented(HTTPStatus.NOT_FOUND),
    )

    answers = ChainAnswers(server)

    @routes.get("/{symbol}")
    async def chain(
        request: Request, symbol: str, limit: Limit = 100, expiry: str | None = None
    ) -> Response:
        """The newest option chain of *symbol*, of its nearest expiry or of *expiry*."""
        day = None if expiry is None else date_of(expiry)
        query = ChainQuery(symbol=symbol, expiry=day, at=newest_visible(request))
        form = ChainForm(("nse_chain", limit), UNIT, lambda found: nse_chain(found[0], limit))
        try:
            return await answers.answer(
                request, query, lambda: (chain_head(server.settings, query),), form
            )
        except NothingStored as problem:
            raise _no_data(symbol) from problem

    @routes.get("/{symbol}/strikes")
    def strikes(symbol: str, option_type: OptionType | None = None) -> dict[str, Any]:
        """The strikes of the newest option chain of *symbol*."""
        try:
            found = nse_strikes(_newest(server, symbol, None), option_type)
        except NothingStored as problem:
            raise _no_data(symbol) from problem
        return enveloped(
            server.now(),
            f"Strikes of {symbol.upper()}",
            {
                "symbol": symbol.upper(),
                "option_type": option_type.value if option_type else "ALL",
                "strike_prices": found,
                "total_strikes": len(found),
            },
        )

    @routes.get("/{symbol}/expiry-dates")
    def expiry_dates(symbol: str) -> dict[str, Any]:
        """The expiries of *symbol* that are stored and not over, nearest first."""
        found = nse_expiries(server.settings, symbol)
        if not found:
            raise _no_data(symbol)
        return enveloped(
            server.now(),
            f"Expiries of {symbol.upper()}",
            {
                "symbol": symbol.upper(),
                "expiry_dates": found,
                "total_expiry_dates": len(found),
            },
        )

    return routes


def _newest(server: Server, symbol: str, expiry: date | None) -> ChainRecord:
    head = chain_head(server.settings, ChainQuery(symbol=symbol, expiry=expiry))
    return record_of(server.settings, head)


def enveloped(at: datetime, message: str, data: Any) -> dict[str, Any]:
    """The envelope of the older backend."""
    return {"success": True, "message": message, "data": data, "timestamp": utc_text(at)}


def _no_data(symbol: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"No data found for symbol {symbol.upper()}")
