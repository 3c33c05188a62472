"""How NSE's website looks on the wire: pages, refusals, and numbers.

It has no envelope. What goes wrong comes as a page or as an empty object, seldom as JSON.
"""

import orjson

from data_fetch.paper_exchange.market.chance import Floats
from data_fetch.paper_exchange.wire import HTML, Answer


def _page(title: str, text: str) -> bytes:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="UTF-8">\n'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{text}</h1>\n</body>\n</html>\n"
    ).encode()


OPTION_CHAIN_PAGE = _page(
    "Option Chain (Equity Derivatives) - NSE India", "Option Chain (Equity Derivatives)"
)
EMPTY_OBJECT = Answer(b"{}")
UNAUTHORIZED = Answer(_page("401 Unauthorized", "Unauthorized"), 401, HTML)
ACCESS_DENIED = Answer(
    _page("Access Denied", "Access Denied")
    + b"You don't have permission to access this resource on this server. Reference #18.0",
    403,
    HTML,
)
NOT_FOUND = Answer(_page("Resource not found", "Resource not found"), 404, HTML)
MISDIRECTED = Answer(_page("421 Misdirected Request", "Misdirected Request"), 421, HTML)
SERVER_ERROR = Answer(_page("500", "Internal Server Error"), 500, HTML)
UNAVAILABLE = Answer(_page("503", "Service Unavailable"), 503, HTML)
PLEASE_WAIT = Answer(_page("NSE India", "Please wait"), content_type=HTML)

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def plain(number: float) -> int | float:
    """Whole numbers come without a point, as JavaScript writes them."""
    return int(number) if number.is_integer() else number


def plain_all(numbers: Floats) -> list[int | float]:
    return [int(number) if number.is_integer() else number for number in numbers.tolist()]


def told(document: object) -> Answer:
    return Answer(orjson.dumps(document))
