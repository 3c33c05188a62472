"""Upstox's response envelope and error bodies (reference, section 13)."""

from dataclasses import dataclass, field

import orjson

JSON, HTML = "application/json", "text/html"

# code -> (HTTP status, message)
API_ERRORS = {
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
    "UDAPI100057": (401, "Invalid Auth code"),
    "UDAPI100060": (404, "Resource not Found"),
    "UDAPI100068": (400, "Check your 'client_id' and 'redirect_uri'; one or both are incorrect."),
    "UDAPI100069": (401, "Check your 'client_id' and 'client_secret'; one or both are incorrect."),
    "UDAPI100500": (500, "Something went wrong... please contact us"),
}


@dataclass(frozen=True, slots=True)
class Response:
    """A complete HTTP response, before connection faults are applied."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """Ends a request with *response*, usually an error response of the provider."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def api_error(code: str) -> ApiError:
    """The provider's error with this code, to be raised."""
    status, message = API_ERRORS[code]
    return ApiError(Response(error_body(code, message), status))


def error_body(code: str, message: str) -> bytes:
    """An error envelope with both spellings of every name: the provider sends the old one too."""
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
