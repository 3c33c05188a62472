"""Reads Upstox's put-call chain and its list of option contracts. Pure.

Open interest, volume and the quantities of the book are shares; the volatility is percent, and
0 where Upstox computed none, together with a delta of exactly 1 or -1. The response has no
timestamp.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from reprlib import repr as shortened
from typing import Any

from data_fetch.core.batches import RejectedRow
from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainLeg,
    ChainSource,
    OptionType,
    ParsedChains,
    QuantityUnit,
)
from data_fetch.core.chains.drift import MISSING_IN_ALL, UNKNOWN_FIELDS
from data_fetch.core.clock import IST
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.core.instruments.instrument import Instrument
from data_fetch.core.text import presentable
from data_fetch.sources.chain_parsing.legs import CHECK_FORMAT, LegGathering, wanted_only
from data_fetch.sources.chain_parsing.plausibility import (
    check_chains,
    most_worth,
    possible_prices,
)
from data_fetch.sources.chain_parsing.values import (
    IV_DIGITS,
    LARGEST_COUNT,
    LARGEST_GREEK,
    LARGEST_VOLATILITY,
    Field,
    FieldError,
    LegNotes,
    UsualForm,
    most_common,
    read_date,
    read_field,
    read_spot,
    read_strike,
)
from data_fetch.sources.instruments.rows import FUTURES_AND_OPTIONS, is_dummy, parse_instrument
from data_fetch.sources.transport.numbers import (
    LARGEST_PRICE,
    LARGEST_QUANTITY,
    SMALLEST_PRICE,
)

SIDES = {OptionType.CALL: "call_options", OptionType.PUT: "put_options"}
INDEX_SYMBOLS = {
    "NSE_INDEX|Nifty 50": "NIFTY",
    "NSE_INDEX|Nifty Bank": "BANKNIFTY",
    "NSE_INDEX|Nifty Fin Service": "FINNIFTY",
    "NSE_INDEX|NIFTY MID SELECT": "MIDCPNIFTY",
    "NSE_INDEX|Nifty Next 50": "NIFTYNXT50",
    "NSE_INDEX|Nifty FPI 150": "NIFTYFPI",
}

MARKET_DATA, GREEKS = "market_data", "option_greeks"
# In the order in which `_leg` and `_greeks` read them.
MARKET_FIELDS = (
    Field("ltp", ("ltp",), LARGEST_PRICE, least=SMALLEST_PRICE, needed=True),
    Field("volume", ("volume",), LARGEST_COUNT, needed=True),
    Field("oi", ("oi",), LARGEST_COUNT, needed=True),
    Field("close_price", ("close_price",), LARGEST_PRICE, least=SMALLEST_PRICE),
    Field("bid_price", ("bid_price",), LARGEST_PRICE, least=SMALLEST_PRICE),
    Field("ask_price", ("ask_price",), LARGEST_PRICE, least=SMALLEST_PRICE),
    Field("prev_oi", ("prev_oi",), LARGEST_COUNT),
    Field("bid_qty", ("bid_qty",), LARGEST_QUANTITY, whole=True),
    Field("ask_qty", ("ask_qty",), LARGEST_QUANTITY, whole=True),
)
USUAL_MARKET = UsualForm(
    (field.name for field in MARKET_FIELDS),
    unsigned=len(MARKET_FIELDS),
    whole=slice(7, 9),
    most=LARGEST_PRICE,
    prices=[at for at, field in enumerate(MARKET_FIELDS) if field.least],
)
GREEK_FIELDS = (
    Field("iv", ("iv",), LARGEST_VOLATILITY),
    Field("gamma", ("gamma",), LARGEST_GREEK),
    Field("vega", ("vega",), LARGEST_GREEK),
    Field("delta", ("delta",), 1.0, signed=True),
    Field("theta", ("theta",), LARGEST_GREEK, signed=True),
)
USUAL_GREEKS = UsualForm(
    (field.name for field in GREEK_FIELDS), unsigned=3, whole=slice(0), most=LARGEST_VOLATILITY
)
ROW_NAMES = {
    "expiry",
    "pcr",
    "strike_price",
    "underlying_key",
    "underlying_spot_price",
    *SIDES.values(),
}
# A contract has the others too.
CHAIN_NAMES = ROW_NAMES - {"expiry", "strike_price", "underlying_key"}
LEG_NAMES = {"instrument_key", MARKET_DATA, GREEKS}
MARKET_NAMES = {field.name for field in MARKET_FIELDS}
# The probability of profit (since February 2025) is not used.
GREEK_NAMES = {field.name for field in GREEK_FIELDS} | {"pop"}

SPOT = "underlying_spot_price"
NSE_UNDERLYINGS = ("NSE_EQ|", "NSE_INDEX|")
PLACE = ("strike_price", "expiry")
UNDERLYING_KEY = re.compile(r"[A-Z]{3}_[A-Z]+\|.+", re.ASCII)
KEY = re.compile(r"[A-Z]{3}_FO\|[0-9]{1,12}", re.ASCII)

# Among so many rows there is both a call and a put.
ROWS_WITH_BOTH = 10
# pcr is put to call open interest; a larger difference than this is not rounding.
RATIO_FACTOR, RATIO_ROUNDING = 1.25, 0.001

Row = Mapping[str, Any]


def read_upstox_chain(
    rows: Any,
    underlying: str | None = None,
    expiry: date | None = None,
    *,
    underlying_key: str | None = None,
) -> ParsedChains:
    """The chain in the `data` of a response.

    *underlying* is its symbol, else the one that belongs to the index key is used, else the key
    itself. With *expiry* or *underlying_key* given, a response about something else is
    FailureKind.OTHER_CHAIN. Raises ChainError when there is no usable chain.
    """
    reading = _Reading(_rows_in(rows), underlying, underlying_key)
    for row in rows:
        reading.take(row)
    return reading.parsed(expiry)


def read_upstox_contracts(rows: Any) -> tuple[list[Instrument], list[RejectedRow]]:
    """The listed options in the `data` of a contracts response, by their dated keys.

    Raises ChainError when that is no list of contracts.
    """
    if not isinstance(rows, list):
        raise ChainError(FailureKind.NOT_A_CHAIN, "no list of contracts")
    contracts: list[Instrument] = []
    rejected: list[RejectedRow] = []
    for row in rows:
        try:
            contract = _contract(row)
        except BadRecord as problem:
            key = row.get("instrument_key", "") if isinstance(row, dict) else ""
            rejected.append(RejectedRow(str(key), problem.message))
        else:
            if not is_dummy(row):
                contracts.append(contract)
    return contracts, rejected


def _contract(row: Any) -> Instrument:
    """Read a row as one of the instrument master, with JSON floats instead of decimals and an
    expiry that is a date instead of an instant."""
    if not isinstance(row, dict) or row.get("segment") != FUTURES_AND_OPTIONS:
        raise BadRecord(f"no contract of {FUTURES_AND_OPTIONS}: {shortened(row)}")
    exact = {name: Decimal(str(v)) if type(v) is float else v for name, v in row.items()}
    midnight = datetime.combine(read_date(row.get("expiry")), time(), IST)
    exact["expiry"] = int(midnight.astimezone(UTC).timestamp() * 1000)
    return parse_instrument(exact)


def _rows_in(rows: Any) -> Sequence[Any]:
    if not isinstance(rows, list):
        raise ChainError(FailureKind.NOT_A_CHAIN, "no list of rows")
    if not rows:
        raise ChainError(FailureKind.EMPTY_LIST, "a chain without rows")
    if not any(isinstance(row, dict) and row.keys() & CHAIN_NAMES for row in rows):
        raise ChainError(FailureKind.NOT_A_CHAIN, f"rows like {shortened(rows[0])}")
    return rows


class _Reading:
    """One response during reading."""

    def __init__(self, rows: Sequence[Any], underlying: str | None, key: str | None) -> None:
        self._rows = [row for row in rows if isinstance(row, dict)]
        self._remarks: list[str] = []
        self._key = self._key_of(key)
        self._symbol = _symbol_of(self._key, underlying)
        self._spot = self._spot_of()
        self._gathering = LegGathering()
        self._legs_by_key: dict[str, tuple[date, ChainLeg]] = {}
        self._ratios_compared = 0
        self._check_names()

    def take(self, row: Any) -> None:
        """Gather the legs of *row*."""
        try:
            strike, expiry = self._place(row)
        except FieldError as field_error:
            self._gathering.refuse(None, None, None, field_error)
            return
        legs = [
            leg
            for side, name in SIDES.items()
            if row.get(name) is not None
            and (leg := self._gathered(expiry, strike, side, row[name])) is not None
        ]
        if len(legs) == len(SIDES):
            self._compare_ratio(row.get("pcr"), expiry, legs)

    def parsed(self, expiry: date | None) -> ParsedChains:
        """The chain of all rows taken so far, checked."""
        gathering = self._gathering
        self._remarks += gathering.settle(self._ratios_compared)
        chains = tuple(
            Chain(
                underlying=self._symbol,
                expiry=day,
                source=ChainSource.UPSTOX,
                unit=QuantityUnit.SHARES,
                spot=self._spot,
                exchange_time=None,
                legs=legs,
            )
            for day, legs in wanted_only(gathering, expiry)
        )
        self._remarks += check_chains(chains)
        return ParsedChains(
            chains=chains,
            rejected=tuple(gathering.rejected),
            remarks=tuple(map(presentable, self._remarks)),
        )

    def _key_of(self, requested: str | None) -> str:
        """The underlying in most rows. Raises ChainError when another one was requested."""
        found = most_common([row.get("underlying_key") for row in self._rows])
        if found is None:
            self._remarks.append(f"underlying_key {MISSING_IN_ALL}")
            if requested is None:
                raise ChainError(
                    FailureKind.RENAMED_FIELD, "underlying_key is missing", hint=CHECK_FORMAT
                )
            return requested
        if requested is not None and found != requested:
            raise ChainError(
                FailureKind.OTHER_CHAIN, f"underlying_key {shortened(found)}, not {requested}"
            )
        if not UNDERLYING_KEY.fullmatch(str(found)):
            raise ChainError(
                FailureKind.RETYPED_FIELD,
                f"underlying_key is {shortened(found)}",
                hint=CHECK_FORMAT,
            )
        if not str(found).startswith(NSE_UNDERLYINGS):
            raise ChainError(
                FailureKind.OTHER_CHAIN,
                f"underlying_key {found} is of another exchange",
                hint="Only chains of NSE's shares and indices are priced: the closing times of "
                "other exchanges are not known.",
            )
        return str(found)

    def _spot_of(self) -> float | None:
        try:
            return read_spot(most_common([row.get(SPOT) for row in self._rows]))
        except BadRecord as problem:
            self._remarks.append(f"{SPOT}: {problem.message}")
            return None

    def _place(self, row: Any) -> tuple[Decimal, date]:
        """Strike and expiry of a row. Raises FieldError."""
        if not isinstance(row, dict):
            raise FieldError(FailureKind.RETYPED_FIELD, "row", f"row {shortened(row)} is no object")
        for name in PLACE:
            if row.get(name) is None:
                raise FieldError(FailureKind.RENAMED_FIELD, name, f"{name} is missing")
        key = row.get("underlying_key")
        if key is not None and key != self._key:
            other = f"underlying_key {shortened(key)}, not {self._key}"
            raise FieldError(FailureKind.OTHER_CHAIN, "underlying_key", other)
        try:
            return read_strike(row["strike_price"]), read_date(row["expiry"])
        except BadRecord as problem:
            raise FieldError(FailureKind.RETYPED_FIELD, "row", problem.message) from None

    def _gathered(
        self, expiry: date, strike: Decimal, side: OptionType, raw: Any
    ) -> ChainLeg | None:
        """One leg, gathered; None for a placeholder or a rejected leg."""
        try:
            leg = _leg(strike, side, raw, self._spot, self._gathering)
        except FieldError as field_error:
            self._gathering.refuse(expiry, strike, side, field_error)
            return None
        if leg is None:
            return None
        self._gathering.add(expiry, leg)
        if leg.live_key is not None:
            known_of, known = self._legs_by_key.setdefault(leg.live_key, (expiry, leg))
            if (known_of, known.key) != (expiry, leg.key):
                # One of them has the wrong key.
                self._gathering.dispute(known_of, known)
                self._gathering.dispute(expiry, leg)
        return leg

    def _compare_ratio(self, raw: Any, expiry: date, legs: Sequence[ChainLeg]) -> None:
        """Compare the row's put-call ratio with the open interest of its legs."""
        call, put = legs
        if not (type(raw) in (int, float) and 0 < raw < LARGEST_COUNT and call.oi and put.oi):
            return
        self._ratios_compared += 1
        ratio = put.oi / call.oi
        low, high = sorted((ratio, float(raw)))
        if not high <= low * RATIO_FACTOR + RATIO_ROUNDING:
            for leg in legs:
                self._gathering.doubt("oi", "oi", expiry, leg)

    def _check_names(self) -> None:
        of_rows: set[Any] = set().union(*self._rows)
        sides = [row.get(name) for row in self._rows for name in SIDES.values()]
        legs = [leg for leg in sides if isinstance(leg, dict)]
        unknown = (of_rows - ROW_NAMES) | (set[Any]().union(*legs) - LEG_NAMES)
        for name, known in ((MARKET_DATA, MARKET_NAMES), (GREEKS, GREEK_NAMES)):
            parts = [leg[name] for leg in legs if isinstance(leg.get(name), dict)]
            unknown |= set[Any]().union(*parts) - known
        if unknown:
            names = ", ".join(sorted(map(str, unknown))[:6])
            self._remarks.append(f"{UNKNOWN_FIELDS}: {names}")
        for name in SIDES.values():
            if name in of_rows:
                continue
            if of_rows - ROW_NAMES:
                raise ChainError(
                    FailureKind.RENAMED_FIELD, f"{name} {MISSING_IN_ALL}", hint=CHECK_FORMAT
                )
            if len(self._rows) >= ROWS_WITH_BOTH:
                self._remarks.append(f"{name} {MISSING_IN_ALL}")


def _symbol_of(key: str, requested: str | None) -> str:
    symbol = INDEX_SYMBOLS.get(key)
    if requested is not None and symbol is not None and symbol != requested:
        raise ChainError(FailureKind.OTHER_CHAIN, f"underlying_key {key}, not that of {requested}")
    return requested or symbol or key


def _leg(
    strike: Decimal, side: OptionType, raw: Any, spot: float | None, notes: LegNotes
) -> ChainLeg | None:
    """One side of a row; None for a placeholder. Raises FieldError."""
    key, market = _parts(SIDES[side], raw)
    if key is None and not any(market.values()):
        return None
    if key is None:
        notes.lacking("instrument_key")
    ltp, volume, oi, close, bid, ask, prev_oi, bid_qty, ask_qty = USUAL_MARKET.numbers(
        market
    ) or _one_by_one(market, MARKET_FIELDS, notes)
    if ltp is volume is oi is None:
        raise FieldError(FailureKind.RENAMED_FIELD, MARKET_DATA, "a leg without a number")
    most = most_worth(side, strike, spot)
    if (ltp and ltp > most) or (bid and bid > most) or (ask and ask > most):
        prices = {"ltp": ltp, "bid_price": bid, "ask_price": ask}
        ltp, bid, ask = possible_prices(most, prices, "ask_price", notes)
    iv, gamma, vega, delta, theta = _greeks(side, raw.get(GREEKS), notes)
    return ChainLeg(
        strike=strike,
        option_type=side,
        live_key=key,
        ltp=_unless_zero(ltp),
        prev_close=_unless_zero(close),
        bid=_unless_zero(bid),
        bid_qty=_units(bid_qty),
        ask=_unless_zero(ask),
        ask_qty=_units(ask_qty),
        volume=_float(volume),
        oi=_float(oi),
        prev_oi=_float(prev_oi),
        provider_iv=iv,
        provider_delta=delta,
        provider_gamma=gamma,
        provider_theta=theta,
        provider_vega=vega,
    )


def _parts(name: str, raw: Any) -> tuple[str | None, Row]:
    """The instrument key and the market data of a side. Raises FieldError."""
    if not isinstance(raw, dict):
        raise FieldError(FailureKind.RETYPED_FIELD, name, f"{name} is {shortened(raw)}, not a leg")
    key, market = raw.get("instrument_key"), raw.get(MARKET_DATA)
    if key is not None and not (isinstance(key, str) and KEY.fullmatch(key)):
        raise FieldError(
            FailureKind.RETYPED_FIELD,
            "instrument_key",
            f"instrument_key {shortened(key)} cannot be",
        )
    if market is None and key is None:
        return None, {}
    if not isinstance(market, dict):
        kind = FailureKind.RENAMED_FIELD if market is None else FailureKind.RETYPED_FIELD
        raise FieldError(kind, MARKET_DATA, f"{MARKET_DATA} is {shortened(market)}")
    return key, market


def _greeks(side: OptionType, raw: Any, notes: LegNotes) -> tuple[float | None, ...]:
    """Volatility (a fraction), gamma, vega, delta, theta: all None where Upstox has computed
    nothing, which shows as a volatility of 0 and a delta of exactly 1 or -1."""
    nothing = (None,) * len(GREEK_FIELDS)
    if raw is None:
        notes.lacking(GREEKS)
        return nothing
    if not isinstance(raw, dict):
        reason = f"{GREEKS} is {shortened(raw)}"
        notes.wrong(FieldError(FailureKind.RETYPED_FIELD, GREEKS, reason))
        return nothing
    usual = USUAL_GREEKS.numbers(raw)
    # In the sum a large theta may hide the size of delta.
    if usual is None or not -1 <= usual[3] <= 1:
        usual = _one_by_one(raw, GREEK_FIELDS, notes)
    iv, gamma, vega, delta, theta = map(_float, usual)
    if not iv:
        return nothing
    if delta and (delta > 0) is not (side is OptionType.CALL):
        # The sides of the row are swapped, so every number is one of the other side.
        raise FieldError(FailureKind.CONTRADICTION, "delta", f"delta {delta:g} of a {side}")
    return round(iv / 100, IV_DIGITS), gamma, vega, delta, theta


def _one_by_one(members: Row, fields: Sequence[Field], notes: LegNotes) -> tuple[Any, ...]:
    return tuple(read_field(members, field, notes) for field in fields)


def _unless_zero(price: float | None) -> float | None:
    """None for 0, which Upstox sends where nothing was traded or offered."""
    return float(price) if price else None


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def _units(number: float | None) -> int | None:
    return None if number is None else int(number)
