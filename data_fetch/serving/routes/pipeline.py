"""What is stored of option chains and how collecting them goes, as the older chain backend
served it. Of the present, so not public."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from data_fetch.core.chains.chains import OptionType
from data_fetch.core.clock import utc_text
from data_fetch.reading.chain_counts import MOST_COUNTED, ChainCounts, chain_counts, pipeline
from data_fetch.serving.answers import Cause, Counted, Frame, data_answer
from data_fetch.serving.envelopes import enveloped_answer
from data_fetch.serving.models.pipeline import PipelineAnswer, Stats
from data_fetch.serving.parameters import Require
from data_fetch.serving.problems import documented
from data_fetch.serving.server import Server, refuse_public

TOO_MANY = f"legs are too many to count by type: more than {MOST_COUNTED:,}"
NAMES = {OptionType.CALL: "calls", OptionType.PUT: "puts"}


def router(server: Server) -> APIRouter:
    routes = APIRouter(tags=["pipeline"], responses=documented(HTTPStatus.CONFLICT))

    @routes.get("/stats", response_model=Stats)
    def stats(request: Request, require: Require = None) -> Response:
        """How many legs of option chains are stored, by symbol and by type."""
        refuse_public(request)
        now, counts = server.now(), chain_counts(server.settings)
        age = None if counts.newest is None else (now - counts.newest).total_seconds()
        content = {
            "total_records": counts.legs,
            "records_by_symbol": counts.symbols,
            "records_by_type": _by_type(counts),
            "latest_fetch_time": None if counts.newest is None else utc_text(counts.newest),
        }
        frame = Frame(
            as_of=now,
            newest=counts.newest,
            completeness=Counted(of="legs", present=counts.legs),
            unit="legs",
            reasons=_uncounted(counts),
        )
        return data_answer(request, {**content, "data_freshness_seconds": age}, frame, content)

    @routes.get("/pipeline/status", response_model=PipelineAnswer)
    def pipeline_status(request: Request, require: Require = None) -> Response:
        """The recorded runs of the chain collector, and what they stored."""
        refuse_public(request)
        now, found = server.now(), pipeline(server.settings)
        last, total = found.last_completed, found.completed + found.failed
        data = {
            "running": found.running,
            "total_cycles": total,
            "successful_cycles": found.completed,
            "failed_cycles": found.failed,
            "success_rate": found.success_rate,
            "last_successful_fetch": None if last is None else utc_text(last),
            "symbols": list(found.symbols),
            "fetch_interval": found.interval,
            "statistics": _statistics(found.counts),
        }
        frame = Frame(
            as_of=now,
            newest=last,
            completeness=Counted(
                of="runs", expected=total, present=found.completed, missing=found.failed, pending=0
            ),
            unit="legs",
            reasons=_uncounted(found.counts),
        )
        message = "The collector is running" if found.running else "No collector is running"
        return enveloped_answer(request, message, data, frame)

    return routes


def _uncounted(counts: ChainCounts) -> list[Cause]:
    return [Cause("not_counted", counts.legs, TOO_MANY)] if counts.types is None else []


def _by_type(counts: ChainCounts) -> dict[str, int | None]:
    types = counts.types
    return {kind.value: None if types is None else types[kind].stored for kind in OptionType}


def _statistics(counts: ChainCounts) -> dict[str, Any]:
    """Legs of new snapshots, and of snapshots that were received again unchanged."""
    types = counts.types
    return {
        f"total_{name}_{what}": None if types is None else getattr(types[kind], attribute)
        for what, attribute in (("inserted", "stored"), ("skipped", "confirmed"))
        for kind, name in NAMES.items()
    }
