"""Where Upstox posts the token that its user has approved.

The path cannot be guessed, and is not in the description. Each refusal is in the audit; a token is
never logged and never answered.
"""

import logging
from hmac import compare_digest
from http import HTTPStatus
from threading import Lock

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from data_fetch.core.errors import LoginRefused, NotificationRefused, SetupError
from data_fetch.runtime.login import NOTIFIER_PATH, notifier_path, receive_notification
from data_fetch.serving.problems import Refusal
from data_fetch.serving.server import Server

log = logging.getLogger(__name__)


def router(server: Server) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    # One after the other: the second of two that are alike is then a repetition.
    lock = Lock()

    @routes.post(f"{NOTIFIER_PATH}{{secret}}")
    async def notify(secret: str, request: Request) -> JSONResponse:
        """Take a token that was approved."""
        await server.limits.admit_notification()
        body = await request.body()

        def receive() -> str:
            _refuse_other_paths(server, secret)
            with lock:
                return receive_notification(server.settings, _object(body)).user_id

        try:
            user_id = await run_in_threadpool(receive)
        except (NotificationRefused, LoginRefused) as problem:
            log.warning("notification_refused", extra={"problem": problem.message})
            raise Refusal(
                HTTPStatus.FORBIDDEN, "notification_refused", "this is no token for this server"
            ) from None
        log.info("notification_taken", extra={"user": user_id})
        return JSONResponse({"status": "success"})

    return routes


def _refuse_other_paths(server: Server, secret: str) -> None:
    try:
        expected = notifier_path(server.settings)
    except SetupError:
        # Without an app there is no notifier.
        expected = ""
    if not compare_digest(f"{NOTIFIER_PATH}{secret}".encode(), expected.encode()):
        raise Refusal(HTTPStatus.NOT_FOUND, "not_found", "nothing is here")


def _object(body: bytes) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise NotificationRefused("it is no JSON object")
    return document
