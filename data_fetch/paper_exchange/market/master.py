"""The instrument master, a gzip file of JSON rows per day (reference, section 10)."""

import gzip
from collections.abc import Iterator
from datetime import date, time
from functools import lru_cache
from io import BytesIO
from typing import Any

import orjson

from data_fetch.paper_exchange.market.contract_prices import ContractPrices
from data_fetch.paper_exchange.market.contracts import Contract, ListedContracts
from data_fetch.paper_exchange.market.days import epoch
from data_fetch.paper_exchange.market.listings import Listing
from data_fetch.paper_exchange.market.prices import PriceModel

LAST_SECOND = time(23, 59, 59)
COMPRESSION = 1

# Rows of kinds that the real file also contains: a bond, another segment, an exchange dummy.
NOISE: tuple[dict[str, Any], ...] = (
    {
        "segment": "NSE_EQ",
        "name": "7.10% PAPER GOVT STOCK 2034",
        "exchange": "NSE",
        "isin": "ZZP999000001",
        "instrument_type": "GS",
        "instrument_key": "NSE_EQ|ZZP999000001",
        "lot_size": 100,
        "freeze_quantity": 100_000.0,
        "exchange_token": "990001",
        "tick_size": 1.0,
        "trading_symbol": "710GS2034",
        "qty_multiplier": 1.0,
        "security_type": "NORMAL",
    },
    {
        "segment": "NSE_COM",
        "name": "GOLD",
        "exchange": "NSE",
        "instrument_type": "COM",
        "instrument_key": "NSE_COM|990002",
        "exchange_token": "990002",
        "trading_symbol": "GOLD",
    },
    {
        "segment": "NSE_EQ",
        "name": "NSETEST PAPER",
        "exchange": "NSE",
        "isin": "ZZP999000003",
        "instrument_type": "EQ",
        "instrument_key": "NSE_EQ|ZZP999000003",
        "lot_size": 1,
        "freeze_quantity": 100_000.0,
        "exchange_token": "990003",
        "tick_size": 5.0,
        "trading_symbol": "011NSETEST",
        "qty_multiplier": 1.0,
        "security_type": "NORMAL",
    },
)


class Master:
    """The instrument master of a date, cached."""

    def __init__(
        self,
        listings: tuple[Listing, ...],
        prices: PriceModel,
        contracts: ListedContracts,
        contract_prices: ContractPrices,
    ) -> None:
        self._listings = listings
        self._prices = prices
        self._contracts = contracts
        self._contract_prices = contract_prices
        self.file = lru_cache(maxsize=1)(self._file)

    def _file(self, day: date) -> bytes:
        """The file of *day*; the bytes are the same for every request."""
        packed = BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=COMPRESSION, mtime=0) as file:
            separator = b"["
            for row in self.rows(day):
                file.write(separator + orjson.dumps(row))
                separator = b","
            file.write(b"]")
        return packed.getvalue()

    def rows(self, day: date) -> Iterator[dict[str, Any]]:
        for listing in self._listings:
            yield self._listing_row(listing, day)
        yield from NOISE
        yield _dummy_future(day)
        for contract in self._contracts.on(day).values():
            yield contract_row(contract, self._contract_prices.tick(contract, day))

    def _listing_row(self, listing: Listing, day: date) -> dict[str, Any]:
        row: dict[str, Any] = {
            "segment": listing.segment,
            "name": listing.name,
            "exchange": "NSE",
            "instrument_type": listing.series,
            "instrument_key": listing.key,
            "exchange_token": listing.exchange_token,
            "trading_symbol": listing.symbol,
        }
        if listing.isin is not None:
            row |= {
                "isin": listing.isin,
                "lot_size": 1,
                "freeze_quantity": 100_000.0,
                "tick_size": round(self._prices.tick(listing, day) * 100, 2),
                "short_name": listing.symbol.title(),
                "qty_multiplier": 1.0,
                "security_type": "SME" if listing.series == "SM" else "NORMAL",
            }
            if listing.group.auction:
                row["cas_eligible"] = True
        return row


def contract_row(contract: Contract, tick: float) -> dict[str, Any]:
    underlying = contract.underlying
    return {
        "weekly": contract.weekly,
        "segment": "NSE_FO",
        "name": underlying.name if underlying.isin else underlying.symbol,
        "exchange": "NSE",
        "expiry": expiry_ms(contract.expiry),
        "instrument_type": contract.kind,
        "asset_symbol": underlying.symbol,
        "underlying_symbol": underlying.symbol,
        "instrument_key": contract.key,
        "lot_size": underlying.lot_size,
        "freeze_quantity": underlying.lot_size * 40.0,
        "exchange_token": contract.token,
        "minimum_lot": underlying.lot_size,
        "asset_key": underlying.key,
        "underlying_key": underlying.key,
        "tick_size": round(tick * 100, 2),
        "asset_type": underlying_type(underlying),
        "underlying_type": underlying_type(underlying),
        "trading_symbol": contract.trading_symbol,
        "strike_price": contract.strike,
        "qty_multiplier": 1.0,
    }


def underlying_type(underlying: Listing) -> str:
    return "EQUITY" if underlying.isin else "INDEX"


@lru_cache(maxsize=64)
def expiry_ms(expiry: date) -> int:
    """The last second of the expiry day in India, in epoch milliseconds."""
    return epoch(expiry, LAST_SECOND) * 1000


def _dummy_future(day: date) -> dict[str, Any]:
    return {
        "weekly": False,
        "segment": "NSE_FO",
        "name": "011NSETEST",
        "exchange": "NSE",
        "expiry": expiry_ms(day),
        "instrument_type": "FUT",
        "asset_symbol": "011NSETEST",
        "underlying_symbol": "011NSETEST",
        "instrument_key": "NSE_FO|990004",
        "lot_size": 25,
        "freeze_quantity": 1_000.0,
        "exchange_token": "990004",
        "minimum_lot": 25,
        "asset_key": "NSE_EQ|ZZP999000003",
        "underlying_key": "NSE_EQ|ZZP999000003",
        "tick_size": 5.0,
        "asset_type": "EQUITY",
        "underlying_type": "EQUITY",
        "trading_symbol": "011NSETEST FUT",
        "strike_price": 0.0,
        "qty_multiplier": 1.0,
    }
