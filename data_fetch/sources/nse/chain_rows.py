"""Reads the option chains in a body of NSE's website. Pure.

The website changes without notice, so every shape that was seen is read: the legacy one
with all expiries, the v3 one with a single expiry, and both without their `records`. Open
interest and volume are contracts, the quantities of the book shares.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from reprlib import repr as shortened
from typing import Any

from data_fetch.core.chains.chains import (
    Chain,
    ChainError,
    ChainSource,
    OptionType,
    ParsedChains,
    QuantityUnit,
)
from data_fetch.core.chains.drift import MISSING_IN_ALL, UNKNOWN_FIELDS
from data_fetch.core.errors import BadRecord
from data_fetch.core.failures import FailureKind
from data_fetch.core.text import presentable
from data_fetch.sources.chain_parsing.legs import CHECK_FORMAT, LegGathering, wanted_only
from data_fetch.sources.chain_parsing.plausibility import (
    check_chains,
    check_totals,
)
from data_fetch.sources.chain_parsing.values import (
    FieldError,
    most_common,
    read_date,
    read_spot,
    read_stamp,
)
from data_fetch.sources.nse.chain_legs import (
    KNOWN,
    Leg,
    LegReader,
    RowKey,
    cached_row_key,
    symbol_in,
)

SIDES = {side.value: side for side in OptionType}
KNOWN_OF_ROW = {"strikePrice", "expiryDate", "expiryDates", *SIDES}
# A body with these and without rows has lost its rows.
BESIDE_ROWS = frozenset({"timestamp", "underlyingValue"})
# Among so many rows there is both a call and a put.
ROWS_WITH_BOTH = 10
# The spot of a body and that of its legs are from about one instant.
SPOT_APART = 0.05


def read_nse_chains(
    document: Any, underlying: str | None = None, expiry: date | None = None
) -> ParsedChains:
    """The chains of a parsed body, nearest expiry first.

    With *underlying* (the trading symbol) or *expiry* given, a body about something else is
    FailureKind.OTHER_CHAIN. Raises ChainError when there is no usable chain.
    """
    body = _body_in(document)
    reading = _Reading(body, underlying)
    try:
        for row in chain(body.rows, body.repeated):
            reading.take(row)
    except RecursionError:
        raise ChainError(FailureKind.NOT_A_CHAIN, "rows that are nested without end") from None
    return reading.parsed(expiry)


def read_nse_expiries(document: Any) -> tuple[date, ...]:
    """The listed expiries in a body of contract information, nearest first. Raises ChainError."""
    listed = document.get("expiryDates") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ChainError(FailureKind.NOT_A_CHAIN, "no list of expiryDates")
    if not listed:
        raise ChainError(FailureKind.EMPTY_LIST, "no expiryDates are listed")
    try:
        return tuple(sorted({read_date(text) for text in listed}))
    except BadRecord as problem:
        raise ChainError(FailureKind.RETYPED_FIELD, f"expiryDates: {problem.message}") from None


@dataclass(frozen=True, slots=True)
class _Body:
    """A body of any shape: its *rows*, the *members* beside them, and from `filtered` the
    *repeated* rows and NSE's own *totals* of their chain."""

    rows: Sequence[Any]
    members: Mapping[str, Any]
    repeated: Sequence[Any]
    totals: Mapping[str, Any]


def _body_in(document: Any) -> _Body:
    if document == []:
        raise ChainError(FailureKind.EMPTY_LIST, "a list without rows")
    if not isinstance(document, dict):
        raise ChainError(FailureKind.NOT_A_CHAIN, "no JSON object")
    records, filtered = document.get("records"), document.get("filtered")
    members = records if isinstance(records, dict) else document
    totals = filtered if isinstance(filtered, dict) else {}
    again = totals.get("data")
    repeated = again if isinstance(again, list) else []
    return _Body(_rows_in(members, document), members, repeated, totals)


def _rows_in(members: Mapping[str, Any], document: Mapping[str, Any]) -> list[Any]:
    """The rows among *members*. Raises ChainError when there are none."""
    rows = members.get("data")
    if isinstance(rows, list) and rows:
        return rows
    if rows == []:
        raise ChainError(FailureKind.EMPTY_LIST, "a chain without rows")
    if not any(document.values()):
        # The site returns 200 with {} to a client that it blocks, or to a stale cookie.
        raise ChainError(FailureKind.EMPTY_OBJECT, "an empty object")
    if not BESIDE_ROWS & members.keys():
        raise ChainError(FailureKind.NOT_A_CHAIN, f"an object of {_names(document)}")
    if "data" in members:
        raise ChainError(
            FailureKind.RETYPED_FIELD, f"data is {shortened(rows)}, not a list of rows"
        )
    raise ChainError(
        FailureKind.RENAMED_FIELD, f"data is missing beside {_names(members)}", hint=CHECK_FORMAT
    )


def _names(members: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, members))[:6])


class _Reading:
    """One body during reading."""

    def __init__(self, body: _Body, underlying: str | None) -> None:
        legs = _legs_in(body.rows)
        names: set[Any] = set().union(*legs)
        self._body = body
        self._remarks: list[str] = []
        self._check_names(names)
        if underlying is None and not legs:
            raise ChainError(FailureKind.EMPTY_LIST, "rows without a leg")
        spelling = {str(name).lower(): name for name in names}

        def of_legs(name: str) -> Iterator[object]:
            member = spelling.get(name, name)
            return (leg.get(member) for leg in legs)

        self._symbol = _symbol_of(of_legs("underlying"), of_legs("identifier"), underlying)
        self._spot = self._spot_in(of_legs("underlyingvalue"))
        self._gathering = LegGathering()
        self._reader = LegReader(
            self._symbol,
            self._spot,
            spelling,
            any(of_legs("identifier")),
            self._gathering,
        )
        self._rows: dict[tuple[object, object], object] = {}

    def take(self, row: Any) -> None:
        """Gather the legs of *row*, unless an equal row came before."""
        try:
            row_key = _key_of_row(row)
        except FieldError as field_error:
            self._gathering.refuse(None, None, None, field_error)
            return
        # `filtered` repeats rows of `records`.
        place = (row_key.strike, row_key.expiry)
        if self._rows.get(place) == row:
            return
        self._rows[place] = row
        for name, side in SIDES.items():
            leg = row.get(name)
            if leg is not None:
                self._take_leg(row_key, side, leg)

    def _take_leg(self, row_key: RowKey, side: OptionType, leg: Any) -> None:
        try:
            if not isinstance(leg, dict):
                reason = f"{side} is {shortened(leg)}, not a leg"
                raise FieldError(FailureKind.RETYPED_FIELD, side, reason)
            read = self._reader.read(row_key, side, leg)
        except FieldError as field_error:
            self._gathering.refuse(row_key.expiry, row_key.strike, side, field_error)
            return
        if read is not None:
            expiry, made, doubt = read
            self._gathering.add(expiry, made)
            if doubt is not None:
                self._gathering.doubt(*doubt, expiry, made)

    def parsed(self, expiry: date | None) -> ParsedChains:
        """The chains of all rows taken so far, checked."""
        gathering = self._gathering
        self._remarks += gathering.settle(self._reader.compared)
        stamp = self._or_remark("timestamp", read_stamp)
        chains = tuple(
            Chain(
                underlying=self._symbol,
                expiry=day,
                source=ChainSource.NSE,
                unit=QuantityUnit.CONTRACTS,
                spot=self._spot,
                exchange_time=stamp,
                legs=legs,
            )
            for day, legs in wanted_only(gathering, expiry)
        )
        self._remarks += check_chains(chains)
        if not gathering.rejected:
            self._remarks += check_totals(chains, self._body.totals, self._repeated_expiry())
        return ParsedChains(
            chains=chains,
            rejected=tuple(gathering.rejected),
            remarks=tuple(map(presentable, self._remarks)),
        )

    def _spot_in(self, values: Iterable[object]) -> float | None:
        """The level beside the rows, or else the most frequent of the *values* in the legs."""
        beside: float | None = self._or_remark("underlyingValue", read_spot)
        inside = most_common(values)
        try:
            of_legs = None if inside is None else read_spot(inside)
        except BadRecord:
            of_legs = None
        if beside is None or of_legs is None:
            return beside or of_legs
        if abs(of_legs / beside - 1) > SPOT_APART:
            reason = f"underlyingValue is {beside:g} beside the rows and {of_legs:g} in the legs"
            raise ChainError(FailureKind.CONTRADICTION, reason, hint=CHECK_FORMAT)
        return beside

    def _or_remark(self, name: str, read: Callable[[object], Any]) -> Any:
        """The member *name* beside the rows; None, and a remark, when it is unusable."""
        try:
            return read(self._body.members.get(name))
        except BadRecord as problem:
            self._remarks.append(f"{name} beside the rows: {problem.message}")
            return None

    def _check_names(self, names: set[Any]) -> None:
        of_rows: set[Any] = set().union(*(row for row in self._body.rows if isinstance(row, dict)))
        if not of_rows:
            reason = f"data holds no rows, but {shortened(self._body.rows[0])}"
            raise ChainError(FailureKind.RETYPED_FIELD, reason, hint=CHECK_FORMAT)
        unknown = {str(name) for name in names if str(name).lower() not in KNOWN}
        unknown |= {str(name) for name in of_rows - KNOWN_OF_ROW}
        if unknown:
            self._remarks.append(f"{UNKNOWN_FIELDS}: {_names(dict.fromkeys(unknown))}")
        for side in SIDES:
            if side in of_rows:
                continue
            if of_rows - KNOWN_OF_ROW:
                reason = f"{side} is missing beside {_names(dict.fromkeys(of_rows))}"
                raise ChainError(FailureKind.RENAMED_FIELD, reason, hint=CHECK_FORMAT)
            if len(self._body.rows) >= ROWS_WITH_BOTH:
                self._remarks.append(f"{side} {MISSING_IN_ALL}")

    def _repeated_expiry(self) -> date | None:
        """The expiry of the rows under `filtered`, to which its totals belong."""
        try:
            return _key_of_row(self._body.repeated[0]).expiry
        except (IndexError, FieldError):
            return None


def _legs_in(rows: Sequence[Any]) -> list[Leg]:
    sides = [row.get(side) for row in rows if isinstance(row, dict) for side in SIDES]
    return [leg for leg in sides if isinstance(leg, dict)]


def _key_of_row(row: Any) -> RowKey:
    """Strike and expiry of a row; None for what it leaves to its legs. Raises FieldError."""
    if not isinstance(row, dict):
        raise FieldError(FailureKind.RETYPED_FIELD, "data", f"row {shortened(row)} is no object")
    strike = row.get("strikePrice")
    # v3 renamed it to a plural, which is still one text.
    expiry = row.get("expiryDate", row.get("expiryDates"))
    if isinstance(expiry, list) and len(expiry) == 1:
        (expiry,) = expiry
    try:
        return cached_row_key(strike, expiry)
    except TypeError:
        # A list or an object, which cannot be looked up.
        reason = f"strikePrice {shortened(strike)}, expiryDate {shortened(expiry)}"
    except BadRecord as problem:
        reason = problem.message
    raise FieldError(FailureKind.RETYPED_FIELD, "row", reason)


def _symbol_of(
    names: Iterable[object], identifiers: Iterable[object], requested: str | None
) -> str:
    """The symbol in most legs. Raises ChainError when it is not the *requested* one."""
    found = most_common(names)
    if found is None:
        found = most_common(map(symbol_in, identifiers))
    if requested is not None and found is not None and found != requested:
        raise ChainError(FailureKind.OTHER_CHAIN, f"underlying {shortened(found)}, not {requested}")
    if requested is not None:
        return requested
    if found is None:
        raise ChainError(
            FailureKind.RENAMED_FIELD, "underlying is missing in all legs", hint=CHECK_FORMAT
        )
    if not isinstance(found, str) or not found.isprintable():
        raise ChainError(
            FailureKind.RETYPED_FIELD, f"underlying is {shortened(found)}", hint=CHECK_FORMAT
        )
    return found
