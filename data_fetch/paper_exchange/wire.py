"""Upstox's envelope: how answers and refusals look on the wire (reference, section 13)."""

from dataclasses import dataclass, field
from typing import Any

import orjson

JSON, HTML = "application/json", "text/html"

# code -> (HTTP status, message)
REFUSALS = {
    "UDAPI10005": (429, "Too Many Request Sent"),
    "UDAPI1009": (400, "Instrument key is required"),
    "UDAPI1011": (400, "Instrument key is of invalid format"),
    "UDAPI1015": (400, "to_date must be greater than or equal to from_date"),
    "UDAPI1020": (400, "Invalid interval"),
    "UDAPI1021": (400, "Instrument key is of invalid format"),
    "UDAPI1027": (400, "Interval is required"),
    "UDAPI1028": (400, "Invalid interval"),
    "UDAPI1087": (400, "Invalid Instrument key"),
    "UDAPI1088": (400, "Invalid date"),
    "UDAPI1089": (400, "Invalid exchange"),
    "UDAPI1146": (400, "Invalid unit"),
    "UDAPI1147": (400, "Invalid interval"),
    "UDAPI1148": (400, "Invalid date range"),
    "UDAPI1149": (403, "This API requires an Upstox Plus subscription"),
    "UDAPI100011": (400, "Invalid Instrument key"),
    "UDAPI100016": (401, "Invalid Credentials"),
    "UDAPI100043": (400, "Maximum 500 instrument keys are allowed"),
    "UDAPI100050": (401, "Invalid token used to access API"),
    "UDAPI100060": (404, "Resource not Found"),
    "UDAPI100500": (500, "Something went wrong... please contact us"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, before it is put on the wire."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refuse(code: str) -> Refused:
    """The provider's refusal of that code."""
    status, message = REFUSALS[code]
    return Refused(Answer(error_body(code, message), status))


def error_body(code: str, message: str) -> bytes:
    """Both spellings of every name, as the provider sends them while one is deprecated."""
    error = {
        "errorCode": code,
        "message": message,
        "propertyPath": None,
        "invalidValue": None,
        "error_code": code,
        "property_path": None,
        "invalid_value": None,
    }
    return orjson.dumps({"status": "error", "errors": [error]})


def success(data: Any) -> Answer:
    return Answer(orjson.dumps({"status": "success", "data": data}))
