"""Quotes: the newest of each symbol, and those of a range."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from data_fetch.core.clock import utc_text
from data_fetch.core.text import presentable
from data_fetch.reading.latest_quotes import LatestQuote, latest_quotes
from data_fetch.reading.quote_ranges import Quotes, quotes
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.cursors import PagedQuery, path_to
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.ranges import LatestQuotesAnswer, QuotesAnswer
from data_fetch.serving.pages import in_order, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    AsOf,
    Begin,
    End,
    Paged,
    Require,
    Symbol,
    Symbols,
    earlier,
    instant_named,
    period_named,
    period_parameters,
    symbols_named,
)
from data_fetch.serving.problems import Refusal, documented
from data_fetch.serving.range_bounds import (
    MINUTES_A_DAY,
    refuse_too_large,
    trading_days_at_most,
)
from data_fetch.serving.server import Server, newest_visible

# A year of one symbol.
MOST_QUOTES = 100_000
LATER = "the whole range is later than the present instant"
OK, UNKNOWN, NO_QUOTE = "ok", "unknown_symbol", "never_collected"
DETAILS = {UNKNOWN: "the store knows no such instrument", NO_QUOTE: "no quote is stored"}


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["quotes"],
        responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )

    @routes.get("/ltp", response_model=LatestQuotesAnswer)
    async def ltp(request: Request, symbols: Symbols = None, _: Require = None) -> Response:
        """The newest quote of each symbol, with its age; what has none is named with the reason.

        404 only when none of the symbols is known.
        """
        now = server.now()
        at = newest_visible(request) or now
        named = symbols_named(symbols)
        found = await to_thread.run_sync(
            latest_quotes, server.settings, named, at, limiter=server.ranges
        )
        fates = [_fate(each) for each in found]
        if found and set(fates) == {UNKNOWN}:
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                UNKNOWN,
                f"the store knows no instrument named {presentable(found[0].asked)}",
                then="Correct the symbol; data-fetch universe lists the known ones.",
                near=list(found[0].near),
            )
        newest = [_document(*each) for each in zip(found, fates, strict=True)]
        aged = [
            {**one, "staleness_seconds": _age(each, at)}
            for one, each in zip(newest, found, strict=True)
        ]
        count = fates.count(OK)
        return data_answer(
            request,
            {"count": count, "quotes": aged},
            _frame(found, fates, at),
            content={"count": count, "quotes": newest},
        )

    @routes.get(
        "/quotes/{symbol}",
        response_model=QuotesAnswer,
        responses={**RANGE_FORMS, **documented(HTTPStatus.NOT_ACCEPTABLE)},
    )
    async def quotes_of_range(
        request: Request,
        symbol: Symbol,
        paging: Paged,
        begin: Begin = None,
        end: End = None,
        as_of: AsOf = None,
    ) -> Response:
        """The stored quotes of a range, oldest first: one for each minute of trading.

        `timestamp` is the minute, `volume` cumulative for the day.
        """
        wanted = period_named(begin, end, server.today())
        cost = trading_days_at_most(wanted.first, wanted.last) * (MINUTES_A_DAY + 1)
        refuse_too_large(cost, "quotes", "Ask for fewer days.", MOST_QUOTES)
        seen = earlier(instant_named(as_of), newest_visible(request))
        parameters = period_parameters(wanted)
        if as_of is not None:
            parameters.append(("as_of", as_of))
        query = PagedQuery(path_to("/api/data/quotes", symbol.upper()), parameters)
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = quotes(
                symbol,
                wanted.begin,
                wanted.end,
                as_of=seen,
                settings=server.settings,
            )
            document = {
                "symbol": found.symbols[0],
                "from": utc_text(wanted.begin),
                "to": utc_text(wanted.end),
            }
            frame = _range_frame(found)
            return paged_answer(
                request, page, document, frame, in_order(found.table, ["timestamp"]), ["timestamp"]
            )

        return await to_thread.run_sync(answered, limiter=server.ranges)

    return routes


def _range_frame(found: Quotes) -> Frame:
    [slots] = found.completeness.symbols
    sources = found.table["source"].unique().to_pylist()
    missing = slots.slots_missing
    if found.first > found.freshness.as_of:
        reasons = [Cause("still_to_come", 0, LATER)]
    elif not slots.slots_due:
        reasons = [Cause("closed", 0, "no slot of the range is over")]
    else:
        reasons = [Cause("missed", missing, "not collected")] if missing else []
    return Frame(
        as_of=found.freshness.as_of,
        newest=found.freshness.newest,
        completeness=Counted(
            of="slots",
            expected=slots.slots_due,
            present=slots.slots_present,
            missing=missing,
            pending=None,
        ),
        source=sources[0] if len(sources) == 1 else None,
        unit="shares",
        reasons=reasons,
    )


def _fate(found: LatestQuote) -> str:
    if found.instrument is None:
        return UNKNOWN
    return OK if found.stored is not None else NO_QUOTE


def _age(found: LatestQuote, at: datetime) -> float | None:
    return None if found.stored is None else (at - found.stored.received_at).total_seconds()


def _document(found: LatestQuote, fate: str) -> dict[str, Any]:
    instrument, stored = found.instrument, found.stored
    quote = None if stored is None else stored.quote
    return {
        "asked": found.asked,
        "status": fate,
        "near": list(found.near),
        "symbol": instrument and instrument.symbol,
        "instrument_key": instrument and instrument.instrument_key,
        "ltp": quote and quote.last_price,
        "prev_close": quote and quote.prev_close,
        "change": quote and quote.change,
        "change_percent": quote and quote.change_percent,
        "volume": quote and quote.volume,
        "ltq": quote and quote.ltq,
        "slot": stored and utc_text(stored.slot),
        "received_at": stored and utc_text(stored.received_at),
        "source": stored and stored.source,
    }


def _frame(found: list[LatestQuote], fates: list[str], at: datetime) -> Frame:
    stored = [each.stored for each in found if each.stored is not None]
    sources = {each.source for each in stored}
    return Frame(
        as_of=at,
        newest=max((each.received_at for each in stored), default=None),
        completeness=Counted(
            of="symbols",
            expected=len(found),
            present=fates.count(OK),
            missing=len(found) - fates.count(OK),
            pending=0,
        ),
        source=sources.pop() if len(sources) == 1 else None,
        unit="shares",
        reasons=[
            Cause(fate, fates.count(fate), detail)
            for fate, detail in DETAILS.items()
            if fate in fates
        ],
    )
