"""Effects of faults on option chain data, in Upstox's wire format and in NSE's."""

from collections.abc import Callable, Mapping
from typing import Any

from data_fetch.paper_exchange.faults.faults import DataEffect, Fault, FaultContext

# The names in Upstox's format, and in NSE's.
CALLS, PUTS = ("call_options", "CE"), ("put_options", "PE")
LEG_IDENTIFIERS = frozenset({"instrument_key", "identifier"})
PLACES = frozenset({"strikePrice", "underlyingValue"})
OI_IN_UNITS = frozenset({"oi", "prev_oi"})
OI_IN_CONTRACTS = frozenset({"openInterest", "changeinOpenInterest", "totOI"})
NEW_NAMES = {
    "ltp": "last_price",
    "oi": "open_interest",
    "lastPrice": "ltp",
    "openInterest": "oi",
}


def _in_chain(change: Callable[[list[Any]], list[Any]]) -> DataEffect:
    """Change the rows of a chain. NSE sends them twice: under `records` and `filtered`."""

    def apply(_: Fault, data: Any, __: FaultContext) -> Any:
        if isinstance(data, list):
            return change(data)
        return {name: {**part, "data": change(part["data"])} for name, part in data.items()}

    return apply


def _without(*sides: str) -> DataEffect:
    return _in_chain(
        lambda rows: [
            {name: part for name, part in row.items() if name not in sides} for row in rows
        ]
    )


def _with_placeholders(rows: list[Any]) -> list[Any]:
    """Replace the call of every other row by a placeholder, as for an unlisted contract."""
    return [
        {
            name: _placeholder(part) if number % 2 and name in CALLS else part
            for name, part in row.items()
        }
        for number, row in enumerate(rows)
    ]


def _placeholder(leg: dict[str, Any]) -> dict[str, Any]:
    others = {name: part for name, part in leg.items() if name not in LEG_IDENTIFIERS}
    placeholder: dict[str, Any] = _each_field(lambda name, value: (name, _zero(value)), others)
    return placeholder


def _zero(value: Any) -> Any:
    return 0 if isinstance(value, int | float) else value


def _without_numbers(rows: list[Any]) -> list[Any]:
    """Every number of every leg is 0; strikes and the price of the underlying remain."""

    def cleared(name: str, value: Any) -> tuple[str, Any]:
        return name, value if name in PLACES else _zero(value)

    return [
        {
            name: _each_field(cleared, part) if name in (*CALLS, *PUTS) else part
            for name, part in row.items()
        }
        for row in rows
    ]


def _each_field(change: Callable[[str, Any], tuple[str, Any]], node: Any) -> Any:
    """Change the name and value of every field, at any depth."""
    if isinstance(node, dict):
        return dict(change(name, _each_field(change, value)) for name, value in node.items())
    if isinstance(node, list):
        return [_each_field(change, value) for value in node]
    return node


def _renamed(_: Fault, data: Any, __: FaultContext) -> Any:
    return _each_field(lambda name, value: (NEW_NAMES.get(name, name), value), data)


def _retyped(_: Fault, data: Any, __: FaultContext) -> Any:
    """Send numbers as text with thousands separators: `24,013.1`."""

    def formatted(value: Any) -> Any:
        return f"{value:,}" if isinstance(value, int | float) else value

    return _each_field(lambda name, value: (name, formatted(value)), data)


def _other_unit(_: Fault, data: Any, context: FaultContext) -> Any:
    """Send open interest in contracts instead of units, and in units instead of contracts."""

    def changed(name: str, value: Any) -> tuple[str, Any]:
        if name in OI_IN_UNITS:
            return name, value / context.lot
        return name, value * context.lot if name in OI_IN_CONTRACTS else value

    return _each_field(changed, data)


# The order matters: the unit can only be changed while fields are numbers with their old names.
CHAIN_EFFECTS: Mapping[str, DataEffect] = {
    "missing-call": _without(*CALLS),
    "missing-put": _without(*PUTS),
    "placeholder-legs": _in_chain(_with_placeholders),
    "all-zero": _in_chain(_without_numbers),
    "unit-changed": _other_unit,
    "retyped-fields": _retyped,
    "renamed-fields": _renamed,
}
