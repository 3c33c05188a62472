"""The audit of collecting. Of the present, so not public."""

from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from data_fetch.core.clock import utc_text
from data_fetch.core.runs import Outcome
from data_fetch.reading.run_records import RunOutcomes, runs
from data_fetch.serving.answers import Cause, Counted, Frame
from data_fetch.serving.cursors import PagedQuery
from data_fetch.serving.formats import RANGE_FORMS
from data_fetch.serving.models.operations import RunsAnswer
from data_fetch.serving.pages import in_order, page_wanted, paged_answer
from data_fetch.serving.parameters import (
    Begin,
    End,
    Paged,
    Text,
    period_named,
    period_parameters,
)
from data_fetch.serving.problems import documented
from data_fetch.serving.range_bounds import refuse_too_large, trading_days_at_most
from data_fetch.serving.server import Server, refuse_public

RUNS_A_DAY, MOST_RUNS = 3_000, 100_000
Job = Annotated[
    Text | None, Query(description="Only runs of this job.", examples=["quotes", "chains"])
]


def router(server: Server) -> APIRouter:
    routes = APIRouter(
        prefix="/api/data",
        tags=["operation"],
        responses={
            **RANGE_FORMS,
            **documented(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.CONFLICT),
        },
    )

    @routes.get("/runs", response_model=RunsAnswer)
    async def runs_of_jobs(
        request: Request,
        paging: Paged,
        begin: Begin = None,
        end: End = None,
        job: Job = None,
    ) -> Response:
        """The runs that started in a range, oldest first: what they requested and stored, and how
        they ended."""
        refuse_public(request)
        wanted = period_named(begin, end, server.today())
        cost = trading_days_at_most(wanted.first, wanted.last) * RUNS_A_DAY
        refuse_too_large(cost, "runs", "Ask for fewer days.", MOST_RUNS)
        of_job = [] if job is None else [("job", job)]
        query = PagedQuery("/api/data/runs", [*period_parameters(wanted), *of_job])
        page = page_wanted(request, query, paging)

        def answered() -> Response:
            found = runs(wanted.begin, wanted.end, job=job, settings=server.settings)
            document = {"from": utc_text(wanted.begin), "to": utc_text(wanted.end), "job": job}
            frame = Frame(
                as_of=found.freshness.as_of,
                newest=found.freshness.newest,
                completeness=_counted(found.completeness),
                reasons=_reasons(found.completeness),
            )
            key = ("started_at", "run_id")
            return paged_answer(request, page, document, frame, in_order(found.table, key), key)

        return await to_thread.run_sync(answered, limiter=server.ranges)

    return routes


def _counted(outcomes: RunOutcomes) -> Counted:
    counts = outcomes.counts
    expected = sum(counts.values()) - counts[Outcome.NOT_DUE]
    completed, running = counts[Outcome.COMPLETED], counts[Outcome.RUNNING]
    return Counted(
        of="runs",
        expected=expected,
        present=completed,
        missing=expected - completed - running,
        pending=running,
    )


def _reasons(outcomes: RunOutcomes) -> list[Cause]:
    others = {
        outcome: count
        for outcome, count in outcomes.counts.items()
        if count and outcome is not Outcome.COMPLETED
    }
    if not sum(outcomes.counts.values()):
        return [Cause("no_run", 0, "no run started in the range")]
    return [
        Cause(outcome.value, count, f"runs with the outcome {outcome.value}")
        for outcome, count in others.items()
    ]
