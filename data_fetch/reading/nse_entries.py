"""Option legs in the shape of NSE's option chain: quantities in contracts, IV in percent.

The older chain backends served them so, and their clients read these names.
"""

from datetime import date
from typing import Any

from data_fetch.core.chains.chains import ChainLeg, OptionType, QuantityUnit
from data_fetch.core.chains.valuation import LegValuation
from data_fetch.core.settings import Settings
from data_fetch.reading.chain_snapshots import stored_chain
from data_fetch.reading.documents import rounded, strike_number
from data_fetch.reading.instants import utc_text
from data_fetch.reading.records import store_of
from data_fetch.storage.chains.rows import StoredSnapshot
from data_fetch.storage.chains.snapshots import ChainStore

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LOT_UNKNOWN = "lot_unknown"


def nse_chain(settings: Settings, symbol: str, expiry: date | None, limit: int) -> dict[str, Any]:
    """The newest chain of *symbol*, at most *limit* legs of each type, by strike.

    Without *expiry* it is that of the nearest one. `truncated`: whether legs were left out;
    `total_calls` and `total_puts` count all of them. Raises NothingStored when none is,
    StoreUnreachable.
    """
    found, _ = stored_chain(settings, symbol, expiry, None, None)
    entries = nse_entries(found)
    calls = [each for each in entries if each["type"] == OptionType.CALL]
    puts = [each for each in entries if each["type"] == OptionType.PUT]
    return {
        "symbol": found.head.underlying,
        "underlying_value": found.head.spot,
        "timestamp": utc_text(found.timestamp),
        "total_calls": len(calls),
        "total_puts": len(puts),
        "calls": calls[:limit],
        "puts": puts[:limit],
        "truncated": max(len(calls), len(puts)) > limit,
        "expiry_date": date_text(found.head.expiry),
        "unit": "contracts",
        "source": str(found.head.source),
    }


def nse_strikes(settings: Settings, symbol: str, option_type: OptionType | None) -> list[float]:
    """The strikes of the newest chain of *symbol*, ascending; of one type or of both.

    Raises as `nse_chain` does.
    """
    found, _ = stored_chain(settings, symbol, None, None, None)
    kinds = {option_type} if option_type else set(OptionType)
    return sorted({float(leg.strike) for leg in found.chain.legs if leg.option_type in kinds})


def nse_expiries(settings: Settings, symbol: str) -> list[str]:
    """The stored expiries of *symbol* that are not over, as 30-Jan-2025, nearest first.

    Empty when none is stored. Raises StoreUnreachable.
    """
    with store_of(settings) as store:
        return [date_text(day) for day in ChainStore(store).of(symbol).expiries_at()]


def nse_entries(found: StoredSnapshot) -> list[dict[str, Any]]:
    """Every leg of a snapshot, by strike. Quantities are null, with `oi_reason`, while the lot of
    a source that counts shares is unknown."""
    return [
        _entry(found, leg, numbers)
        for leg, numbers in zip(found.chain.legs, found.summary.priced.numbers, strict=True)
    ]


def date_text(day: date) -> str:
    """30-Jan-2025, with English months whatever the locale."""
    return f"{day.day:02}-{MONTHS[day.month - 1]}-{day.year}"


def _entry(found: StoredSnapshot, leg: ChainLeg, numbers: LegValuation) -> dict[str, Any]:
    lot = found.lot_size if found.chain.unit is QuantityUnit.SHARES else 1
    oi, prev_oi, volume = (_in_contracts(value, lot) for value in (leg.oi, leg.prev_oi, leg.volume))
    expiry, strike = date_text(found.head.expiry), strike_number(leg.strike)
    return {
        "symbol": found.head.underlying,
        "type": leg.option_type.value,
        "strike_price": float(leg.strike),
        "expiry_date": expiry,
        "identifier": f"{found.head.underlying}_{leg.option_type}_{strike}_{expiry}",
        "fetched_at": utc_text(found.timestamp),
        "open_interest": oi,
        "change_in_oi": _difference(oi, prev_oi),
        "pchange_in_oi": _percent(oi, prev_oi),
        "last_price": leg.ltp,
        "change": _difference(leg.ltp, leg.prev_close),
        "pchange": _percent(leg.ltp, leg.prev_close),
        "total_traded_volume": volume,
        "implied_volatility": _in_percent(numbers.iv),
        "bid_qty": leg.bid_qty,
        "bid_price": leg.bid,
        "ask_price": leg.ask,
        "ask_qty": leg.ask_qty,
        "underlying_value": found.head.spot,
        "implied_volatility_source": "own",
        "provider_implied_volatility": _in_percent(leg.provider_iv),
        "oi_reason": LOT_UNKNOWN if lot is None else None,
    }


def _in_contracts(value: float | None, lot: int | None) -> float | None:
    return None if value is None or lot is None else value / lot


def _in_percent(fraction: float | None) -> float | None:
    return None if fraction is None else rounded(fraction * 100)


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 4)


def _percent(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else rounded((now - before) / before * 100)
