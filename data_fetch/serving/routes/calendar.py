"""When the exchange trades, and how often chains are polled."""

from datetime import timedelta
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from data_fetch.reading.calendar_days import calendar_days
from data_fetch.reading.instants import date_of
from data_fetch.reading.polling_plan import polled_now
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.cursors import PagedQuery
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.operations import CalendarAnswer, PollingPlanAnswer
from data_fetch.serving.pages import in_order, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    First,
    Last,
    Paged,
    Require,
)
from data_fetch.serving.problems import Refusal, documented
from data_fetch.serving.range_bounds import refuse_too_large
from data_fetch.serving.server import Server, refuse_public

MOST_DAYS, DEFAULT_DAYS = 4_000, 31


def router(server: Server) -> APIRouter:
    routes = APIRouter(prefix="/api/data", tags=["calendar"])

    @routes.get(
        "/calendar",
        response_model=CalendarAnswer,
        responses={
            **RANGE_FORMS,
            **documented(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
        },
    )
    async def calendar(
        request: Request,
        paging: Paged,
        first: First = None,
        last: Last = None,
    ) -> Response:
        """The sessions of each date by segment: the present day and the 30 after it by default.

        Times are IST. `provisional`: the hours are not reviewed.
        """
        begin = date_of(first) if first else server.today()
        end = date_of(last) if last else begin + timedelta(days=DEFAULT_DAYS - 1)
        if begin > end:
            raise Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid",
                f"{begin} is later than {end}",
                then="Name the earlier date first.",
            )
        refuse_too_large((end - begin).days + 1, "days", "Ask for fewer days.", MOST_DAYS)
        parameters = [("from", begin.isoformat()), ("to", end.isoformat())]
        query = PagedQuery("/api/data/calendar", parameters)
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = calendar_days(server.settings, begin, end)
            document = {
                "from": begin.isoformat(),
                "to": end.isoformat(),
                "reviewed_until": found.reviewed_until.isoformat(),
            }
            sessions, provisional = len(found.table), found.provisional
            frame = Frame(
                as_of=server.now(),
                newest=found.refreshed_at,
                completeness=Counted(
                    of="sessions",
                    expected=sessions,
                    present=sessions - provisional,
                    missing=0,
                    pending=provisional,
                ),
                reasons=[Cause("provisional", provisional, "sessions that are not reviewed")]
                if provisional
                else [],
            )
            return paged_answer(
                request,
                page,
                document,
                frame,
                in_order(found.table, ("date", "segment")),
                ("date", "segment"),
            )

        return await to_thread.run_sync(answered, limiter=server.ranges)

    @routes.get(
        "/polling-plan",
        response_model=PollingPlanAnswer,
        responses=documented(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
    )
    async def polling_plan(request: Request, _: Require = None) -> Response:
        """Which chains are polled, how often as configured, and how often the rate limits allow
        it."""
        refuse_public(request)
        found = await to_thread.run_sync(polled_now, server.settings, limiter=server.ranges)
        active = sum(each.active for each in found.configs)
        frame = Frame(
            as_of=server.now(),
            newest=None,
            completeness=Counted(
                of="symbols", expected=active, present=active, missing=0, pending=0
            ),
        )
        return data_answer(request, found.document(), frame)

    return routes
