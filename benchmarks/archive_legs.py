"""Invented legs for the archive: as many, as wide and as random as those of a trading day."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa

from data_fetch.archive.schemas import ARCHIVE_SCHEMAS

SCHEMA = ARCHIVE_SCHEMAS["option_chain_data"]
LEGS_PER_CHAIN, UNDERLYINGS = 108, ("BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTY", "NIFTYNXT50")
MINUTES = 375
OWN = ("iv", "delta", "gamma", "theta", "vega", "rho")
QUANTITIES = ("bid_qty", "ask_qty", "total_buy_qty", "total_sell_qty", "volume", "oi", "prev_oi")
PRICES = ("ltp", "prev_close", "bid", "ask")


def opening(day: date) -> datetime:
    """09:15 IST."""
    return datetime(day.year, day.month, day.day, 3, 45, tzinfo=UTC)


def minute_of_legs(day: date, minute: int, chains: int) -> pa.Table:
    """The legs of *chains* chains of each underlying in a minute, in the order of a file."""
    chance = np.random.default_rng(minute)
    at = opening(day) + timedelta(minutes=minute)
    tables = [
        _chain(chance, underlying, day, at + timedelta(seconds=60 * look / chains))
        for underlying in UNDERLYINGS
        for look in range(chains)
    ]
    return pa.concat_tables(tables)


def _chain(chance: np.random.Generator, underlying: str, day: date, at: datetime) -> pa.Table:
    rows = LEGS_PER_CHAIN
    strikes = 20_000 + 50 * (np.arange(rows) // 2)
    known: dict[str, object] = {
        "underlying": [underlying] * rows,
        "expiry": [day + timedelta(days=6)] * rows,
        "timestamp": [at] * rows,
        "source": ["upstox"] * rows,
        "strike": pa.array([Decimal(int(strike)) for strike in strikes], pa.decimal128(18, 4)),
        "option_type": ["CE", "PE"] * (rows // 2),
        "instrument_key": [
            f"NSE_FO|{strike}{side}"
            for strike, side in zip(strikes, "CP" * (rows // 2), strict=True)
        ],
        "run_id": [f"{at:%H%M}"] * rows,
        "forward": [24_000 + chance.random()] * rows,
        "price": np.round(chance.random(rows) * 500, 2),
        **{name: np.round(chance.random(rows) * 500 / 0.05) * 0.05 for name in PRICES},
        **{name: chance.integers(0, 4000, rows) * 75 for name in QUANTITIES},
        **{
            name: np.round(chance.random(rows), 4)
            for name in SCHEMA.arrow.names
            if "provider" in name
        },
        **{name: chance.random(rows) for name in OWN},
    }
    nothing = pa.nulls(rows)
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else nothing.cast(field.type)
        for field in SCHEMA.arrow
    ]
    return pa.table(columns, schema=SCHEMA.arrow)


def day_of_legs(day: date, rows: int) -> Iterator[pa.Table]:
    """About *rows* legs of a day, minute by minute."""
    chains = max(1, round(rows / MINUTES / LEGS_PER_CHAIN / len(UNDERLYINGS)))
    for minute in range(MINUTES):
        yield minute_of_legs(day, minute, chains)
