"""The official SDK: one client, no retries of its own, raw bytes out.

Importing this module imports the SDK, which takes a third of a second: `UpstoxApi` does so at
its first request.
"""

import http.client
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from threading import Lock
from typing import Any

import upstox_client
import urllib3
from upstox_client.rest import ApiException

from data_fetch.core.chains.chains import RawResponse
from data_fetch.core.errors import BadResponse, Unreachable
from data_fetch.core.ports import Clock
from data_fetch.core.world import World
from data_fetch.sources.transport.bounded import (
    LARGEST_BODY,
    TIMED_POOLS,
    BodyTooLarge,
    whole_body,
)
from data_fetch.sources.transport.world_check import WorldCheck

CONNECTIONS = 32

CHECK_NETWORK = "Check the network and UPSTOX_BASE_URL."


class _BoundedPools(urllib3.PoolManager):
    """Reads each whole response within the timeout of its request, and up to *largest_body*."""

    def __init__(self, largest_body: int, **how: Any) -> None:
        super().__init__(**how)
        self.pool_classes_by_scheme = TIMED_POOLS
        self._largest_body = largest_body

    # PoolManager itself narrows its base class in this way.
    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **how: Any
    ) -> urllib3.BaseHTTPResponse:
        how["preload_content"] = False
        # A redirect is returned, not followed: the token must not reach another host.
        response = super().urlopen(method, url, redirect=False, **how)
        body = whole_body(response, self._largest_body)
        response.release_conn()
        return urllib3.HTTPResponse(
            body, headers=response.headers, status=response.status, reason=response.reason
        )


class UpstoxSdk:
    """Sends single requests to *base_url* through the SDK's own methods.

    A response of another world than *world* raises WrongWorld.
    """

    def __init__(
        self, base_url: str, clock: Clock, world: World, largest_body: int = LARGEST_BODY
    ) -> None:
        self._base_url = base_url
        self._clock = clock
        self._world = WorldCheck(world, "UPSTOX_BASE_URL")
        self._lock = Lock()
        self._client = _client(base_url, largest_body)

    def get(
        self, owner: str, method: str, *args: object, token: str, timeout: int, **params: object
    ) -> RawResponse:
        """Call *method* of the SDK class *owner*; a response of any status is returned.

        *timeout* is in whole seconds: the SDK reads a float as "no timeout".
        Raises Unreachable, BadResponse and WrongWorld.
        """
        api = getattr(upstox_client, owner)(self._client_with(token))
        call = getattr(api, method)
        try:
            response = call(*args, **params, _preload_content=False, _request_timeout=timeout)
        except ApiException as refused:
            if not refused.status:
                raise Unreachable(
                    "Cannot establish a TLS connection to Upstox", hint=CHECK_NETWORK
                ) from None
            return self._raw(refused.status, refused.body, refused.headers or {})
        except urllib3.exceptions.DecodeError:
            raise BadResponse("Upstox sent a body that cannot be decompressed") from None
        except BodyTooLarge as problem:
            raise BadResponse(f"Upstox sent {problem}") from None
        except urllib3.exceptions.HTTPError as problem:
            # Its own text contains the whole address, with all keys.
            raise Unreachable(
                f"No response from Upstox ({_kind(problem)})", hint=CHECK_NETWORK
            ) from None
        return self._raw(response.status, response.data, response.headers)

    def _raw(self, status: int, body: bytes | None, headers: Mapping[str, str]) -> RawResponse:
        self._world.check(self._base_url, headers)
        # urllib3 has None for an empty body.
        return RawResponse(self._clock.now(), status, body or b"", dict(headers))

    def _client_with(self, token: str) -> Any:
        """The one client, with *token*. A request in flight keeps the token it began with."""
        with self._lock:
            if self._client.configuration.access_token != token:
                configuration = copy(self._client.configuration)
                configuration.access_token = token
                self._client = copy(self._client)
                self._client.configuration = configuration
            return self._client


def _client(base_url: str, largest_body: int) -> Any:
    """An SDK client for *base_url*, and its connection pool."""
    with _logging_restored():
        # Calling Configuration() gives a copy of whatever instance the process made first,
        # a sandbox perhaps; type.__call__ makes one of our own.
        configuration = type.__call__(upstox_client.Configuration)
    configuration.host = configuration.order_host = base_url
    configuration.connection_pool_maxsize = CONNECTIONS
    client = upstox_client.ApiClient(configuration)
    # Threads for async_req, which is never used here.
    client.pool.close()
    client.pool.join()
    pool = client.rest_client.pool_manager
    client.rest_client.pool_manager = _BoundedPools(
        largest_body,
        retries=urllib3.Retry(total=False, respect_retry_after_header=False),
        **pool.connection_pool_kw,
    )
    return client


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Undo what the SDK does to logging: handlers on two loggers, their levels, http.client."""
    loggers = [logging.getLogger(name) for name in ("upstox_client", "urllib3")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    debuglevel = http.client.HTTPConnection.debuglevel
    try:
        yield
    finally:
        http.client.HTTPConnection.debuglevel = debuglevel
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers


def _kind(problem: Exception) -> str:
    reason = getattr(problem, "reason", None) or problem
    return type(reason).__name__
