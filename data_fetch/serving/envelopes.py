"""The envelope in which the older chain backend put most of its answers."""

from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from data_fetch.core.clock import utc_text
from data_fetch.serving.answers import Frame, data_answer


def enveloped(at: datetime, message: str, data: Any) -> dict[str, Any]:
    """*data* in the envelope; `timestamp` is the instant of the answer."""
    return {"success": True, "message": message, "data": data, "timestamp": utc_text(at)}


def enveloped_answer(
    request: Request, message: str, data: Any, frame: Frame, **more: Any
) -> Response:
    """The same with its frame, and *more* members beside the data. Raises as `data_answer`."""
    document = {**enveloped(frame.as_of, message, data), **more}
    content = {name: value for name, value in document.items() if name != "timestamp"}
    return data_answer(request, document, frame, content)
