"""Small bodies of NSE's website, as the tests want them."""

from typing import Any

TUESDAY = "15-Sep-2026"
SPOT = 22650.5


def leg(
    strike: Any = 22650, side: str = "CE", day: str = "15-09-2026", **changes: Any
) -> dict[str, Any]:
    """A leg of the v3 shape; `without` names members to leave out."""
    without = changes.pop("without", ())
    whole = {
        "strikePrice": strike,
        "expiryDate": day,
        "underlying": "NIFTY",
        "identifier": f"OPTIDXNIFTY15-09-2026{side}{float(strike):.2f}",
        "openInterest": 1000,
        "changeinOpenInterest": 100,
        "pchangeinOpenInterest": 11.11,
        "totalTradedVolume": 5000,
        "impliedVolatility": 14.31,
        "lastPrice": 120.5,
        "change": -20.25,
        "pChange": -14.39,
        "PChange": -14.39,
        "totalBuyQuantity": 65000,
        "totalSellQuantity": 32500,
        "buyPrice1": 120.4,
        "buyQuantity1": 390,
        "sellPrice1": 120.6,
        "sellQuantity1": 65,
        "underlyingValue": SPOT,
        "optionType": None,
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if name not in without}


def placeholder() -> dict[str, Any]:
    """What v3 puts where nothing is listed."""
    nothing = dict.fromkeys(leg(), 0)
    return {**nothing, "expiryDate": None, "underlying": None, "identifier": None}


def row(strike: Any = 22650, **sides: Any) -> dict[str, Any]:
    return {
        "expiryDates": TUESDAY,
        "strikePrice": strike,
        **(sides or {"CE": leg(strike), "PE": leg(strike, "PE")}),
    }


def body(*rows: Any, **records: Any) -> dict[str, Any]:
    return {
        "records": {
            "data": list(rows),
            "timestamp": "11-Sep-2026 15:40:00",
            "underlyingValue": SPOT,
            "expiryDates": [TUESDAY],
            "strikePrices": ["22650"],
            **records,
        },
        "filtered": {"data": list(rows)},
    }
