"""Small answers of Upstox's option endpoints, as the tests want them."""

from typing import Any

NIFTY_KEY = "NSE_INDEX|Nifty 50"
SPOT = 22650.5


def side(
    token: int = 40001, *, call: bool = True, greeks: dict[str, Any] | None = None, **market: Any
) -> dict[str, Any]:
    given = {
        "iv": 14.31,
        "delta": 0.52 if call else -0.48,
        "gamma": 0.001,
        "theta": -9.5,
        "vega": 11,
    }
    return {
        "instrument_key": f"NSE_FO|{token}",
        "market_data": {
            "ltp": 120.5,
            "volume": 325000,
            "oi": 65000.0,
            "close_price": 140.75,
            "bid_price": 120.4,
            "bid_qty": 390,
            "ask_price": 120.6,
            "ask_qty": 65,
            "prev_oi": 58500.0,
            **market,
        },
        "option_greeks": {**given, "pop": 40.1, **(greeks or {})},
    }


def row(strike: Any = 22650.0, **changes: Any) -> dict[str, Any]:
    token = 10 * int(float(strike))
    return {
        "expiry": "2026-09-15",
        "pcr": 1.0,
        "strike_price": strike,
        "underlying_key": NIFTY_KEY,
        "underlying_spot_price": SPOT,
        "call_options": side(token),
        "put_options": side(token + 1, call=False),
        **changes,
    }


def contract(token: int = 50978, day: str = "2026-12-29", **changes: Any) -> dict[str, Any]:
    return {
        "name": "NIFTY",
        "segment": "NSE_FO",
        "exchange": "NSE",
        "expiry": day,
        "weekly": False,
        "instrument_key": f"NSE_FO|{token}",
        "exchange_token": str(token),
        "trading_symbol": "NIFTY 27000 CE 29 DEC 26",
        "tick_size": 5.0,
        "lot_size": 65,
        "instrument_type": "CE",
        "freeze_quantity": 3510.0,
        "underlying_key": NIFTY_KEY,
        "underlying_type": "INDEX",
        "underlying_symbol": "NIFTY",
        "strike_price": 27000.5,
        "minimum_lot": 65,
        **changes,
    }
