"""Pages, error responses and number format of NSE's website.

The website has no envelope. Errors are HTML pages or an empty object, rarely JSON.
"""

import orjson

from data_fetch.paper_exchange.market.seeded_random import Floats
from data_fetch.paper_exchange.wire import HTML, Response


def _page(title: str, text: str) -> bytes:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="UTF-8">\n'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{text}</h1>\n</body>\n</html>\n"
    ).encode()


OPTION_CHAIN_PAGE = _page(
    "Option Chain (Equity Derivatives) - NSE India", "Option Chain (Equity Derivatives)"
)
EMPTY_OBJECT = Response(b"{}")
UNAUTHORIZED = Response(_page("401 Unauthorized", "Unauthorized"), 401, HTML)
ACCESS_DENIED = Response(
    _page("Access Denied", "Access Denied")
    + b"You don't have permission to access this resource on this server. Reference #18.0",
    403,
    HTML,
)
NOT_FOUND = Response(_page("Resource not found", "Resource not found"), 404, HTML)
MISDIRECTED = Response(_page("421 Misdirected Request", "Misdirected Request"), 421, HTML)
SERVER_ERROR = Response(_page("500", "Internal Server Error"), 500, HTML)
UNAVAILABLE = Response(_page("503", "Service Unavailable"), 503, HTML)
PLEASE_WAIT = Response(_page("NSE India", "Please wait"), content_type=HTML)

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def json_number(number: float) -> int | float:
    """*number* as JavaScript writes it: whole numbers have no decimal point."""
    return int(number) if number.is_integer() else number


def json_numbers(numbers: Floats) -> list[int | float]:
    return [int(number) if number.is_integer() else number for number in numbers.tolist()]


def json_response(document: object) -> Response:
    return Response(orjson.dumps(document))
