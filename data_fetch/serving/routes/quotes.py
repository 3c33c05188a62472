"""Quotes: the newest of each symbol, and those of a range."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.reading.instants import utc_text
from data_fetch.reading.latest_quotes import LatestQuote, latest_quotes
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.models.ranges import LatestQuotesAnswer
from data_fetch.serving.problems import Refusal, documented
from data_fetch.serving.range_parameters import Require
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import viewer_of

MOST_SYMBOLS = 500
OK, UNKNOWN, NO_QUOTE = "ok", "unknown_symbol", "never_collected"
DETAILS = {UNKNOWN: "the store knows no such instrument", NO_QUOTE: "no quote is stored"}
Symbols = Annotated[
    str | None,
    Query(
        max_length=20_000,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description=f"At most {MOST_SYMBOLS}, separated by commas; every listed one by default.",
        examples=["RELIANCE,TCS"],
    ),
]


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
        at = viewer_of(request.scope).newest(now) or now
        named = _named(symbols)
        found = await to_thread.run_sync(
            latest_quotes, server.settings, named, at, limiter=server.ranges
        )
        fates = [_fate(each) for each in found]
        if found and set(fates) == {UNKNOWN}:
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                UNKNOWN,
                f"the store knows no instrument named {found[0].asked}",
                then="Correct the symbol; data-fetch universe lists the known ones.",
                near=list(found[0].near),
            )
        quotes = [_document(*each) for each in zip(found, fates, strict=True)]
        aged = [
            {**quote, "staleness_seconds": _age(each, at)}
            for quote, each in zip(quotes, found, strict=True)
        ]
        count = fates.count(OK)
        return data_answer(
            request,
            {"count": count, "quotes": aged},
            _frame(found, fates, at),
            content={"count": count, "quotes": quotes},
        )

    return routes


def _named(symbols: str | None) -> list[str]:
    named = [] if symbols is None else [each.strip() for each in symbols.split(",")]
    named = [each.upper() for each in named if each]
    if (symbols is not None and not named) or len(named) > MOST_SYMBOLS:
        raise Refusal(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid",
            f"{len(named)} symbols are named; between 1 and {MOST_SYMBOLS} are answered at once",
            then="Separate them by commas: ?symbols=RELIANCE,TCS",
        )
    return named


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
