"""Products, their prices and option chains as the older streaming backend served them: in shares,
IV a fraction."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.errors import NothingStored, UnknownSymbol
from data_fetch.reading.chain_records import (
    ChainHead,
    Place,
    RecentChains,
    recent_chains,
    running_chains,
)
from data_fetch.reading.instants import half_open
from data_fetch.reading.product_chains import UNIT, product_chain
from data_fetch.reading.product_ticks import TickQuery, ticks
from data_fetch.reading.underlyings import products as known_products
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.chain_answers import (
    ChainAnswers,
    ChainForm,
    expiries_frame,
    listed,
    nothing_stored_frame,
)
from data_fetch.serving.cursors import cursor_after, path_to, position_of
from data_fetch.serving.models.products import Expiries, ProductChains, Products, Ticks
from data_fetch.serving.parameters import (
    Cursor,
    Expiry,
    Require,
    Symbol,
    day_named,
    restored_plus,
)
from data_fetch.serving.problems import documented, naming
from data_fetch.serving.server import Server, newest_visible

NO_CHAINS = "no option chain is stored or polled. Collect some: data-fetch run"
NO_QUOTES = "no quotes are stored in this range"
MOST_CHAINS, MOST_TICKS = 50, 10_000
ChainLimit = Annotated[int, Query(ge=1, le=MOST_CHAINS, description="Snapshots.")]
TickLimit = Annotated[int, Query(ge=1, le=MOST_TICKS, description="Quotes.")]
Bound = Annotated[
    str | None,
    Query(description="A date, included as an end, or an instant with its offset, excluded."),
]


def router(server: Server, answers: ChainAnswers) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["products"],
        responses=documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    )

    @routes.get("/products", response_model=Products)
    def products(request: Request, require: Require = None) -> Response:
        """The underlyings of the NSE whose option chains are stored or polled."""
        found = known_products(server.settings, newest_visible(request))
        frame = Frame(
            as_of=server.now(),
            newest=None,
            completeness=Counted(of="products", present=len(found)),
            unit=UNIT,
            reasons=() if found else [Cause("nothing_stored", 0, NO_CHAINS)],
        )
        return data_answer(request, {"products": found}, frame)

    @routes.get("/underlying/{product}", response_model=Ticks)
    def underlying(
        request: Request,
        product: Symbol,
        start: Bound = None,
        end: Bound = None,
        limit: TickLimit = 100,
        require: Require = None,
    ) -> Response:
        """The quotes of a product, one a minute, newest first."""
        begin, until = half_open(restored_plus(start), restored_plus(end))
        at, now = newest_visible(request), server.now()
        query = TickQuery(symbol=product, limit=limit, begin=begin, end=until, at=at)
        with naming(product, UnknownSymbol):
            found = ticks(server.settings, query)
        count, due = len(found.ticks), found.slots_due
        missing = None if due is None else max(0, due - count)
        following = None
        if found.more and found.oldest is not None:
            ending = {"start": start, "end": found.oldest.isoformat(), "limit": limit}
            following = path_to("/api/data/underlying", found.product, **ending)
        frame = Frame(
            as_of=now,
            newest=found.newest,
            completeness=Counted(of="minutes", expected=due, present=count, missing=missing),
            source=listed(found.sources),
            unit="rupees",
            reasons=() if found.ticks else [Cause("nothing_stored", 1, NO_QUOTES)],
            next=following,
        )
        document = {"product": found.product, "count": count, "ticks": found.ticks}
        return data_answer(request, document, frame)

    @routes.get("/chain/{product}", response_model=ProductChains)
    async def chain(
        request: Request,
        product: Symbol,
        expiry: Expiry = None,
        limit: ChainLimit = 10,
        cursor: Cursor = None,
        require: Require = None,
    ) -> Response:
        """The last snapshots of option chains, newest first; of one expiry or of every one."""
        day = day_named(expiry)
        following = f"chain {product.upper()} {day}"
        after = None if cursor is None else place_of(cursor, following)

        def next_page(shown: Sequence[ChainHead]) -> str:
            position = cursor_of(shown[-1], following)
            return path_to(
                "/api/data/chain", product.upper(), expiry=expiry, limit=limit, cursor=position
            )

        form = ChainForm(
            ("product_chains", product.upper(), expiry, limit),
            UNIT,
            lambda found: {
                "product": found[0].head.underlying if found else product.upper(),
                "count": len(found),
                "chains": [product_chain(each) for each in found],
            },
            most=limit,
            next=next_page,
        )

        async def call(request: Request) -> Response:
            query = RecentChains(
                symbol=product,
                limit=limit + 1,
                expiry=day,
                at=newest_visible(request),
                after=after,
            )
            return await answers.answer(
                request, query, lambda: recent_chains(server.settings, query), form
            )

        try:
            with naming(product, UnknownSymbol):
                return await server.calls.first(request, call)
        except NothingStored as problem:
            nothing = {"product": product.upper(), "count": 0, "chains": []}
            return data_answer(request, nothing, nothing_stored_frame(problem, server.now(), UNIT))

    @routes.get("/expiries/{product}", response_model=Expiries)
    def expiries(request: Request, product: Symbol, require: Require = None) -> Response:
        """The stored expiries that are not over, nearest first."""
        now = server.now()
        try:
            with naming(product, UnknownSymbol):
                heads = running_chains(server.settings, product, newest_visible(request))
        except NothingStored as problem:
            nothing = {"product": product.upper(), "expiries": []}
            return data_answer(request, nothing, nothing_stored_frame(problem, server.now(), UNIT))
        document = {
            "product": heads[0].shown.underlying,
            "expiries": [head.shown.expiry.isoformat() for head in heads],
        }
        return data_answer(request, document, expiries_frame(heads, now, UNIT))

    return routes


def cursor_of(last: ChainHead, query: str) -> str:
    """The cursor of the snapshots of *query* that come after *last*."""
    of = last.shown
    return cursor_after([of.timestamp.isoformat(), of.expiry.isoformat()], query)


def place_of(cursor: str, query: str) -> Place:
    """The place that a cursor of *query* stands for. Raises Refusal (422) for other text."""
    timestamp, expiry = position_of(cursor, query)
    return Place(datetime.fromisoformat(timestamp).astimezone(UTC), date.fromisoformat(expiry))
