"""What is collected of what was due: coverage, gaps, freshness. Of the present, so not public."""

from collections import Counter
from dataclasses import asdict
from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.candles.candles import CandleInterval
from data_fetch.core.candles.coverage import GAPS, State
from data_fetch.core.clock import utc_text
from data_fetch.core.feed.tick_ages import LastTick
from data_fetch.core.freshness import USUAL
from data_fetch.reading.coverage_days import DEFAULT_DAYS, coverage
from data_fetch.reading.coverage_gaps import CAUSES, gaps
from data_fetch.reading.feed_status import FeedSummary
from data_fetch.reading.frames import rows_table
from data_fetch.reading.freshness_report import FreshnessReport, freshness_report
from data_fetch.reading.instants import date_of
from data_fetch.serving.answers import Cause, Counted, Frame
from data_fetch.serving.causes import causes_of
from data_fetch.serving.cursors import PagedQuery
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.operations import CoverageAnswer, FreshnessAnswer, GapsAnswer
from data_fetch.serving.pages import in_order, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    MOST_SYMBOLS,
    First,
    Last,
    Paged,
    Symbols,
    symbols_named,
    symbols_parameter,
)
from data_fetch.serving.problems import documented
from data_fetch.serving.range_bounds import refuse_too_large, trading_days_at_most
from data_fetch.serving.server import Server, refuse_public

# Instruments by trading days: two years of 200 symbols.
MOST_DAYS = 100_000
Of = Annotated[
    CandleInterval, Query(alias="interval", description="Which candles: of minutes, or of days.")
]
Causes = Annotated[
    list[State] | None,
    Query(
        alias="cause",
        description=f"Only gaps of these causes: {', '.join(CAUSES)}. All of them by default.",
    ),
]
DETAILS = {
    "never_seen": "no data was ever received",
    "stopped": "no data has been received for some trading minutes",
    "frozen": "data is received and does not move",
    "market_closed": "the market is closed",
}
FRESHNESS_COLUMNS = {
    "data": "text",
    "symbol": "text",
    "state": "text",
    "last_receipt": "instant",
    "trading_minutes": "int",
    "last_tick": "instant",
    "tick_age_seconds": "float",
}


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["operation"],
        responses={
            **RANGE_FORMS,
            **documented(
                HTTPStatus.FORBIDDEN,
                HTTPStatus.NOT_FOUND,
                HTTPStatus.NOT_ACCEPTABLE,
                HTTPStatus.CONFLICT,
            ),
        },
    )

    @routes.get("/coverage", response_model=CoverageAnswer)
    async def coverage_of_days(
        request: Request,
        paging: Paged,
        symbols: Symbols = None,
        interval: Of = CandleInterval.MINUTE,
        first: First = None,
        last: Last = None,
    ) -> Response:
        """The minutes of each symbol and trading day by state; the last 60 days by default."""
        refuse_public(request)
        named, span = symbols_named(symbols), _span(server, first, last)
        _refuse_too_large(named, span)
        query = PagedQuery("/api/data/coverage", _parameters(named, span, interval))
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = coverage(named, *span, interval=interval.value, settings=server.settings)
            counts = found.completeness.counts
            frame = Frame(
                as_of=found.freshness.as_of,
                newest=found.freshness.newest,
                completeness=Counted(
                    of=_unit(interval),
                    expected=counts.expected,
                    present=counts.present,
                    missing=counts.missed,
                    pending=counts.pending,
                ),
                reasons=causes_of(counts._asdict()),
            )
            document, key = _range_document(span, interval), ("symbol", "date", "instrument_key")
            return paged_answer(request, page, document, frame, in_order(found.table, key), key)

        return await to_thread.run_sync(answered, limiter=server.ranges)

    @routes.get("/gaps", response_model=GapsAnswer)
    async def gaps_of_days(
        request: Request,
        paging: Paged,
        symbols: Symbols = None,
        interval: Of = CandleInterval.MINUTE,
        first: First = None,
        last: Last = None,
        causes: Causes = None,
    ) -> Response:
        """Every interval that is expected and not present, with its cause; `first` is included,
        `end` is not. The last 60 days by default."""
        refuse_public(request)
        named, span = symbols_named(symbols), _span(server, first, last)
        _refuse_too_large(named, span)
        chosen = [cause.value for cause in causes or GAPS]
        parameters = _parameters(named, span, interval)
        query = PagedQuery("/api/data/gaps", [*parameters, *(("cause", each) for each in chosen)])
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = gaps(
                named, *span, interval=interval.value, causes=chosen, settings=server.settings
            )
            lacking = found.completeness.lacking
            frame = Frame(
                as_of=found.freshness.as_of,
                newest=found.freshness.newest,
                completeness=Counted(
                    of=_unit(interval),
                    missing=lacking[State.MISSED],
                    pending=lacking[State.PENDING],
                ),
                reasons=causes_of({state.value: count for state, count in lacking.items()}),
            )
            document, key = _range_document(span, interval), ("symbol", "first", "instrument_key")
            return paged_answer(request, page, document, frame, in_order(found.table, key), key)

        return await to_thread.run_sync(answered, limiter=server.ranges)

    @routes.get("/freshness", response_model=FreshnessAnswer)
    async def freshness_now(
        request: Request,
        paging: Paged,
    ) -> Response:
        """The state of the newest quote of each listed symbol and of the newest chain of each
        polled one, with the trading minutes since then. While a collector runs the streaming feed,
        also when its newest tick was received, and how old that is."""
        refuse_public(request)
        query = PagedQuery("/api/data/freshness", [])
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            report = freshness_report(server.settings)
            table = rows_table(_freshness_rows(report), FRESHNESS_COLUMNS)
            frame = _freshness_frame(report, table)
            return paged_answer(
                request,
                page,
                {"feed": _feed_document(report.feed)},
                frame,
                in_order(table, ("data", "symbol")),
                ("data", "symbol"),
            )

        return await to_thread.run_sync(answered, limiter=server.ranges)

    return routes


def _span(server: Server, first: str | None, last: str | None) -> tuple[date, date]:
    end = date_of(last) if last else server.today()
    return date_of(first) if first else end - timedelta(days=DEFAULT_DAYS - 1), end


def _refuse_too_large(named: list[str], span: tuple[date, date]) -> None:
    days = trading_days_at_most(*span) * (len(named) or MOST_SYMBOLS)
    refuse_too_large(days, "days of a symbol", "Name fewer symbols or days.", MOST_DAYS)


def _parameters(
    named: list[str], span: tuple[date, date], interval: CandleInterval
) -> list[tuple[str, str]]:
    first, last = (day.isoformat() for day in span)
    return [*symbols_parameter(named), ("interval", interval.value), ("from", first), ("to", last)]


def _range_document(span: tuple[date, date], interval: CandleInterval) -> dict[str, Any]:
    first, last = (day.isoformat() for day in span)
    return {"interval": interval.value, "from": first, "to": last}


def _unit(interval: CandleInterval) -> str:
    return "days" if interval is CandleInterval.DAY else "minutes"


def _freshness_rows(report: FreshnessReport) -> list[dict[str, Any]]:
    quotes = [
        {
            "data": "quotes",
            "symbol": each.symbol,
            "state": each.state.value,
            "last_receipt": each.last_quote,
            "trading_minutes": each.minutes,
            **_tick_values(report.quotes.tick(each.symbol)),
        }
        for each in report.quotes.judgements
    ]
    chains = [
        {
            "data": "chains",
            "symbol": each.symbol,
            "state": each.state.value,
            "last_receipt": each.last and each.last.received_at,
            "trading_minutes": each.minutes,
            **_tick_values(report.chains.tick(each.symbol)),
        }
        for each in report.chains.judgements
    ]
    return quotes + chains


def _tick_values(tick: LastTick) -> dict[str, Any]:
    return {"last_tick": tick.received_at, "tick_age_seconds": tick.age_seconds}


def _feed_document(feed: FeedSummary | None) -> dict[str, Any] | None:
    if feed is None:
        return None
    report = feed.report
    return {
        "reported_at": utc_text(report.at),
        "state": feed.state,
        "cause": feed.cause,
        "unhonoured": report.unhonoured,
        "unhonoured_keys": [asdict(each) for each in report.unhonoured_keys],
        "then": feed.then,
    }


def _freshness_frame(report: FreshnessReport, table: Any) -> Frame:
    states = Counter(table["state"].to_pylist())
    late = sum(count for state, count in states.items() if state not in USUAL)
    newest = max((at for at in table["last_receipt"].to_pylist() if at is not None), default=None)
    return Frame(
        as_of=report.quotes.at,
        newest=newest,
        completeness=Counted(
            of="symbols",
            expected=len(table),
            present=len(table) - late,
            missing=late,
            pending=0,
        ),
        reasons=[
            Cause(state, count, DETAILS[state])
            for state, count in sorted(states.items())
            if state in DETAILS
        ],
    )
