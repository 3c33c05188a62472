"""The envelope in which the older chain backend put most of its answers."""

from datetime import datetime
from typing import Any

from data_fetch.reading.instants import utc_text


def enveloped(message: str, data: Any) -> dict[str, Any]:
    """The members of the envelope but the timestamp."""
    return {"success": True, "message": message, "data": data}


def stamped(at: datetime) -> dict[str, str]:
    """The timestamp of the envelope: the instant of the answer."""
    return {"timestamp": utc_text(at)}
