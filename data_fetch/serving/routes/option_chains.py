"""Option chains as the older chain backend served them: in contracts, IV in percent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.errors import NothingStored
from data_fetch.reading.chain_records import (
    ChainQuery,
    ChainRecord,
    chain_head,
    record_of,
    running_chains,
)
from data_fetch.reading.nse_entries import UNIT, date_text, nse_chain, nse_strikes
from data_fetch.reading.nse_filter import LegFilter, filtered_legs
from data_fetch.serving.answers import Cause, Counted, Frame
from data_fetch.serving.chain_answers import (
    WITHOUT_IV,
    ChainAnswers,
    ChainForm,
    chain_frame,
    expiries_frame,
    listed,
)
from data_fetch.serving.cursors import path_to
from data_fetch.serving.envelopes import enveloped_answer
from data_fetch.serving.models.option_chains import (
    ExpiryDatesAnswer,
    FilterAnswer,
    FilterRequest,
    OptionChain,
    StrikesAnswer,
)
from data_fetch.serving.parameters import (
    At,
    Expiry,
    Require,
    Symbol,
    day_named,
    earlier,
    instant_named,
)
from data_fetch.serving.problems import Refusal, documented, refusal_of
from data_fetch.serving.server import Server, newest_visible

NO_LEG = "no stored leg meets all conditions"
FILTER = "/option-chain/filter"
Limit = Annotated[int, Query(ge=1, le=500, description="Legs of each type.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Legs of each type to leave out.")]


def router(server: Server, answers: ChainAnswers) -> APIRouter:
    routes = APIRouter(
        prefix="/option-chain",
        tags=["option chains"],
        responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )

    @routes.get("/filter", include_in_schema=False)
    def no_symbol() -> Response:
        """The path of the filter, which is no symbol."""
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})

    @routes.post("/filter", response_model=FilterAnswer)
    def filter_legs(request: Request, wanted: FilterRequest, require: Require = None) -> Response:
        """Legs of the newest snapshots of every expiry that meet all conditions, newest first.

        A page by `offset` is of what is the newest then.
        """
        found = filtered_legs(
            server.settings,
            LegFilter(
                symbol=wanted.symbol,
                option_type=wanted.option_type,
                lowest=wanted.strike_price_min,
                highest=wanted.strike_price_max,
                expiry=day_named(wanted.expiry_date),
                limit=wanted.limit,
                offset=wanted.offset,
            ),
            newest_visible(request),
        )
        count, given = len(found.entries), wanted.model_dump(mode="json")
        data = {"total_records": count, "filter_params": given, "records": found.entries}
        following = {**given, "offset": wanted.offset + count} if found.more else None
        now, (completeness, reasons) = server.now(), _priced(found.entries)
        frame = Frame(
            as_of=now,
            newest=found.newest,
            completeness=completeness,
            source=listed(found.sources),
            unit=UNIT,
            reasons=reasons if found.entries else [Cause("nothing_meets_it", 1, NO_LEG)],
            next=FILTER if found.more else None,
        )
        message = f"{count} records"
        return enveloped_answer(request, message, data, frame, next_filter=following)

    @routes.get("/{symbol}", response_model=OptionChain)
    async def option_chain(
        request: Request,
        symbol: Symbol,
        limit: Limit = 100,
        offset: Offset = 0,
        expiry: Expiry = None,
        at: At = None,
        require: Require = None,
    ) -> Response:
        """The newest option chain, or that of an instant; of the nearest expiry, or of one."""
        day, asked = day_named(expiry), instant_named(at)

        def document(found: ChainRecord) -> dict[str, Any]:
            chain = nse_chain(found, limit, offset)
            rest: dict[str, str | int] = {
                "expiry": found.head.expiry.isoformat(),
                "at": found.head.timestamp.isoformat(),
                "limit": limit,
                "offset": offset + limit,
            }
            path = path_to("/option-chain", found.head.underlying, **rest)
            return {**chain, "next": path if chain["truncated"] else None}

        form = ChainForm(("nse_chain", limit, offset), UNIT, lambda found: document(found[0]))

        async def call(request: Request) -> Response:
            newest = earlier(asked, newest_visible(request))
            query = ChainQuery(symbol=symbol, expiry=day, at=newest)
            return await answers.answer(
                request, query, lambda: (chain_head(server.settings, query),), form
            )

        try:
            return await server.calls.first(request, call)
        except NothingStored as problem:
            raise _no_data(symbol, problem) from problem

    @routes.get("/{symbol}/strikes", response_model=StrikesAnswer)
    def strike_prices(
        request: Request,
        symbol: Symbol,
        option_type: OptionType | None = None,
        expiry: Expiry = None,
        require: Require = None,
    ) -> Response:
        """The strikes of the newest option chain, ascending; of one type or of both."""
        at, now = newest_visible(request), server.now()
        query = ChainQuery(symbol=symbol, expiry=day_named(expiry), at=at)
        try:
            found = record_of(server.settings, chain_head(server.settings, query))
        except NothingStored as problem:
            raise _no_data(symbol, problem) from problem
        strikes = nse_strikes(found, option_type)
        data = {
            "symbol": found.head.underlying,
            "option_type": option_type.value if option_type else "ALL",
            "strike_prices": strikes,
            "total_strikes": len(strikes),
        }
        message = f"Strikes of {found.head.underlying} {date_text(found.head.expiry)}"
        frame = chain_frame([found], now, UNIT)
        return enveloped_answer(request, message, data, frame)

    @routes.get("/{symbol}/expiry-dates", response_model=ExpiryDatesAnswer)
    def expiry_dates(request: Request, symbol: Symbol, require: Require = None) -> Response:
        """The stored expiries that are not over, nearest first."""
        now = server.now()
        try:
            heads = running_chains(server.settings, symbol, newest_visible(request))
        except NothingStored as problem:
            raise _no_data(symbol, problem) from problem
        underlying = heads[0].shown.underlying
        data = {
            "symbol": underlying,
            "expiry_dates": [date_text(head.shown.expiry) for head in heads],
            "total_expiry_dates": len(heads),
        }
        frame = expiries_frame(heads, now, UNIT)
        return enveloped_answer(request, f"Expiries of {underlying}", data, frame)

    return routes


def _no_data(symbol: str, problem: NothingStored) -> Refusal:
    """The refusal in the words of the older backend, with what to do."""
    found = refusal_of(problem)
    detail = f"No data found for symbol {symbol.upper()}"
    return Refusal(found.status, found.code, detail, then=f"{problem.message}. {found.then}")


def _priced(entries: Sequence[Mapping[str, Any]]) -> tuple[Counted, list[Cause]]:
    """How many of these legs have a volatility of their own, and why the others have none."""
    reasons = Counter(
        entry["implied_volatility_reason"]
        for entry in entries
        if entry["implied_volatility_reason"] is not None
    )
    missing = reasons.total()
    counted = Counted(
        of="legs",
        expected=len(entries),
        present=len(entries) - missing,
        missing=missing,
        pending=0,
    )
    return counted, [Cause(code, count, WITHOUT_IV) for code, count in sorted(reasons.items())]
