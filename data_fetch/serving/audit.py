"""The audit of what a server refuses."""

import logging
from asyncio import create_task, sleep
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.accounts.lock_out import address_group
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import DataFetchError
from data_fetch.core.text import presentable
from data_fetch.services.account_audit import RefusalAudit
from data_fetch.serving.problems import LOCKED_OUT, SIGN_IN_FAILED

log = logging.getLogger(__name__)

SECONDS_BETWEEN = 1.0
BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: EventKind.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: EventKind.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS: EventKind.RATE_LIMITED,
}
BY_CODE = {SIGN_IN_FAILED: EventKind.SIGN_IN_FAILED, LOCKED_OUT: EventKind.LOCKED_OUT}


class Audit:
    """Notes refusals, and stores them a moment later while it is running."""

    def __init__(self, refusals: RefusalAudit) -> None:
        self._refusals = refusals
        self._failing = False

    def refused(self, scope: Scope, status: int, code: str | None) -> None:
        """Note that a request or connection was refused with *status* and *code*, if that is a
        refusal of its sender. The route is its template: a path may have anything in it."""
        kind = BY_CODE.get(code or "") or BY_STATUS.get(HTTPStatus(status))
        if kind is None:
            return
        state, route = scope["state"], scope.get("route")
        self._refusals.note(
            AccountEvent(
                at=SystemClock().now(),
                kind=kind,
                email=state.get("email"),
                address=address_of(scope),
                request_id=state["request_id"],
                detail=" ".join(filter(None, (code, getattr(route, "path", None)))) or None,
            )
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Until the end, store what was noted every second; at the end, all of it."""
        storing = create_task(self._store_again_and_again())
        try:
            yield
        finally:
            storing.cancel()
            await self._try(self._refusals.store_all)

    async def _store_again_and_again(self) -> None:
        while True:
            await sleep(SECONDS_BETWEEN)
            await self._try(self._refusals.store)

    async def _try(self, store: Callable[[datetime], None]) -> None:
        try:
            await run_in_threadpool(store, SystemClock().now())
        except DataFetchError as problem:
            # The rows wait; the store may be back the next time.
            if not self._failing:
                log.warning("audit_not_stored", extra={"problem": problem.message})
            self._failing = True
        else:
            self._failing = False


def address_of(scope: Scope) -> str:
    """The address of the sender; of an IPv6 address the part that its sender cannot change."""
    client = scope.get("client")
    return _group_of(str(client[0])) if client else "unknown"


# Clients stay for many requests, and each request is counted by its address.
@lru_cache(maxsize=1_000)
def _group_of(host: str) -> str:
    return address_group(presentable(host))
