"""Option chains over time: the figures of an expiry, and one contract."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.chains.chains import ChainSource, OptionType
from data_fetch.core.clock import utc_text
from data_fetch.reading.chain_series import ChainSeries, chain_history, leg_history
from data_fetch.reading.instants import Period
from data_fetch.serving.answers import Cause, Counted, Frame
from data_fetch.serving.cursors import PagedQuery, path_to
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.ranges import ChainHistoryAnswer, LegAnswer
from data_fetch.serving.pages import Page, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    PRINTABLE,
    AsOf,
    Begin,
    End,
    Every,
    Paged,
    Symbol,
    Text,
    earlier,
    instant_named,
    period_named,
    period_parameters,
)
from data_fetch.serving.problems import documented
from data_fetch.serving.range_bounds import refuse_too_large, trading_days_at_most
from data_fetch.serving.server import Server, newest_visible

# A chain is received every half minute at the most.
SNAPSHOTS_A_DAY = 750
# Of an underlying whose expiry is not named.
EXPIRIES_AT_MOST = 10
MOST_SNAPSHOTS = 100_000
Expiry = Annotated[
    Text | None,
    Query(description="One expiry; every stored one by default.", examples=["2026-09-29"]),
]
OneExpiry = Annotated[Text, Query(alias="expiry", examples=["2026-09-29"])]
Source = Annotated[
    ChainSource | None,
    Query(description="The one with the most receipts in the range by default."),
]
Underlying = Annotated[
    str, Query(alias="symbol", max_length=64, pattern=PRINTABLE, examples=["NIFTY"])
]
Strike = Annotated[Text, Query(examples=["24000", "282.5"])]
Series = Callable[..., ChainSeries]


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["ranges"],
        responses={
            **RANGE_FORMS,
            **documented(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
        },
    )

    @routes.get("/chain/{symbol}/history", response_model=ChainHistoryAnswer)
    async def chain_over_time(
        request: Request,
        symbol: Symbol,
        paging: Paged,
        expiry: Expiry = None,
        begin: Begin = None,
        end: End = None,
        every: Every = None,
        as_of: AsOf = None,
        source: Source = None,
    ) -> Response:
        """PCR, max pain, ATM IV, straddle, totals and walls of a chain over time, oldest first.

        A row is a snapshot; with `every` it is the snapshot in force at each step.
        """
        asked = SeriesQuery.of(server, begin, end, every, as_of, source)
        asked.refuse_too_large(1 if expiry else EXPIRIES_AT_MOST)
        named = [] if expiry is None else [("expiry", expiry)]
        path = path_to("/api/data/chain", symbol.upper(), "history")
        page = page_wanted(request, PagedQuery(path, [*named, *asked.parameters]), paging)

        def read(**given: Any) -> ChainSeries:
            return chain_history(symbol, expiry, settings=server.settings, **given)

        return await _answer(server, request, asked, page, read)

    @routes.get("/leg", response_model=LegAnswer)
    async def leg(
        request: Request,
        paging: Paged,
        underlying: Underlying,
        expiry: OneExpiry,
        strike: Strike,
        option_type: OptionType,
        begin: Begin = None,
        end: End = None,
        every: Every = None,
        as_of: AsOf = None,
        source: Source = None,
    ) -> Response:
        """One contract over time, oldest first: prices, book, open interest, IV and Greeks.

        Quantities are shares, IV is a fraction.
        """
        asked = SeriesQuery.of(server, begin, end, every, as_of, source)
        asked.refuse_too_large(1)
        named = [
            ("symbol", underlying.upper()),
            ("expiry", expiry),
            ("strike", strike),
            ("option_type", option_type.value),
        ]
        query = PagedQuery("/api/data/leg", [*named, *asked.parameters])
        page = page_wanted(request, query, paging)

        def read(**given: Any) -> ChainSeries:
            contract = underlying, expiry, strike, option_type.value
            return leg_history(*contract, settings=server.settings, **given)

        return await _answer(server, request, asked, page, read)

    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuery:
    """Which time a request is about, and which snapshots of it."""

    wanted: Period
    every: str | None
    as_of: datetime | None
    source: ChainSource | None

    @classmethod
    def of(
        cls,
        server: Server,
        begin: str | None,
        end: str | None,
        every: str | None,
        as_of: str | None,
        source: ChainSource | None,
    ) -> "SeriesQuery":
        """Raises SetupError for times that are none."""
        wanted = period_named(begin, end, server.today())
        return cls(wanted=wanted, every=every, as_of=instant_named(as_of), source=source)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        given = {"every": self.every, "as_of": self.as_of, "source": self.source}
        return [
            *period_parameters(self.wanted),
            *((name, str(value)) for name, value in given.items() if value),
        ]

    def refuse_too_large(self, expiries: int) -> None:
        """Raises Refusal (422) when that time may have too many snapshots."""
        days = trading_days_at_most(self.wanted.first, self.wanted.last)
        refuse_too_large(
            days * SNAPSHOTS_A_DAY * expiries,
            "snapshots",
            "Ask for fewer days, or for one expiry.",
            MOST_SNAPSHOTS,
        )


async def _answer(
    server: Server, request: Request, asked: SeriesQuery, page: Page, read: Series
) -> Response:
    seen = earlier(asked.as_of, newest_visible(request))

    def answered() -> Response:
        found = read(
            first=asked.wanted.begin,
            last=asked.wanted.end,
            every=asked.every,
            as_of=seen,
            source=asked.source,
        )
        document = {
            "symbol": found.underlying,
            "from": utc_text(found.first),
            "to": utc_text(found.last),
            "snapshots": found.completeness.snapshots,
            "expiries": [each.document() for each in found.completeness.expiries],
        }
        frame = _frame(found)
        return paged_answer(request, page, document, frame, found.table, ("at", "expiry"))

    return await to_thread.run_sync(answered, limiter=server.ranges)


def _frame(found: ChainSeries) -> Frame:
    counted, sources = found.completeness.expiries, found.freshness.sources
    due = sum(each.minutes_due for each in counted)
    received = sum(each.minutes_received for each in counted)
    units = found.table["unit"].unique().to_pylist()
    return Frame(
        as_of=found.freshness.as_of,
        newest=found.freshness.newest,
        completeness=Counted(
            of="minutes", expected=due, present=received, missing=due - received, pending=None
        ),
        source=sources[0] if len(sources) == 1 else None,
        unit=units[0] if len(units) == 1 else None,
        reasons=_reasons(found, due, due - received),
    )


def _reasons(found: ChainSeries, due: int, missing: int) -> list[Cause]:
    if found.first > found.freshness.as_of:
        return [Cause("still_to_come", 0, "the whole range is later than the present instant")]
    if not due:
        return [Cause("closed", 0, "no minute of the range in which derivatives traded is over")]
    if missing:
        return [Cause("not_collected", missing, "minutes without a receipt of the chain")]
    return []
