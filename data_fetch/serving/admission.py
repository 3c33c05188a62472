"""Decides on each request before a route runs: host, page, viewer, rate, body.

What it refuses is in the audit.
"""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope

from data_fetch.core.accounts.events import AccountEvent, EventKind
from data_fetch.core.accounts.lock_out import address_group
from data_fetch.core.clock import SystemClock
from data_fetch.core.errors import DataFetchError, TokenInvalid
from data_fetch.core.text import presentable
from data_fetch.serving.authentication import Authentication, refuse_secrets_in
from data_fetch.serving.bodies import with_whole_body
from data_fetch.serving.limits import Limits
from data_fetch.serving.origins import Header, Origins
from data_fetch.serving.problems import Refusal, refusal_of
from data_fetch.serving.viewers import Viewer

log = logging.getLogger(__name__)

AUDITED = {
    HTTPStatus.UNAUTHORIZED: EventKind.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: EventKind.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS: EventKind.RATE_LIMITED,
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may go on: its viewer, its body, and headers for its answer."""

    viewer: Viewer
    receive: Receive
    headers: list[Header]
