"""Figures of option chains as the older streaming backend served them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.errors import NothingStored, UnknownSymbol
from data_fetch.reading.chain_records import (
    ChainHead,
    ChainQuery,
    ChainRecord,
    RecentChains,
    chain_head,
    recent_chains,
    running_chains,
)
from data_fetch.reading.product_analytics import (
    StoredSnapshot,
    product_build_up,
    product_max_pain,
    product_surface,
    put_call_ratios,
    running_snapshots,
)
from data_fetch.reading.product_chains import UNIT
from data_fetch.reading.product_ticks import last_bar
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.chain_answers import (
    REJECTED,
    WITHOUT_IV,
    ChainAnswers,
    ChainForm,
    listed,
    nothing_stored_frame,
)
from data_fetch.serving.models.analytics import (
    MaxPain,
    Ohlc,
    OpenInterestBuildUp,
    PutCallRatios,
    VolatilitySurface,
)
from data_fetch.serving.parameters import Expiry, Require, Symbol, day_named
from data_fetch.serving.problems import Refusal, documented, naming
from data_fetch.serving.server import Server, newest_visible

MOST_HISTORY = 100


class Window(IntEnum):
    """Minutes of a bar."""

    ONE = 1
    FIVE = 5
    FIFTEEN = 15


RequiredExpiry = Annotated[
    str | None, Query(description="An expiry: 2026-09-29 or 29-Sep-2026. Required.")
]
Document = Callable[[ChainRecord], Mapping[str, Any]]


def router(server: Server, answers: ChainAnswers) -> APIRouter:
    routes = APIRouter(
        prefix="/api/analytics",
        tags=["analytics"],
        responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )
    of_an_expiry = documented(HTTPStatus.BAD_REQUEST)

    @routes.get("/pcr/{product}", response_model=PutCallRatios, response_model_exclude_unset=True)
    def pcr(
        request: Request,
        product: Symbol,
        expiry: Expiry = None,
        history: Annotated[bool, Query(description="The last ratios too, newest first.")] = False,
        require: Require = None,
    ) -> Response:
        """The newest ratios of puts to calls: of each expiry that is not over, or of one."""
        day, at, now = day_named(expiry), newest_visible(request), server.now()
        try:
            with naming(product, UnknownSymbol):
                if day is None:
                    newest = running_chains(server.settings, product, at)
                else:
                    query = ChainQuery(symbol=product, expiry=day, at=at)
                    newest = [chain_head(server.settings, query)]
        except NothingStored as problem:
            nothing: dict[str, Any] = {"history": []} if history else {}
            empty: dict[str, Any] = {
                "product": product.upper(),
                "latest": [] if day is None else None,
            }
            frame = nothing_stored_frame(problem, now, UNIT)
            return data_answer(request, empty | nothing, frame)
        latest = put_call_ratios(server.settings, newest)
        document: dict[str, Any] = {
            "product": newest[0].shown.underlying,
            "latest": latest if day is None else latest[0],
        }
        if history:
            recent = RecentChains(symbol=product, limit=MOST_HISTORY, expiry=day, at=at)
            heads = recent_chains(server.settings, recent)
            document["history"] = put_call_ratios(server.settings, heads)
        return data_answer(request, document, ratios_frame(newest, now))

    @routes.get("/volatility-surface/{product}", response_model=VolatilitySurface)
    def volatility_surface(request: Request, product: Symbol, require: Require = None) -> Response:
        """The volatilities by strike of each expiry that is not over, nearest first."""
        now = server.now()
        with naming(product, UnknownSymbol, NothingStored):
            snapshots = running_snapshots(server.settings, product, newest_visible(request))
        document = product_surface(snapshots)
        return data_answer(request, document, surface_frame(snapshots, now))

    async def of_one_expiry(
        request: Request, product: str, expiry: str | None, name: str, document: Document
    ) -> Response:
        if expiry is None:
            raise Refusal(
                HTTPStatus.BAD_REQUEST,
                "expiry_missing",
                "expiry is missing",
                then=f"Add ?expiry= with one of /api/data/expiries/{product[:60]}.",
                product=product,
            )
        day = day_named(expiry)
        form = ChainForm(name, UNIT, lambda found: document(found[0]))

        async def call(request: Request) -> Response:
            query = ChainQuery(symbol=product, expiry=day, at=newest_visible(request))
            return await answers.answer(
                request, query, lambda: (chain_head(server.settings, query),), form
            )

        with naming(product, UnknownSymbol, NothingStored, expiry=expiry):
            return await server.calls.first(request, call)

    @routes.get("/max-pain/{product}", response_model=MaxPain, responses=of_an_expiry)
    async def max_pain(
        request: Request,
        product: Symbol,
        expiry: RequiredExpiry = None,
        require: Require = None,
    ) -> Response:
        """The strike at which the writers of an expiry pay least."""
        return await of_one_expiry(request, product, expiry, "max_pain", product_max_pain)

    @routes.get("/oi-buildup/{product}", response_model=OpenInterestBuildUp, responses=of_an_expiry)
    async def oi_buildup(
        request: Request,
        product: Symbol,
        expiry: RequiredExpiry = None,
        require: Require = None,
    ) -> Response:
        """The open interest of an expiry in, at and out of the money."""
        return await of_one_expiry(request, product, expiry, "build_up", product_build_up)

    @routes.get("/ohlc/{product}", response_model=Ohlc)
    def ohlc(
        request: Request,
        product: Symbol,
        window: Annotated[Window, Query(description="Minutes.")] = Window.FIVE,
        require: Require = None,
    ) -> Response:
        """One bar of the last minutes, up to the newest one-minute candle."""
        at, now = newest_visible(request), server.now()
        with naming(product, UnknownSymbol, NothingStored):
            found = last_bar(server.settings, product, window, at)
        few = found.candles < window
        frame = Frame(
            as_of=now,
            newest=found.newest,
            completeness=Counted(
                of="minutes", expected=None if few else window, present=found.candles
            ),
            source=listed(found.sources),
            unit=UNIT,
        )
        return data_answer(request, found.document, frame)

    return routes


def ratios_frame(heads: Sequence[ChainHead], now: datetime) -> Frame:
    """The frame of ratios: complete when no leg of their snapshots was rejected."""
    shown = [head.shown for head in heads]
    legs, rejected = sum(each.legs for each in shown), sum(each.rejected for each in shown)
    return Frame(
        as_of=now,
        newest=max(each.last_confirmed for each in shown),
        completeness=Counted(
            of="legs", expected=legs + rejected, present=legs, missing=rejected, pending=0
        ),
        source=listed(each.source for each in shown),
        unit=UNIT,
        reasons=[Cause("rejected", rejected, REJECTED)] if rejected else (),
    )


def surface_frame(snapshots: Sequence[StoredSnapshot], now: datetime) -> Frame:
    """The frame of a surface: complete when each leg has a volatility of its own."""
    numbers = [each for found in snapshots for each in found.summary.priced.numbers]
    reasons = Counter(each.reason.value for each in numbers if each.reason is not None)
    missing = reasons.total()
    heads = [found.head for found in snapshots]
    return Frame(
        as_of=now,
        newest=max(head.last_confirmed for head in heads),
        completeness=Counted(
            of="legs",
            expected=len(numbers),
            present=len(numbers) - missing,
            missing=missing,
            pending=0,
        ),
        source=listed(head.source for head in heads),
        unit="fraction",
        reasons=[Cause(code, count, WITHOUT_IV) for code, count in sorted(reasons.items())],
    )
