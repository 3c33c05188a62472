"""Option legs in the shape of NSE's option chain: quantities in contracts, IV in percent.

The older chain backends served them so, and their clients read these names.
"""

from datetime import date
from typing import Any

from data_fetch.core.chains.chains import OptionType, QuantityUnit
from data_fetch.core.chains.contract_names import strike_text
from data_fetch.core.clock import utc_text
from data_fetch.reading.documents import rounded_all
from data_fetch.reading.instants import MONTHS
from data_fetch.storage.chains.records import ChainRecord
from data_fetch.storage.chains.rows import SnapshotHead

UNIT = "contracts"
LOT_UNKNOWN = "lot_unknown"


def nse_chain(found: ChainRecord, limit: int, offset: int = 0) -> dict[str, Any]:
    """A stored snapshot, at most *limit* legs of each type after the first *offset*, by strike.

    `truncated`: whether there are more; `total_calls` and `total_puts` count all of them.
    """
    entries, head, end = nse_entries(found), found.head, offset + limit
    calls = [each for each in entries if each["type"] == OptionType.CALL]
    puts = [each for each in entries if each["type"] == OptionType.PUT]
    return {
        "symbol": head.underlying,
        "underlying_value": head.spot,
        "timestamp": utc_text(head.timestamp),
        "total_calls": len(calls),
        "total_puts": len(puts),
        "calls": calls[offset:end],
        "puts": puts[offset:end],
        "truncated": max(len(calls), len(puts)) > end,
        "expiry_date": date_text(head.expiry),
        "unit": UNIT,
        "source": str(head.source),
    }


def nse_strikes(found: ChainRecord, option_type: OptionType | None) -> list[float]:
    """The strikes of a stored snapshot, ascending; of one type or of both."""
    kinds = {option_type} if option_type else set(OptionType)
    return sorted({leg.strike for leg in found.legs if leg.option_type in kinds})


def nse_entries(found: ChainRecord) -> list[dict[str, Any]]:
    """Every leg of a snapshot, by strike. Quantities are null, with `oi_reason`, while the lot of
    a source that counts shares is unknown."""
    head, expiry = found.head, date_text(found.head.expiry)
    fetched_at, amounts = utc_text(head.timestamp), _contracts(found)
    percents = zip(
        rounded_all([_percent(oi, prev_oi) for oi, prev_oi, _ in amounts]),
        rounded_all([_percent(leg.ltp, leg.prev_close) for leg in found.legs]),
        rounded_all([_in_percent(leg.iv) for leg in found.legs]),
        rounded_all([_in_percent(leg.provider_iv) for leg in found.legs]),
        strict=True,
    )
    reason = LOT_UNKNOWN if _lot_of(head) is None else None
    return [
        {
            "symbol": head.underlying,
            "type": leg.option_type,
            "strike_price": leg.strike,
            "expiry_date": expiry,
            "identifier": f"{head.underlying}_{leg.option_type}_{strike_text(leg.strike)}_{expiry}",
            "fetched_at": fetched_at,
            "open_interest": oi,
            "change_in_oi": _difference(oi, prev_oi),
            "pchange_in_oi": pchange_in_oi,
            "last_price": leg.ltp,
            "change": _difference(leg.ltp, leg.prev_close),
            "pchange": pchange,
            "total_traded_volume": volume,
            "implied_volatility": iv,
            "bid_qty": leg.bid_qty,
            "bid_price": leg.bid,
            "ask_price": leg.ask,
            "ask_qty": leg.ask_qty,
            "underlying_value": head.spot,
            "implied_volatility_source": "own",
            "provider_implied_volatility": provider_iv,
            "implied_volatility_reason": leg.reason,
            "oi_reason": reason,
        }
        for leg, (oi, prev_oi, volume), (pchange_in_oi, pchange, iv, provider_iv) in zip(
            found.legs, amounts, percents, strict=True
        )
    ]


def date_text(day: date) -> str:
    """30-Jan-2025, with English months whatever the locale."""
    return f"{day.day:02}-{MONTHS[day.month - 1]}-{day.year}"


def _lot_of(head: SnapshotHead) -> int | None:
    """Shares per counted unit of the stored quantities; None while the lot is unknown."""
    return head.lot_size if head.unit == QuantityUnit.SHARES else 1


def _contracts(found: ChainRecord) -> list[tuple[float | None, float | None, float | None]]:
    """Open interest, that of the day before, and volume of every leg, in contracts."""
    if found.head.unit == QuantityUnit.CONTRACTS:
        return [
            (leg.oi_contracts, leg.prev_oi_contracts, leg.volume_contracts) for leg in found.legs
        ]

    def in_contracts(shares: int | None) -> float | None:
        return None if shares is None or lot is None else shares / lot

    lot = found.head.lot_size
    return [
        (in_contracts(leg.oi), in_contracts(leg.prev_oi), in_contracts(leg.volume))
        for leg in found.legs
    ]


def _in_percent(fraction: float | None) -> float | None:
    return None if fraction is None else fraction * 100


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else round(now - before, 4)


def _percent(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else (now - before) / before * 100
