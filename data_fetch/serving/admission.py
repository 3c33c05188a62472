"""Decides on each request before a route runs: host, page, viewer, rate and body."""

from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope

from data_fetch.core.errors import DataFetchError
from data_fetch.serving.audit import address_of
from data_fetch.serving.authentication import refuse_secrets_in
from data_fetch.serving.bodies import with_whole_body
from data_fetch.serving.origins import Header, Origins
from data_fetch.serving.problems import Refusal, answer_of, refusal_to
from data_fetch.serving.server import Server
from data_fetch.serving.viewers import Viewer


@dataclass(slots=True)
class Decision:
    """*answer* is that of a request which must not reach a route; None for any other one, whose
    body comes from *receive*. *headers* are for the answer."""

    receive: Receive
    headers: list[Header] = field(default_factory=list)
    answer: Response | None = None


class Admission:
    """Decides for one server. The viewer it finds is in the state of the scope."""

    def __init__(self, server: Server) -> None:
        self._authentication = server.authentication
        self._limits = server.limits
        self._origins = Origins(server.settings)

    async def decide(self, scope: Scope, receive: Receive) -> Decision:
        decision = Decision(receive)
        try:
            await self._admit(scope, decision)
        except (Refusal, DataFetchError) as problem:
            refusal = problem if isinstance(problem, Refusal) else refusal_to(scope, problem)
            decision.answer = answer_of(scope["state"]["request_id"], refusal)
        return decision

    async def _admit(self, scope: Scope, decision: Decision) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        decision.headers += self._origins.answer_headers(origin)
        self._origins.refuse_foreign_name(headers.get(b"host"))
        self._origins.refuse_accounts(origin, scope["path"])
        if scope["type"] == "websocket":
            self._origins.refuse_socket(origin)
        elif _is_preflight(scope, headers) and origin is not None:
            decision.headers = self._origins.preflight_headers(origin)
            decision.answer = Response(status_code=HTTPStatus.NO_CONTENT)
            return
        if scope["query_string"]:
            refuse_secrets_in(scope["query_string"])
        viewer = await self._viewer(scope)
        scope["state"]["viewer"] = viewer
        decision.headers += await self._limits.admit(viewer.name or address_of(scope))
        if scope["type"] == "http":
            decision.receive = await with_whole_body(headers, decision.receive)

    async def _viewer(self, scope: Scope) -> Viewer:
        try:
            return await self._authentication.viewer_for(scope["path"], scope["headers"])
        except (Refusal, DataFetchError):
            # Trying tokens is limited as well.
            await self._limits.admit(address_of(scope))
            raise


def _is_preflight(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers
